//! An origin that does with each request, and its connection, what the test says.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// An origin. It lives as long as the test.
pub(crate) struct Origin {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Origin {
    /// `serve` gets each request's head as text, and the connection to write to; there is one request to a connection.
    pub(crate) fn start(serve: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> Self {
        Self::keeping(move |_, head, stream| {
            serve(head, stream);
            false
        })
    }

    /// One that keeps connections for as long as `serve`, which also gets how many requests came before on the same one, returns `true`.
    pub(crate) fn keeping(
        serve: impl Fn(usize, &str, &mut TcpStream) -> bool + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (noted, serve) = (Arc::clone(&seen), Arc::new(serve));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, noted, serve) = (stream.unwrap(), Arc::clone(&noted), Arc::clone(&serve));
                thread::spawn(move || {
                    for before in 0.. {
                        let Some(head) = read_head(&mut stream) else { return };
                        noted.lock().unwrap().push(head.clone());
                        if !serve(before, &head, &mut stream) {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, seen }
    }

    /// One that answers everything alike. `headers` are lines that end in `\r\n`.
    pub(crate) fn always(headers: &'static str, body: &'static str) -> Self {
        Self::start(move |_, stream| answer(stream, "200 OK", headers, body))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The heads of all requests so far.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

/// Writes a whole response. Who hangs up early is part of some tests.
pub(crate) fn answer(stream: &mut TcpStream, status: &str, headers: &str, body: &str) {
    let length = body.len();
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    );
}

/// Everything up to the empty line.
pub(crate) fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    Some(String::from_utf8(head).unwrap())
}
