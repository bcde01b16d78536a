//! HTTP/1.1 read to the letter of RFC 9112: what a proxy writes must not be possible to read in two
//! ways.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A message that was there to its end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Message {
    /// The request line or the status line.
    pub(crate) first: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: String,
    pub(crate) trailers: Vec<(String, String)>,
}

/// Why bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// There must come more.
    Unfinished,
    Wrong(&'static str),
}

/// What tells where a body ends, besides the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    /// To a request with a body to come.
    Response,
    /// To HEAD.
    WithoutBody,
}

impl Message {
    /// The first message in `bytes`, and what follows it. `bytes` is all there will be, if
    /// `closed`.
    pub(crate) fn read(bytes: &[u8], kind: Kind, closed: bool) -> Result<(Self, &[u8]), Unread> {
        let (head, mut rest) = split(bytes, b"\r\n\r\n").ok_or(Unread::Unfinished)?;
        let (first, lines) = split(head, b"\r\n").unwrap_or((head, b""));
        if first.iter().any(u8::is_ascii_control) {
            return Err(Unread::Wrong("a control character in the first line"));
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
                return Err(Unread::Wrong("a length of a body that is not there"));
            }
        } else if !message.all("transfer-encoding").is_empty() {
            (message.body, message.trailers, rest) = chunks(rest)?;
        } else if let Some(length) = length {
            if rest.len() < length {
                return Err(Unread::Unfinished);
            }
            (message.body, rest) = (text(&rest[..length]), &rest[length..]);
        } else if kind == Kind::Response {
            if !closed {
                return Err(Unread::Unfinished);
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

    /// §6.2, §6.3: one Content-Length of digits, or one Transfer-Encoding of `chunked`, or neither.
    fn length(&self) -> Result<Option<usize>, Unread> {
        let (lengths, codings) = (self.all("content-length"), self.all("transfer-encoding"));
        match (&lengths[..], &codings[..]) {
            ([], []) | ([], ["chunked"]) => Ok(None),
            ([length], []) if length.bytes().all(|byte| byte.is_ascii_digit()) => {
                length.parse().map(Some).map_err(|_| Unread::Wrong("no number"))
            }
            _ => Err(Unread::Wrong("contradictory framing")),
        }
    }
}

type Fields = Vec<(String, String)>;

/// §5: a token, a colon, a value, CRLF.
fn fields(mut lines: &[u8]) -> Result<Fields, Unread> {
    let mut fields = Vec::new();
    while !lines.is_empty() {
        let (line, rest) = split(lines, b"\r\n").unwrap_or((lines, b""));
        let (name, value) = split(line, b":").ok_or(Unread::Wrong("a line without a colon"))?;
        let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        if name.is_empty() || !name.iter().all(token) {
            return Err(Unread::Wrong("a name that is no token"));
        }
        if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(Unread::Wrong("a control character in a value"));
        }
        fields.push((text(name).to_ascii_lowercase(), text(value.trim_ascii())));
        lines = rest;
    }
    Ok(fields)
}

/// §7.1
fn chunks(mut rest: &[u8]) -> Result<(String, Fields, &[u8]), Unread> {
    let mut body = String::new();
    loop {
        let (size, after) = split(rest, b"\r\n").ok_or(Unread::Unfinished)?;
        if size.is_empty() || !size.iter().all(u8::is_ascii_hexdigit) {
            return Err(Unread::Wrong("a chunk size that is no number"));
        }
        let size = usize::from_str_radix(&text(size), 16).map_err(|_| Unread::Wrong("a chunk too long"))?;
        if size == 0 {
            let (trailers, rest) = match after.strip_prefix(b"\r\n") {
                Some(rest) => (&b""[..], rest),
                None => split(after, b"\r\n\r\n").ok_or(Unread::Unfinished)?,
            };
            return Ok((body, fields(trailers)?, rest));
        }
        if after.len() < size + 2 {
            return Err(Unread::Unfinished);
        }
        body.push_str(&text(&after[..size]));
        rest = after[size..].strip_prefix(b"\r\n").ok_or(Unread::Wrong("a chunk without its end"))?;
    }
}

fn split<'a>(bytes: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let place = bytes.windows(at.len()).position(|window| window == at)?;
    Some((&bytes[..place], &bytes[place + at.len()..]))
}

fn text(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// An origin that reads requests to the letter, one after the other on each connection, and answers
/// what it is told to.
pub(crate) struct StrictOrigin {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Result<Message, Unread>>>>,
}

impl StrictOrigin {
    /// `answer` gets each request.
    pub(crate) fn start(answer: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (noted, answer) = (Arc::clone(&seen), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, noted, answer) = (stream.unwrap(), Arc::clone(&noted), Arc::clone(&answer));
                thread::spawn(move || serve(stream, &noted, &*answer));
            }
        });
        Self { address, seen }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests since the last call, and what was none. Requests that broke off are not among
    /// them.
    pub(crate) fn take(&self) -> Vec<Result<Message, Unread>> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

fn serve(
    mut stream: TcpStream,
    noted: &Mutex<Vec<Result<Message, Unread>>>,
    answer: &(dyn Fn(&Message) -> Vec<u8> + Sync),
) {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match Message::read(&bytes, Kind::Request, false) {
            Ok((message, rest)) => {
                bytes = rest.to_vec();
                let answer = answer(&message);
                noted.lock().unwrap().push(Ok(message));
                if stream.write_all(&answer).is_err() {
                    return;
                }
            }
            Err(Unread::Unfinished) => match stream.read(&mut buffer) {
                Ok(read) if read > 0 => bytes.extend_from_slice(&buffer[..read]),
                _ => return,
            },
            Err(wrong) => return noted.lock().unwrap().push(Err(wrong)),
        }
    }
}
