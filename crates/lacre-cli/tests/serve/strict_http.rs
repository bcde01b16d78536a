//! A strict reader of HTTP/1.1 (RFC 9112). Two readers cannot understand its messages differently.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A complete message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    /// The request line or the status line.
    pub(crate) first: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) trailers: Vec<(String, String)>,
}

/// Why bytes are not a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReadError {
    /// The end is missing.
    Unfinished,
    Invalid(&'static str),
}

/// The kind of a message, which decides with the header where its body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    /// A response to another method than HEAD.
    Response,
    /// A response to HEAD.
    WithoutBody,
}

impl Message {
    /// Reads the first message in `bytes`, and returns the rest. If `closed`, nothing follows
    /// `bytes`.
    pub(crate) fn read(bytes: &[u8], kind: Kind, closed: bool) -> Result<(Self, &[u8]), ReadError> {
        let (head, mut rest) = split_at(bytes, b"\r\n\r\n").ok_or(ReadError::Unfinished)?;
        let (first, lines) = split_at(head, b"\r\n").unwrap_or((head, b""));
        if first.iter().any(u8::is_ascii_control) {
            return Err(ReadError::Invalid("a control character in the first line"));
        }
        let fields = fields(lines)?;
        let mut message = Self { first: text(first), fields, ..Self::default() };
        let length = message.length()?;
        let status = message.status().unwrap_or_default();
        let bodiless = kind == Kind::WithoutBody || status / 100 == 1 || status == 204 || status == 304;
        if bodiless {
            let framed = (length.is_some() && kind != Kind::WithoutBody)
                || !message.all("transfer-encoding").is_empty();
            if framed && status != 304 {
                return Err(ReadError::Invalid("a length without a body"));
            }
        } else if !message.all("transfer-encoding").is_empty() {
            (message.body, message.trailers, rest) = chunks(rest)?;
        } else if let Some(length) = length {
            if rest.len() < length {
                return Err(ReadError::Unfinished);
            }
            (message.body, rest) = (text(&rest[..length]), &rest[length..]);
        } else if kind == Kind::Response {
            if !closed {
                return Err(ReadError::Unfinished);
            }
            (message.body, rest) = (text(rest), b"");
        }
        Ok((message, rest))
    }

    /// All values of a field.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.fields.iter().filter(|(found, _)| found == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The only value of a field.
    pub(crate) fn one(&self, name: &str) -> Option<&str> {
        match self.all(name)[..] {
            [value] => Some(value),
            _ => None,
        }
    }

    /// The status of a response.
    pub(crate) fn status(&self) -> Option<u16> {
        self.first.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()
    }

    /// The length of the body. Accepts one Content-Length of digits, one Transfer-Encoding
    /// `chunked`, or neither (§6.2, §6.3).
    fn length(&self) -> Result<Option<usize>, ReadError> {
        let (lengths, codings) = (self.all("content-length"), self.all("transfer-encoding"));
        match (&lengths[..], &codings[..]) {
            ([], []) | ([], ["chunked"]) => Ok(None),
            ([length], []) if length.bytes().all(|byte| byte.is_ascii_digit()) => {
                length.parse().map(Some).map_err(|_| ReadError::Invalid("not a number"))
            }
            _ => Err(ReadError::Invalid("contradictory framing")),
        }
    }
}

type Fields = Vec<(String, String)>;

/// Reads field lines: a token, a colon, a value, CRLF (§5).
fn fields(mut lines: &[u8]) -> Result<Fields, ReadError> {
    let mut fields = Vec::new();
    while !lines.is_empty() {
        let (line, rest) = split_at(lines, b"\r\n").unwrap_or((lines, b""));
        let (name, value) = split_at(line, b":").ok_or(ReadError::Invalid("a line without a colon"))?;
        let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        if name.is_empty() || !name.iter().all(token) {
            return Err(ReadError::Invalid("a name that is not a token"));
        }
        if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(ReadError::Invalid("a control character in a value"));
        }
        fields.push((text(name).to_ascii_lowercase(), text(value.trim_ascii())));
        lines = rest;
    }
    Ok(fields)
}

/// Reads a chunked body (§7.1).
fn chunks(mut rest: &[u8]) -> Result<(String, Fields, &[u8]), ReadError> {
    let mut body = String::new();
    loop {
        let (size, after) = split_at(rest, b"\r\n").ok_or(ReadError::Unfinished)?;
        if size.is_empty() || !size.iter().all(u8::is_ascii_hexdigit) {
            return Err(ReadError::Invalid("a chunk size that is not a number"));
        }
        let size =
            usize::from_str_radix(&text(size), 16).map_err(|_| ReadError::Invalid("a chunk too long"))?;
        if size == 0 {
            let (trailers, rest) = match after.strip_prefix(b"\r\n") {
                Some(rest) => (&b""[..], rest),
                None => split_at(after, b"\r\n\r\n").ok_or(ReadError::Unfinished)?,
            };
            return Ok((body, fields(trailers)?, rest));
        }
        if after.len() < size + 2 {
            return Err(ReadError::Unfinished);
        }
        body.push_str(&text(&after[..size]));
        rest = after[size..].strip_prefix(b"\r\n").ok_or(ReadError::Invalid("a chunk without its end"))?;
    }
}

fn split_at<'a>(bytes: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let start = bytes.windows(at.len()).position(|window| window == at)?;
    Some((&bytes[..start], &bytes[start + at.len()..]))
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// An origin that reads requests strictly, one after the other on each connection.
pub(crate) struct StrictOrigin {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Result<Message, ReadError>>>>,
}

impl StrictOrigin {
    /// An origin that answers each request with the result of `answer`.
    pub(crate) fn start(answer: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (record, answer) = (Arc::clone(&seen), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, record, answer) = (stream.unwrap(), Arc::clone(&record), Arc::clone(&answer));
                thread::spawn(move || serve(stream, &record, &*answer));
            }
        });
        Self { address, seen }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests since the last call, or why they are invalid. Requests that broke off are
    /// left out.
    pub(crate) fn take(&self) -> Vec<Result<Message, ReadError>> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

fn serve(
    mut stream: TcpStream,
    record: &Mutex<Vec<Result<Message, ReadError>>>,
    answer: &(dyn Fn(&Message) -> Vec<u8> + Sync),
) {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match Message::read(&bytes, Kind::Request, false) {
            Ok((message, rest)) => {
                bytes = rest.to_vec();
                let answer = answer(&message);
                record.lock().unwrap().push(Ok(message));
                if stream.write_all(&answer).is_err() {
                    return;
                }
            }
            Err(ReadError::Unfinished) => match stream.read(&mut buffer) {
                Ok(read) if read > 0 => bytes.extend_from_slice(&buffer[..read]),
                _ => return,
            },
            Err(invalid) => return record.lock().unwrap().push(Err(invalid)),
        }
    }
}
