//! Forms of requests, one row for each: the responses, and the requests that reach a strict
//! origin. A request that the proxy and the origin read differently fails the test.

use crate::proxy::Proxy;
use crate::strict_http::{Kind, Message, ReadError, StrictOrigin};

/// A form of request.
struct Row {
    name: &'static str,
    sent: Vec<u8>,
    /// Whether the client then closes its half of the connection.
    ends: bool,
    /// The statuses of the responses.
    answers: &'static [u16],
    /// The requests that reach the origin: the request line without its version, and the body.
    reaches: &'static [(&'static str, &'static str)],
}

impl Row {
    fn ending(self) -> Self {
        Self { ends: true, ..self }
    }
}

fn row(
    name: &'static str,
    sent: impl Into<Vec<u8>>,
    answers: &'static [u16],
    reaches: &'static [(&'static str, &'static str)],
) -> Row {
    Row { name, sent: sent.into(), ends: false, answers, reaches }
}

/// A complete request with these header lines.
fn get(lines: &str) -> String {
    format!("GET /a HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\n{lines}\r\n")
}

fn line(line: &str) -> String {
    format!("{line}\r\nHost: h.test\r\nConnection: close\r\n\r\n")
}

fn post(lines: &str, body: &str) -> String {
    format!("POST /a HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\n{lines}\r\n{body}")
}

/// A chunked request with these bytes after its header.
fn chunked(body: &str) -> String {
    post("Transfer-Encoding: chunked\r\n", body)
}

const GET: &[(&str, &str)] = &[("GET /a", "")];
const POST: &[(&str, &str)] = &[("POST /a", "hello")];
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: h.test\r\n\r\n";

