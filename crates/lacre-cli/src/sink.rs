//! The destination of a response: a file, a pipe that gets every byte, or a terminal that gets text
//! without control characters.

use crate::exit::{Exit, Failure};
use crate::format;
use crate::output::Output;
use crate::sanitize::replace_controls;
use http::header;
use reqwest::Response;
use std::fs::{self, File};
use std::io::{self, IsTerminal, StdoutLock, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// The destination of a response.
pub(crate) enum Sink {
    Pipe(StdoutLock<'static>),
    Terminal(Terminal),
    File(OutputFile),
}

impl Sink {
    /// Opens the destination before the request is sent: the file `output`, or stdout if it is
    /// absent or `-`.
    pub(crate) fn open(output: Option<&Path>) -> Result<Self, Failure> {
        match output {
            Some(path) if path.as_os_str() != "-" => OutputFile::open(path).map(Self::File),
            _ if io::stdout().is_terminal() => Ok(Self::Terminal(Terminal::new())),
            _ => Ok(Self::Pipe(io::stdout().lock())),
        }
    }

    /// Whether a progress bar would mix with the output.
    pub(crate) const fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal(_))
    }

    /// Writes the status line and the headers.
    pub(crate) fn head(&mut self, response: &Response) -> Result<(), Failure> {
        let mut head = format!("{:?} {}\n", response.version(), response.status()).into_bytes();
        for (name, value) in response.headers() {
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            if self.is_terminal() {
                head.extend_from_slice(
                    replace_controls(&String::from_utf8_lossy(value.as_bytes())).as_bytes(),
                );
            } else {
                head.extend_from_slice(value.as_bytes());
            }
            head.push(b'\n');
        }
        head.push(b'\n');
        match self {
            Self::Pipe(out) => Ok(out.write_all(&head)?),
            Self::Terminal(terminal) => Ok(terminal.out.write_all(&head)?),
            Self::File(file) => file.write(&head),
        }
    }

    /// Notes from the headers whether the body is compressed.
    pub(crate) fn expect_body(&mut self, response: &Response) {
        if let Self::Terminal(terminal) = self {
            terminal.is_coded = response.headers().contains_key(header::CONTENT_ENCODING);
        }
    }

    /// Writes a part of the body.
    pub(crate) fn body(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Pipe(out) => Ok(out.write_all(bytes)?),
            Self::Terminal(terminal) => Ok(terminal.body(bytes)?),
            Self::File(file) => file.write(bytes),
        }
    }

    /// Ends a complete response. Until then, a file keeps its old content.
    pub(crate) fn finish(self, output: Output) -> Result<(), Failure> {
        match self {
            Self::Pipe(mut out) => Ok(out.flush()?),
            Self::Terminal(terminal) => terminal.finish(output),
            Self::File(file) => file.finish(),
        }
    }
}

/// A terminal, which gets text. A binary body is only counted.
pub(crate) struct Terminal {
    out: StdoutLock<'static>,
    /// Whether the body has a `Content-Encoding`.
    is_coded: bool,
    /// Known after the first part of the body.
    is_binary: Option<bool>,
    /// The bytes of an incomplete character or line end.
    pending: Vec<u8>,
    length: u64,
}

impl Terminal {
    fn new() -> Self {
        let out = io::stdout().lock();
        Self { out, is_coded: false, is_binary: None, pending: Vec::new(), length: 0 }
    }

    fn body(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.length += bytes.len() as u64;
        // A NUL byte marks binary data, as in curl.
        if *self.is_binary.get_or_insert_with(|| self.is_coded || bytes.contains(&0)) {
            return Ok(());
        }
        self.pending.extend_from_slice(bytes);
        let complete = complete(&self.pending);
        let text = printable(&self.pending[..complete]);
        self.pending.drain(..complete);
        self.out.write_all(text.as_bytes())
    }

    fn finish(mut self, output: Output) -> Result<(), Failure> {
        if self.is_binary == Some(true) {
            let size = format::size(self.length);
            output.warn(format_args!(
                "the body is binary ({size}) and not shown on a terminal; write it to a file with -o FILE, or to a pipe"
            ));
        } else {
            self.out.write_all(printable(&self.pending).as_bytes())?;
        }
        Ok(self.out.flush()?)
    }
}

