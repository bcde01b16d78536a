//! `lacre key new`, `lacre key import` and `lacre key export`.

use super::keyring;
use crate::exit::{Exit, Failure};
use crate::global_options::GlobalOptions;
use crate::output::{GOOD, Output};
use crate::store_options;
use lacre::Keyring;
use std::io::{self, IsTerminal, Read, Write};
use std::process::{Child, Command, Stdio};
use zeroize::Zeroizing;

#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    /// The source: a reference such as env:NAME or kdbx:PATH#ENTRY, or `-` for standard input
    #[arg(value_name = "SOURCE")]
    from: String,
    /// The destination [default: --key, else your own keyring]
    #[arg(value_name = "DESTINATION")]
    at: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// The destination, such as file:PATH or passphrase:PATH [default: standard output, as text,
    /// unless it is a terminal]
    #[arg(value_name = "DESTINATION")]
    to: Option<String>,
    /// Print the secret keys even on a terminal
    #[arg(long, conflicts_with = "to")]
    danger_show_keys: bool,
}

pub(super) fn new(at: Option<&str>, global: &GlobalOptions, output: Output) -> Result<(), Failure> {
    create("created", at, global, output, || Ok(Keyring::generate().map_err(lacre::Error::from)?))
}

pub(super) fn import(args: &Import, global: &GlobalOptions, output: Output) -> Result<(), Failure> {
    create("copied to", args.at.as_deref(), global, output, || match args.from.as_str() {
        "-" => from_input(),
        reference => Ok(store_options::parse_key_source(reference)?.load()?),
    })
}

pub(super) fn export(args: &Export, global: &GlobalOptions, output: Output) -> Result<(), Failure> {
    let source = store_options::key_source(global)?;
    if args.to.is_some() {
        return create("copied to", args.to.as_deref(), global, output, || Ok(source.load()?));
    }
    let mut out = io::stdout().lock();
    if out.is_terminal() && !args.danger_show_keys {
        return Err(Failure::usage("secret keys are not shown on a terminal")
            .with_hint("name a file, as in `lacre key export file:PATH`, or pipe the output"));
    }
    out.write_all(source.load()?.to_text().as_bytes())?;
    Ok(out.flush()?)
}

/// Writes the keyring that `make` returns to a place that has none.
fn create(
    done: &str,
    at: Option<&str>,
    global: &GlobalOptions,
    output: Output,
    make: impl FnOnce() -> Result<Keyring, Failure>,
) -> Result<(), Failure> {
    let place = match at {
        Some(reference) => store_options::parse_key_source(reference)?,
        None => store_options::key_source(global)?,
    };
    let keeper = keyring::writable(&*place)?;
    store_options::ensure_key_apart(global, &*place)?;
    let reader = Reader::start(&place.describe());
    let ring = make()?;
    keeper.create(&ring)?;
    if reader.is_some_and(|reader| !reader.finds()) {
        let message =
            format!("{} ends with this process: another process does not find it", place.describe());
        return Err(Failure::new(Exit::KeyUnavailable, message).with_hint(
            "keep the key elsewhere, such as file:PATH or systemd:NAME: this session has no lasting kernel keyring",
        ));
    }
    let caveat = place.caveat().map(|caveat| format!("; {caveat}")).unwrap_or_default();
    let text =
        format!("{GOOD}{done}{GOOD:#} {}; its primary key is {}{caveat}", place.describe(), ring.primary());
    keyring::print(output, text, &*place, &ring)
}

/// A second process that checks that a key in the kernel's keyring outlives this one. It starts
/// before this process opens a keyring, since it would inherit that keyring.
struct Reader(Child);

impl Reader {
    /// Starts the process. `None` if the key is kept elsewhere or no process can be started.
    fn start(reference: &str) -> Option<Self> {
        const SCRIPT: &str = "read -r _; exec \"$0\" key show --key \"$1\"";
        let this = std::env::current_exe().ok().filter(|this| this.file_stem() == Some("lacre".as_ref()))?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT]).arg(this).arg(reference);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        reference.starts_with("keyutils:").then(|| command.spawn().ok().map(Self)).flatten()
    }

    /// Whether the process finds the key.
    fn finds(mut self) -> bool {
        drop(self.0.stdin.take());
        self.0.wait().is_ok_and(|status| status.success())
    }
}

fn from_input() -> Result<Keyring, Failure> {
    let refused = |why: String| {
        Failure::new(Exit::KeyUnavailable, format!("standard input is not a key: {why}"))
            .with_hint("pipe in the text of a keyring, or 64 hexadecimal digits")
    };
    let mut input = io::stdin().lock();
    if input.is_terminal() {
        return Err(refused("a key typed on a terminal is visible".into()));
    }
    const MAX_LEN: usize = Keyring::MAX_TEXT_LEN;
    // Full capacity up front: growing would leave parts of the keys in freed memory.
    let mut text = Zeroizing::new(String::with_capacity(MAX_LEN + 1));
    input.by_ref().take(MAX_LEN as u64 + 1).read_to_string(&mut text)?;
    Keyring::parse(&text).map_err(|fault| refused(fault.to_string()))
}