fn heads() -> Vec<Row> {
    let many = |count| (0..count).map(|number| format!("x-{number}: 1\r\n")).collect::<String>();
    vec![
        row("a plain request", get(""), &[200], GET),
        row("an unregistered method", line("get /a HTTP/1.1"), &[200], &[("get /a", "")]),
        row("no version", "GET /a\r\n\r\n", &[400], &[]),
        row("HTTP/1.2", line("GET /a HTTP/1.2"), &[400], &[]),
        row("HTTP/2.0 in a request line", line("GET /a HTTP/2.0"), &[400], &[]),
        row("a version in small letters", line("GET /a http/1.1"), &[400], &[]),
        row("two spaces after the method", line("GET  /a HTTP/1.1"), &[400], &[]),
        row("a tab after the method", line("GET\t/a HTTP/1.1"), &[400], &[]),
        row("a space in the target", line("GET /a /b HTTP/1.1"), &[400], &[]),
        row("a control character in the target", line("GET /a\x01 HTTP/1.1"), &[400], &[]),
        row("an empty line before the request", format!("\r\n{}", get("")), &[200], GET),
        row("lines that end in LF", get("").replace("\r\n", "\n"), &[200], GET),
        row("a bare CR in a value", get("x: a\rb\r\n"), &[400], &[]),
        row("NUL in a value", get("x: a\0b\r\n"), &[400], &[]),
        row("NUL in a name", get("x\0: a\r\n"), &[400], &[]),
        row("a space before the colon", get("x : a\r\n"), &[400], &[]),
        row("a space before the colon of a length", post("Content-Length : 5\r\n", "hello"), &[400], &[]),
        row("a folded line", get("x: a\r\n b\r\n"), &[400], &[]),
        row("a space before the first line", "GET /a HTTP/1.1\r\n Host: h.test\r\n\r\n", &[400], &[]),
        row("a line without a colon", get("x\r\n"), &[400], &[]),
        row("an empty name", get(": a\r\n"), &[400], &[]),
        row("a name that is not a token", get("x(y): a\r\n"), &[400], &[]),
        row(
            "bytes beyond ASCII in a value",
            [get("x: caf").trim_end().as_bytes(), b"\xe9\r\n\r\n"].concat(),
            &[200],
            GET,
        ),
        row("two hosts", get("Host: other.test\r\n"), &[400], &[]),
        row("no host", "GET /a HTTP/1.1\r\nConnection: close\r\n\r\n", &[400], &[]),
        row("an empty host", "GET /a HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n", &[400], &[]),
        row(
            "a host with a user",
            "GET /a HTTP/1.1\r\nHost: u@h.test\r\nConnection: close\r\n\r\n",
            &[400],
            &[],
        ),
        row(
            "a host with a path",
            "GET /a HTTP/1.1\r\nHost: h.test/a\r\nConnection: close\r\n\r\n",
            &[400],
            &[],
        ),
        row("absolute-form with another host", line("GET http://other.test/a HTTP/1.1"), &[200], GET),
        row(
            "absolute-form without a host",
            "GET http://h.test/a HTTP/1.1\r\nConnection: close\r\n\r\n",
            &[400],
            &[],
        ),
        row("authority-form for GET", line("GET h.test:80 HTTP/1.1"), &[400], &[]),
        row("asterisk-form for GET", line("GET * HTTP/1.1"), &[400], &[]),
        row("asterisk-form for OPTIONS", line("OPTIONS * HTTP/1.1"), &[200], &[("OPTIONS *", "")]),
        row(
            "CONNECT, and a request inside the tunnel",
            format!("CONNECT h.test:443 HTTP/1.1\r\nHost: h.test:443\r\n\r\n{SMUGGLED}"),
            &[405],
            &[],
        ),
        row("CONNECT", line("CONNECT h.test:443 HTTP/1.1"), &[405], &[]),
        row("a fragment", line("GET /a#b HTTP/1.1"), &[200], GET),
        row("a target of 70,000 bytes", line(&format!("GET /{} HTTP/1.1", "a".repeat(70_000))), &[431], &[]),
        row("a value of 30,000 bytes", get(&format!("x: {}\r\n", "a".repeat(30_000))), &[200], GET),
        row("a value of 70,000 bytes", get(&format!("x: {}\r\n", "a".repeat(70_000))), &[431], &[]),
        row("150 lines", get(&many(150)), &[200], GET),
        row("1,050 lines", get(&many(1050)), &[431], &[]),
        row("5,000 lines", get(&many(5000)), &[431], &[]),
        row("another expectation than 100-continue", get("Expect: tea\r\n"), &[417], &[]),
        row("an upgrade", get("Upgrade: h2c, websocket\r\nHTTP2-Settings: AAMA\r\n"), &[200], GET),
        row("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", &[400], &[]),
        row("HTTP/1.0 without a host", "GET /a HTTP/1.0\r\n\r\n", &[200], GET),
        row(
            "HTTP/1.0 on a persistent connection",
            "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /b HTTP/1.0\r\n\r\n",
            &[200, 200],
            &[("GET /a", ""), ("GET /b", "")],
        ),
        row(
            "three requests at once",
            format!(
                "GET /b HTTP/1.1\r\nHost: h.test\r\n\r\nGET /c HTTP/1.1\r\nHost: h.test\r\n\r\n{}",
                get("")
            ),
            &[200, 200, 200],
            &[("GET /b", ""), ("GET /c", ""), ("GET /a", "")],
        ),
        row(
            "a good request and a bad one",
            "GET /b HTTP/1.1\r\nHost: h.test\r\n\r\nGET /c HTTP/1.1\r\nHost : h.test\r\n\r\n",
            &[200, 400],
            &[("GET /b", "")],
        ),
        row(
            "hop-by-hop fields",
            get(
                "Connection: x, Host, Via\r\nx: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: close\r\nProxy: http://evil.test/\r\n",
            ),
            &[200],
            GET,
        ),
    ]
}