/// The length of `bytes` without an incomplete character or line end.
fn complete(bytes: &[u8]) -> usize {
    let whole = match bytes.utf8_chunks().last() {
        // Up to three bytes may be the start of a character.
        Some(chunk) if !chunk.invalid().is_empty() => {
            let is_cut = std::str::from_utf8(chunk.invalid()).is_err_and(|error| error.error_len().is_none());
            bytes.len() - if is_cut { chunk.invalid().len() } else { 0 }
        }
        _ => bytes.len(),
    };
    if bytes[..whole].ends_with(b"\r") { whole - 1 } else { whole }
}

/// Text with its line breaks and tabs, and without other control characters.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
    text.split_inclusive(['\n', '\t'])
        .flat_map(|piece| {
            let end = piece.trim_end_matches(['\n', '\t']).len();
            [replace_controls(&piece[..end]).into_owned(), piece[end..].to_owned()]
        })
        .collect()
}

/// A file that is replaced at the end, or a special file that is written directly.
pub(crate) enum OutputFile {
    Replaced { new: NamedTempFile, path: PathBuf },
    Direct { file: File, path: PathBuf },
}

impl OutputFile {
    fn open(path: &Path) -> Result<Self, Failure> {
        let cannot = |error: io::Error| {
            Failure::new(Exit::Failed, format!("-o: cannot write {}: {error}", path.display()))
                .with_hint("name a file in a directory that exists and that you can write to")
        };
        // Follows links, as a shell's `>` does.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let metadata = fs::metadata(&path).ok();
        if metadata.as_ref().is_some_and(|metadata| !metadata.is_file()) {
            let file = File::options().write(true).open(&path).map_err(cannot)?;
            return Ok(Self::Direct { file, path });
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".lacre-");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // The umask decides the mode of a new file, as for a shell's `>`.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let new = builder.tempfile_in(folder).map_err(cannot)?;
        if let Some(metadata) = metadata {
            if metadata.permissions().readonly() {
                return Err(cannot(io::ErrorKind::PermissionDenied.into()));
            }
            new.as_file().set_permissions(metadata.permissions()).map_err(cannot)?;
        }
        Ok(Self::Replaced { new, path })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let (file, path) = match self {
            Self::Replaced { new, path } => (new.as_file_mut(), path),
            Self::Direct { file, path } => (file, path),
        };
        file.write_all(bytes).map_err(|error| Self::failed(path, &error))
    }

    fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Direct { .. } => Ok(()),
            Self::Replaced { new, path } => match new.persist(&path) {
                Ok(_) => Ok(()),
                Err(error) => Err(Self::failed(&path, &error.error)),
            },
        }
    }

    fn failed(path: &Path, error: &io::Error) -> Failure {
        Failure::new(Exit::Failed, format!("-o: cannot write {}: {error}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_replaced_wherever_the_text_is_split() {
        let body = "é\u{1b}[2Jx\r\n\tz\u{9b}1m\u{202e}\rend€".as_bytes();
        let expected = "é\u{fffd}[2Jx\n\tz\u{fffd}1m\u{fffd}\u{fffd}end€";
        for cut in 0..=body.len() {
            let mut shown = String::new();
            let mut pending = body[..cut].to_vec();
            let done = complete(&pending);
            shown += &printable(&pending[..done]);
            pending.drain(..done);
            pending.extend_from_slice(&body[cut..]);
            shown += &printable(&pending);
            assert_eq!(shown, expected, "cut at {cut}");
        }
    }

    #[test]
    fn invalid_utf8_is_replaced() {
        assert_eq!(printable(b"a\xffb"), "a\u{fffd}b");
        assert_eq!(complete(b"a\xff"), 2, "no more bytes make it a character");
        assert_eq!(complete("a€".as_bytes()), 4);
        assert_eq!(complete(&"a€".as_bytes()[..3]), 1);
    }
}
