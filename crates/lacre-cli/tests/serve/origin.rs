//! An origin whose responses the test writes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// An origin on loopback. It runs until the test ends.
pub(crate) struct Origin {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Origin {
    /// An origin with one request on each connection. `serve` gets the head of the request as
    /// text, and the connection to write to.
    pub(crate) fn start(serve: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> Self {
        Self::persistent(move |_, head, stream| {
            serve(head, stream);
            false
        })
    }

    /// An origin with persistent connections, which close when `serve` returns `false`. `serve`
    /// also gets the number of earlier requests on the connection.
    pub(crate) fn persistent(
        serve: impl Fn(usize, &str, &mut TcpStream) -> bool + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (record, serve) = (Arc::clone(&seen), Arc::new(serve));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, record, serve) = (stream.unwrap(), Arc::clone(&record), Arc::clone(&serve));
                thread::spawn(move || {
                    for before in 0.. {
                        let Some(head) = read_head(&mut stream) else { return };
                        record.lock().unwrap().push(head.clone());
                        if !serve(before, &head, &mut stream) {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, seen }
    }

    /// An origin with the same response to every request. Each line of `headers` ends in `\r\n`.
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

/// Writes a complete response. Ignores a connection that the proxy has closed, as in some tests.
pub(crate) fn answer(stream: &mut TcpStream, status: &str, headers: &str, body: &str) {
    let length = body.len();
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    );
}

/// Reads the head of a message, up to the empty line. `None` if the connection ends before.
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