fn lengths() -> Vec<Row> {
    let length = |lines: &str| post(lines, "hello");
    vec![
        row("a length", length("Content-Length: 5\r\n"), &[200], POST),
        row("a length with zeros before it", length("Content-Length: 0005\r\n"), &[200], POST),
        row("the same length twice", length("Content-Length: 5\r\nContent-Length: 5\r\n"), &[200], POST),
        row("two lengths", length("Content-Length: 5\r\nContent-Length: 6\r\n"), &[400], &[]),
        row("a list of equal lengths", length("Content-Length: 5, 5\r\n"), &[400], &[]),
        row("a list of lengths", length("Content-Length: 5, 6\r\n"), &[400], &[]),
        row("a length with a sign", length("Content-Length: +5\r\n"), &[400], &[]),
        row("a negative length", length("Content-Length: -5\r\n"), &[400], &[]),
        row("a hexadecimal length", length("Content-Length: 0x5\r\n"), &[400], &[]),
        row("an empty length", length("Content-Length:\r\n"), &[400], &[]),
        row("a length of two numbers", length("Content-Length: 5 5\r\n"), &[400], &[]),
        row("a length beyond 64 bits", length("Content-Length: 18446744073709551621\r\n"), &[400], &[]),
        row("a length beyond the limit", length("Content-Length: 9223372036854775807\r\n"), &[413], &[]),
        row("a misspelt Content-Length", length("Content_Length: 5\r\n"), &[200], &[("POST /a", "")]),
        row("a body that ends early", post("Content-Length: 9\r\n", "hello"), &[400], &[]).ending(),
        row("a body of GET", get("Content-Length: 5\r\n") + "hello", &[200], &[("GET /a", "hello")]),
        row(
            "a body of HEAD",
            "HEAD /a HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
            &[200],
            &[("HEAD /a", "hello")],
        ),
        row(
            "an expectation of 100-continue",
            length("Expect: 100-continue\r\nContent-Length: 5\r\n"),
            &[100, 200],
            POST,
        ),
        row(
            "the same in HTTP/1.0",
            "POST /a HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
            &[200],
            POST,
        ),
        row(
            "a length named by Connection",
            length("Connection: Content-Length\r\nContent-Length: 5\r\n"),
            &[200],
            POST,
        ),
    ]
}

fn codings() -> Vec<Row> {
    let coded = |lines: &str| post(lines, "5\r\nhello\r\n0\r\n\r\n");
    let overridden =
        |lines: &str| format!("POST /a HTTP/1.1\r\nHost: h.test\r\n{lines}\r\n0\r\n\r\n{SMUGGLED}");
    vec![
        row("chunked", coded("Transfer-Encoding: chunked\r\n"), &[200], POST),
        row("chunked in mixed case", coded("Transfer-Encoding:\tChunKed \r\n"), &[200], POST),
        row("gzip, chunked", coded("Transfer-Encoding: gzip, chunked\r\n"), &[501], &[]),
        row("an unknown coding, chunked", coded("Transfer-Encoding: foo, chunked\r\n"), &[501], &[]),
        row("gzip", coded("Transfer-Encoding: gzip\r\n"), &[400], &[]),
        row("chunked, gzip", coded("Transfer-Encoding: chunked, gzip\r\n"), &[400], &[]),
        row("identity", coded("Transfer-Encoding: identity\r\n"), &[400], &[]),
        row("chunked twice", coded("Transfer-Encoding: chunked, chunked\r\n"), &[501], &[]),
        row(
            "chunked in two lines",
            coded("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
            &[501],
            &[],
        ),
        row(
            "chunked, then identity",
            coded("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
            &[400],
            &[],
        ),
        row(
            "identity, then chunked",
            coded("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n"),
            &[501],
            &[],
        ),
        row("xchunked", coded("Transfer-Encoding: xchunked\r\n"), &[400], &[]),
        row("chunked with a parameter", coded("Transfer-Encoding: chunked;q=1\r\n"), &[400], &[]),
        row("chunked in quotes", coded("Transfer-Encoding: \"chunked\"\r\n"), &[400], &[]),
        row("chunked behind a vertical tab", coded("Transfer-Encoding: \x0bchunked\r\n"), &[400], &[]),
        row("chunked, folded", coded("Transfer-Encoding:\r\n chunked\r\n"), &[400], &[]),
        row("a space before the colon", coded("Transfer-Encoding : chunked\r\n"), &[400], &[]),
        row(
            "a misspelt Transfer-Encoding",
            coded("Transfer_Encoding: chunked\r\nContent-Length: 0\r\n"),
            &[200],
            &[("POST /a", "")],
        ),
        row(
            "in HTTP/1.0",
            coded("Transfer-Encoding: chunked\r\n").replace("HTTP/1.1", "HTTP/1.0"),
            &[400],
            &[],
        ),
        row(
            "a length, then chunked",
            overridden("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
            &[200],
            &[("POST /a", "")],
        ),
        row(
            "chunked, then a length",
            overridden("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
            &[200],
            &[("POST /a", "")],
        ),
        row(
            "chunked and an invalid length",
            overridden("Transfer-Encoding: chunked\r\nContent-Length: five\r\n"),
            &[200],
            &[("POST /a", "")],
        ),
        row(
            "a chunked body of GET",
            get("Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n0\r\n\r\n",
            &[200],
            &[("GET /a", "hello")],
        ),
        row(
            "a coding named by Connection",
            coded("Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n"),
            &[200],
            POST,
        ),
    ]
}

fn bodies() -> Vec<Row> {
    let long = "a".repeat(20_000);
    vec![
        row("two chunks", chunked("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), &[200], POST),
        row("a size with zeros before it", chunked("0005\r\nhello\r\n000\r\n\r\n"), &[200], POST),
        row("an extension", chunked("5;a=\"b\"\r\nhello\r\n0;c\r\n\r\n"), &[200], POST),
        row("a size with 0x", chunked("0x5\r\nhello\r\n0\r\n\r\n"), &[400], &[]),
        row("a size and junk", chunked("5zz\r\nhello\r\n0\r\n\r\n"), &[400], &[]),
        row("a size with a sign", chunked("+5\r\nhello\r\n0\r\n\r\n"), &[400], &[]),
        row("a negative size", chunked("-5\r\nhello\r\n0\r\n\r\n"), &[400], &[]),
        row("a space before a size", chunked(" 5\r\nhello\r\n0\r\n\r\n"), &[400], &[]),
        row("no size", chunked("\r\nhello\r\n0\r\n\r\n"), &[400], &[]),
        row("a size beyond 64 bits", chunked("10000000000000005\r\nhello\r\n0\r\n\r\n"), &[400], &[]),
        row("a size that ends in LF", chunked("5\nhello\r\n0\r\n\r\n"), &[400], &[]),
        row("an extension with LF", chunked("5;a\nb\r\nhello\r\n0\r\n\r\n"), &[400], &[]),
        row("an extension of 20,000 bytes", chunked(&format!("5;{long}\r\nhello\r\n0\r\n\r\n")), &[400], &[]),
        row("a chunk longer than its size", chunked("5\r\nhelloXX\r\n0\r\n\r\n"), &[400], &[]),
        row("a chunk shorter than its size", chunked("6\r\nhello\r\n0\r\n\r\n"), &[400], &[]),
        row("a chunk that ends in LF", chunked("5\r\nhello\n0\r\n\r\n"), &[400], &[]),
        row("no last chunk", chunked("5\r\nhello\r\n"), &[400], &[]).ending(),
        row("half a chunk", chunked("5\r\nhel"), &[400], &[]).ending(),
        row("half a size", chunked("5"), &[400], &[]).ending(),
        row("no end of the trailer section", chunked("5\r\nhello\r\n0\r\nx: 1\r\n"), &[400], &[]).ending(),
        row("trailer fields", chunked("5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n"), &[200], POST),
        row("an invalid trailer field", chunked("5\r\nhello\r\n0\r\nx sum: 1\r\n\r\n"), &[400], &[]),
        row(
            "a trailer section of 20,000 bytes",
            chunked(&format!("5\r\nhello\r\n0\r\nx: {long}\r\n\r\n")),
            &[400],
            &[],
        ),
    ]
}

#[test]
fn every_form_of_request_means_the_same_to_the_proxy_and_the_origin() {
    let origin = StrictOrigin::start(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec());
    let proxy = Proxy::to(&origin.url(), &["--no-access-log"]);
    let rows: Vec<_> = [heads(), lengths(), codings(), bodies()].into_iter().flatten().collect();
    assert!(rows.len() >= 60);
    let mut wrong = Vec::new();
    for Row { name, sent, ends, answers, reaches } in &rows {
        let came = if *ends { proxy.send_and_end(sent) } else { proxy.send_bytes(sent) };
        let got = statuses(&came, if sent.starts_with(b"HEAD") { Kind::WithoutBody } else { Kind::Response });
        let reached: Vec<_> =
            origin.take().into_iter().map(|seen| seen.map(|request| summary(&request))).collect();
        let expected: Vec<_> =
            reaches.iter().map(|(line, body)| Ok((*line).to_owned() + " " + body)).collect();
        println!("{name}: {answers:?}{}", if reaches.is_empty() { "" } else { ", passed on" });
        if got.as_deref() != Ok(*answers) || reached != expected {
            wrong.push(format!("{name}: {got:?} for {answers:?}, {reached:?} for {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(origin.take().len(), 0, "a request was smuggled");
}

/// The statuses of all responses, read strictly. An error response must have a body.
fn statuses(bytes: &[u8], kind: Kind) -> Result<Vec<u16>, ReadError> {
    let (mut rest, mut statuses) = (bytes, Vec::new());
    while !rest.is_empty() {
        let (answer, after) = Message::read(rest, kind, true)?;
        let status = answer.status().ok_or(ReadError::Invalid("no status"))?;
        if status >= 400 && answer.body.is_empty() {
            return Err(ReadError::Invalid("an error response without a body"));
        }
        statuses.push(status);
        rest = after;
    }
    Ok(statuses)
}

/// A request in the form of the rows.
fn summary(request: &Message) -> String {
    let line = request.first.strip_suffix(" HTTP/1.1").unwrap_or("not HTTP/1.1");
    let hop = [
        "connection",
        "keep-alive",
        "proxy",
        "proxy-connection",
        "upgrade",
        "http2-settings",
        "expect",
        "te",
    ];
    let leaked = request.fields.iter().find(|(name, _)| hop.contains(&name.as_str()));
    let leaked = leaked.map(|(name, _)| format!(" leaked {name}")).unwrap_or_default();
    format!("{line} {}{leaked}", request.body)
}

#[test]
fn a_request_that_cannot_be_parsed_is_logged_and_counted() {
    let proxy = Proxy::to("http://127.0.0.1:1", &["--admin", "127.0.0.1:0"]);
    assert!(proxy.send("GET /?token=secret\r\n\r\n").starts_with("HTTP/1.1 400 "));
    let counted = "lacre_requests_total{result=\"error\"} 1";
    let begun = std::time::Instant::now();
    while !proxy.metrics().contains(counted) {
        assert!(begun.elapsed() < crate::proxy::TIMEOUT);
    }
    proxy.terminate();
    let log = proxy.wait().1;
    let line = log.iter().find(|line| line["schema"] == "lacre/access/v1").unwrap();
    assert_eq!((&line["status"], &line["method"]), (&400.into(), &"-".into()));
    assert!(line["fault"].is_string() && !format!("{log:?}").contains("secret"));
}

#[test]
fn the_host_of_an_absolute_url_is_forwarded() {
    let origin = StrictOrigin::start(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec());
    let proxy = Proxy::to(&origin.url(), &[]);
    proxy.send(&line("GET http://url.test/a HTTP/1.1"));
    let seen = origin.take().remove(0).unwrap();
    assert_eq!(seen.one("x-forwarded-host"), Some("url.test"));
    assert_eq!(seen.all("host").len(), 1);
}

#[test]
fn announced_trailer_fields_reach_the_origin_and_forbidden_ones_do_not() {
    let origin = StrictOrigin::start(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec());
    let proxy = Proxy::to(&origin.url(), &[]);
    let lines = "Transfer-Encoding: chunked\r\nTrailer: X-Sum, Host, Content-Length\r\n";
    let trailers = "X-Sum: 7\r\nHost: evil.test\r\nContent-Length: 3\r\nX-Unannounced: 1\r\n";
    proxy.send(&post(lines, &format!("5\r\nhello\r\n0\r\n{trailers}\r\n")));
    let seen = origin.take().remove(0).unwrap();
    assert_eq!(seen.body, "hello");
    assert_eq!(seen.trailers, [("x-sum".to_owned(), "7".to_owned())]);
    // A request without a trailer section announces none.
    proxy.send(&post("Content-Length: 5\r\nTrailer: X-Sum\r\n", "hello"));
    assert!(origin.take().remove(0).unwrap().all("trailer").is_empty());
}

#[test]
fn the_limit_of_header_lines_is_configurable() {
    let origin = StrictOrigin::start(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec());
    let proxy = Proxy::to(&origin.url(), &["--max-header-lines", "20"]);
    let answer = |count: usize| {
        let lines: String = (0..count).map(|number| format!("x-{number}: 1\r\n")).collect();
        proxy.send(&get(&lines))
    };
    assert!(answer(18).starts_with("HTTP/1.1 200 "));
    for count in [19, 100, 200, 1000] {
        let refused = answer(count);
        assert!(refused.starts_with("HTTP/1.1 431 ") && refused.contains("--max-header-lines"), "{refused}");
    }
}
