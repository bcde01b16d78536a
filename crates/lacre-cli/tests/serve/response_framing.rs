//! Forms of responses, one row for each. The response that the proxy forwards, the one that it
//! stores and its `Cache-Status` must agree.

use crate::origin::Origin;
use crate::proxy::{Proxy, header};
use crate::strict_http::{Kind, Message, ReadError, StrictOrigin};
use std::io::Write;
use std::sync::Arc;

/// A form of response.
struct Row {
    name: &'static str,
    sent: Vec<u8>,
    result: Forwarded,
}

/// The response that the client gets.
#[derive(Clone, Copy)]
enum Forwarded {
    /// The complete response, and then the same from the cache.
    Stored(u16, &'static str),
    /// The complete response, from the origin each time.
    Passed(u16, &'static str),
    /// A part of the response, whose end is missing.
    Truncated,
    /// A 502 of the proxy.
    Refused,
}

use Forwarded::{Passed, Refused, Stored, Truncated};

const HELLO: Forwarded = Stored(200, "hello");

fn row(name: &'static str, sent: impl Into<Vec<u8>>, result: Forwarded) -> Row {
    Row { name, sent: sent.into(), result }
}

/// A storable response with these header lines and this body. Its connection closes, as announced.
fn ok(lines: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nConnection: close\r\n{lines}\r\n{body}")
}

/// A storable response with this chunked body.
fn chunked(body: &str) -> String {
    ok("Transfer-Encoding: chunked\r\n", body)
}

const CHUNKS: &str = "5\r\nhello\r\n0\r\n\r\n";

fn heads() -> Vec<Row> {
    let body = |lines: &str| ok(&format!("{lines}Content-Length: 5\r\n"), "hello");
    let first = |line: &str| body("").replace("HTTP/1.1 200 OK", line);
    let many = |count| (0..count).map(|number| format!("x-{number}: 1\r\n")).collect::<String>();
    let long = |length| format!("x: {}\r\n", "a".repeat(length));
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
    vec![
        row("HTTP/1.0", first("HTTP/1.0 200 OK"), HELLO),
        row("HTTP/1.2", first("HTTP/1.2 200 OK"), Refused),
        row("HTTP/2.0 in a status line", first("HTTP/2.0 200 OK"), Refused),
        row("no status line", "hello", Refused),
        row("a status of two digits", first("HTTP/1.1 20 OK"), Refused),
        row("a status of four digits", first("HTTP/1.1 2000 OK"), Refused),
        row("a status that is not a number", first("HTTP/1.1 OK"), Refused),
        row("no reason phrase", first("HTTP/1.1 200"), HELLO),
        row("an unregistered reason phrase", first("HTTP/1.1 200 Fine By Me"), HELLO),
        row("an empty line before the response", format!("\r\n{}", body("")), HELLO),
        row("lines that end in LF", ok("Content-Length: 5\r\n", "").replace("\r\n", "\n") + "hello", HELLO),
        row("a bare CR in a value", body("x: a\rb\r\n"), Refused),
        row("NUL in a value", body("x: a\0b\r\n"), Refused),
        row("NUL in a name", body("x\0: a\r\n"), Refused),
        row("a space before the colon", body("x : a\r\n"), Refused),
        row("a space before the colon of a length", ok("Content-Length : 5\r\n", "hello"), Refused),
        row("a folded line", body("x: a\r\n b\r\n"), Refused),
        row("a line without a colon", body("x\r\n"), Refused),
        row("an empty name", body(": a\r\n"), Refused),
        row("a name that is not a token", body("x(y): a\r\n"), Refused),
        row(
            "bytes beyond ASCII in a value",
            [ok("Content-Length: 5\r\n", "").trim_end().as_bytes(), b"\r\nx: caf\xe9\r\n\r\nhello"].concat(),
            HELLO,
        ),
        row("150 lines", body(&many(150)), HELLO),
        row("1,050 lines", body(&many(1050)), Refused),
        row("5,000 lines", body(&many(5000)), Refused),
        row("a value of 30,000 bytes", body(&long(30_000)), HELLO),
        row("a value of 70,000 bytes", body(&long(70_000)), Refused),
        row("nothing", "", Refused),
        row("half a head", "HTTP/1.1 200 OK\r\nCache-Control: max-", Refused),
        row("an interim response first", format!("{hints}{}", body("")), HELLO),
        row("100 first", format!("HTTP/1.1 100 Continue\r\n\r\n{}", body("")), HELLO),
        row(
            "an interim response with a length",
            format!("{}{}", hints.replace("\r\n\r\n", "\r\nContent-Length: 5\r\n\r\n"), body("")),
            HELLO,
        ),
        row("1,000 interim responses", hints.repeat(1000) + &body(""), HELLO),
        row("an interim response alone", hints, Refused),
        row(
            "unsolicited 101",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            Refused,
        ),
        row(
            "hop-by-hop fields",
            body(
                "Connection: x, Content-Length, close\r\nx: 1\r\nKeep-Alive: timeout=5\r\nUpgrade: h2c\r\nProxy-Connection: close\r\n",
            ),
            HELLO,
        ),
        row(
            "a second response after it",
            body("") + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
            HELLO,
        ),
    ]
}

fn lengths() -> Vec<Row> {
    let length = |lines: &str| ok(lines, "hello");
    vec![
        row("a length", length("Content-Length: 5\r\n"), HELLO),
        row("no length", length(""), HELLO),
        row("no length in HTTP/1.0", length("").replace("HTTP/1.1", "HTTP/1.0"), HELLO),
        row("a length with zeros before it", length("Content-Length: 0005\r\n"), HELLO),
        row("the same length twice", length("Content-Length: 5\r\nContent-Length: 5\r\n"), HELLO),
        row("a list of equal lengths", length("Content-Length: 5, 5\r\n"), HELLO),
        row("two lengths", length("Content-Length: 5\r\nContent-Length: 4\r\n"), Refused),
        row("a list of lengths", length("Content-Length: 5, 4\r\n"), Refused),
        row("a length with a sign", length("Content-Length: +5\r\n"), Refused),
        row("a negative length", length("Content-Length: -5\r\n"), Refused),
        row("a hexadecimal length", length("Content-Length: 0x5\r\n"), Refused),
        row("an empty length", length("Content-Length:\r\n"), Refused),
        row("a length of two numbers", length("Content-Length: 5 5\r\n"), Refused),
        row("a length beyond 64 bits", length("Content-Length: 18446744073709551621\r\n"), Refused),
        row("a body longer than its length", length("Content-Length: 4\r\n"), Stored(200, "hell")),
        row("a body that ends early", length("Content-Length: 6\r\n"), Truncated),
        row(
            "a body that ends early in HTTP/1.0",
            length("Content-Length: 6\r\n").replace("HTTP/1.1", "HTTP/1.0"),
            Truncated,
        ),
        row("204", ok("", "").replace("200 OK", "204 No Content"), Stored(204, "")),
        row(
            "204 with a length and a body",
            ok("Content-Length: 5\r\n", "hello").replace("200 OK", "204 No Content"),
            Stored(204, ""),
        ),
        row(
            "204 with a length of zero",
            ok("Content-Length: 0\r\n", "").replace("200 OK", "204 No Content"),
            Stored(204, ""),
        ),
        row("204 with chunks", chunked(CHUNKS).replace("200 OK", "204 No Content"), Stored(204, "")),
        row(
            "unsolicited 304",
            ok("Content-Length: 5\r\n", "hello").replace("200 OK", "304 Not Modified"),
            Passed(304, ""),
        ),
        row(
            "304 with two lengths",
            ok("Content-Length: 5\r\nContent-Length: 6\r\n", "").replace("200 OK", "304 Not Modified"),
            Passed(304, ""),
        ),
    ]
}

fn codings() -> Vec<Row> {
    let coded = |lines: &str| ok(lines, CHUNKS);
    vec![
        row("chunked", coded("Transfer-Encoding: chunked\r\n"), HELLO),
        row("chunked in mixed case", coded("Transfer-Encoding:\tChunKed \r\n"), HELLO),
        row(
            "chunked and a shorter length",
            coded("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"),
            HELLO,
        ),
        row(
            "chunked and a length of zero",
            coded("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"),
            HELLO,
        ),
        row(
            "chunked and the right length",
            coded("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
            HELLO,
        ),
        row(
            "chunked and a longer length",
            coded("Transfer-Encoding: chunked\r\nContent-Length: 50\r\n"),
            HELLO,
        ),
        row(
            "chunked and a length beyond the limit",
            coded("Transfer-Encoding: chunked\r\nContent-Length: 9223372036854775807\r\n"),
            HELLO,
        ),
        row("a length, then chunked", coded("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"), HELLO),
        row(
            "chunked and two lengths",
            coded("Content-Length: 3\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n"),
            HELLO,
        ),
        row(
            "chunked and an invalid length",
            coded("Transfer-Encoding: chunked\r\nContent-Length: five\r\n"),
            HELLO,
        ),
        row("gzip, chunked", coded("Transfer-Encoding: gzip, chunked\r\n"), Refused),
        row("an unknown coding, chunked", coded("Transfer-Encoding: foo, chunked\r\n"), Refused),
        row("gzip", coded("Transfer-Encoding: gzip\r\n"), Refused),
        row("chunked, gzip", coded("Transfer-Encoding: chunked, gzip\r\n"), Refused),
        row("identity", coded("Transfer-Encoding: identity\r\n"), Refused),
        row("chunked twice", coded("Transfer-Encoding: chunked, chunked\r\n"), Refused),
        row(
            "chunked in two lines",
            coded("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
            Refused,
        ),
        row(
            "gzip and chunked in two lines",
            coded("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"),
            Refused,
        ),
        row("xchunked", coded("Transfer-Encoding: xchunked\r\n"), Refused),
        row("chunked with a parameter", coded("Transfer-Encoding: chunked;q=1\r\n"), Refused),
        row(
            "chunked in HTTP/1.0",
            coded("Transfer-Encoding: chunked\r\n").replace("HTTP/1.1", "HTTP/1.0"),
            Refused,
        ),
        row(
            "a misspelt Transfer-Encoding",
            ok("Transfer_Encoding: chunked\r\nContent-Length: 5\r\n", "hello"),
            HELLO,
        ),
    ]
}

fn bodies() -> Vec<Row> {
    let long = "a".repeat(20_000);
    vec![
        row("two chunks", chunked("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), HELLO),
        row("a size with zeros before it", chunked("0005\r\nhello\r\n000\r\n\r\n"), HELLO),
        row("an extension", chunked("5;a=\"b\"\r\nhello\r\n0;c\r\n\r\n"), HELLO),
        row("an extension with LF", chunked("5;a\nb\r\nhello\r\n0\r\n\r\n"), Truncated),
        row("an extension of 20,000 bytes", chunked(&format!("5;{long}\r\nhello\r\n0\r\n\r\n")), Truncated),
        row("a size with 0x", chunked("0x5\r\nhello\r\n0\r\n\r\n"), Truncated),
        row("a size and junk", chunked("5zz\r\nhello\r\n0\r\n\r\n"), Truncated),
        row("a negative size", chunked("-5\r\nhello\r\n0\r\n\r\n"), Truncated),
        row("no size", chunked("\r\nhello\r\n0\r\n\r\n"), Truncated),
        row("a size beyond 64 bits", chunked("10000000000000005\r\nhello\r\n0\r\n\r\n"), Truncated),
        row("a size that ends in LF", chunked("5\nhello\r\n0\r\n\r\n"), Truncated),
        row("a chunk longer than its size", chunked("5\r\nhelloXX\r\n0\r\n\r\n"), Truncated),
        row("a chunk shorter than its size", chunked("6\r\nhello\r\n0\r\n\r\n"), Truncated),
        row("no chunk at all", chunked(""), Truncated),
        row("no last chunk", chunked("5\r\nhello\r\n"), Truncated),
        row("half a chunk", chunked("5\r\nhel"), Truncated),
        row("no end of the last chunk", chunked("5\r\nhello\r\n0\r\n"), Truncated),
        row("trailer fields", chunked("5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n"), HELLO),
        row(
            "announced trailer fields",
            ok("Transfer-Encoding: chunked\r\nTrailer: x-sum\r\n", "5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n"),
            HELLO,
        ),
        row("an invalid trailer field", chunked("5\r\nhello\r\n0\r\nx sum: 1\r\n\r\n"), Truncated),
        row(
            "a trailer section of 20,000 bytes",
            chunked(&format!("5\r\nhello\r\n0\r\nx: {long}\r\n\r\n")),
            Truncated,
        ),
    ]
}

/// The final response in `bytes`, read strictly.
fn read(bytes: &[u8]) -> Result<Message, ReadError> {
    let (mut answer, mut rest) = Message::read(bytes, Kind::Response, true)?;
    while answer.status().is_some_and(|status| status / 100 == 1) {
        if answer.one("content-length").is_some() {
            return Err(ReadError::Invalid("an interim response with a length"));
        }
        (answer, rest) = Message::read(rest, Kind::Response, true)?;
    }
    if rest.is_empty() { Ok(answer) } else { Err(ReadError::Invalid("something after the response")) }
}

fn check(row: &Row, received: &[u8], again: bool) -> Result<(), String> {
    let answer = match (read(received), row.result) {
        (Err(ReadError::Unfinished), Truncated) => return Ok(()),
        (Ok(answer), _) => answer,
        (Err(error), _) => return Err(format!("{error:?} in {}", String::from_utf8_lossy(received))),
    };
    let (status, body, stored) = match row.result {
        Stored(status, body) => (status, body, true),
        Passed(status, body) => (status, body, false),
        Refused => (502, "", false),
        Truncated => return Err(format!("it is complete: {answer:?}")),
    };
    if answer.status() != Some(status) || (status != 502 && answer.body != body) {
        return Err(format!("{answer:?}"));
    }
    let hop = ["connection", "keep-alive", "upgrade", "proxy-connection", "x", "trailer"];
    let kept = answer.fields.iter().find(|(name, value)| {
        hop.contains(&name.as_str())
            && !(name == "connection" && value == "close")
            && !row.name.contains("value")
    });
    if let Some((name, _)) = kept {
        return Err(format!("{name} was forwarded"));
    }
    let cache_status = answer.one("cache-status").unwrap_or_default();
    let right = match (status, stored, again) {
        (502, ..) => answer.one("proxy-status").is_some() && !answer.body.is_empty(),
        (_, true, false) => cache_status.contains("; stored"),
        (_, true, true) => cache_status.contains("; hit"),
        (_, false, _) => cache_status.contains("; fwd=") && !cache_status.contains("; stored"),
    };
    if right { Ok(()) } else { Err(format!("Cache-Status is {cache_status:?}")) }
}

#[test]
fn every_form_of_response_is_forwarded_and_stored_consistently() {
    let rows: Vec<_> = [heads(), lengths(), codings(), bodies()].into_iter().flatten().collect();
    assert!(rows.len() >= 60);
    let rows = Arc::new(rows);
    let answers = Arc::clone(&rows);
    let origin = Origin::start(move |head, stream| {
        let index = head.split(['/', ' ']).nth(2).unwrap().parse::<usize>().unwrap();
        let _ = stream.write_all(&answers[index].sent);
    });
    let proxy = Proxy::to(&origin.url(), &["--no-access-log"]);
    let (mut wrong, mut asked) = (Vec::new(), 0);
    for (index, row) in rows.iter().enumerate() {
        for again in [false, true] {
            let request = format!("GET /{index} HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\n\r\n");
            let came = proxy.send_bytes(request.as_bytes());
            if let Err(why) = check(row, &came, again) {
                wrong.push(format!("{}{}: {why}", row.name, if again { ", again" } else { "" }));
            }
        }
        asked += if matches!(row.result, Stored(..)) { 1 } else { 2 };
        let result = match row.result {
            Stored(status, _) => format!("{status}, stored"),
            Passed(status, _) => format!("{status}, not stored"),
            Truncated => "truncated for the client, and not stored".to_owned(),
            Refused => "502".to_owned(),
        };
        println!("{}: {result}", row.name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(origin.seen().len(), asked);
}

#[test]
fn a_response_to_head_has_a_length_and_no_body() {
    for lines in [
        "Content-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        "",
    ] {
        for body in ["", "hello"] {
            let answer = ok(lines, body);
            let origin = Origin::start(move |_, stream| drop(stream.write_all(answer.as_bytes())));
            let proxy = Proxy::to(&origin.url(), &[]);
            for _ in 0..2 {
                let request = b"HEAD /a HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\n\r\n";
                let came = proxy.send_bytes(request);
                let (answer, rest) = Message::read(&came, Kind::WithoutBody, true).unwrap();
                assert_eq!((answer.status(), rest.len()), (Some(200), 0), "{lines:?} {body:?}");
                let length = (lines == "Content-Length: 5\r\n").then_some("5");
                assert_eq!(answer.one("content-length"), length, "{lines:?} {body:?}");
            }
        }
    }
}

#[test]
fn a_body_that_ends_with_a_connection_reset_is_not_stored() {
    // The origin does not read the body of the request, so that closing resets the connection.
    let origin = Origin::start(|_, stream| {
        let _ = stream.write_all(ok("", "hello").as_bytes());
    });
    let proxy = Proxy::to(&origin.url(), &[]);
    for _ in 0..2 {
        let body = "x".repeat(60_000);
        let head = "GET /a HTTP/1.1\r\nHost: h.test\r\nConnection: close\r\nContent-Length: 60000\r\n\r\n";
        proxy.send_bytes(format!("{head}{body}").as_bytes());
    }
    assert_eq!(origin.seen().len(), 2);
}

#[test]
fn trailer_fields_are_announced_only_to_clients_that_get_them() {
    let lines = "Transfer-Encoding: chunked\r\nTrailer: X-Sum, Set-Cookie\r\n";
    let answer = ok(lines, "5\r\nhello\r\n0\r\nX-Sum: 42\r\nSet-Cookie: a=1\r\nX-Other: 1\r\n\r\n");
    let origin = StrictOrigin::start(move |_| answer.clone().into_bytes());
    let proxy = Proxy::to(&origin.url(), &[]);
    let sum = [("x-sum".to_owned(), "42".to_owned())];
    for (path, fields, trailers) in [
        ("/a", "TE: trailers\r\nConnection: close, TE\r\n", &sum[..]),
        // A hit has no trailers: they are not stored.
        ("/a", "TE: trailers\r\nConnection: close, TE\r\n", &[]),
        ("/b", "Connection: close\r\n", &[]),
        ("/c", "TE: gzip\r\nConnection: close\r\n", &[]),
    ] {
        let came =
            proxy.send_bytes(format!("GET {path} HTTP/1.1\r\nHost: h.test\r\n{fields}\r\n").as_bytes());
        let (answer, _) = Message::read(&came, Kind::Response, true).unwrap();
        assert_eq!((&answer.body[..], &answer.trailers[..]), ("hello", trailers), "{path} {fields}");
        assert_eq!(answer.all("trailer").is_empty(), trailers.is_empty(), "{path} {fields}");
    }
    let wanted: Vec<_> =
        origin.take().into_iter().map(|seen| seen.unwrap().one("te").map(str::to_owned)).collect();
    assert_eq!(wanted, [Some("trailers".to_owned()), None, None]);
}

#[test]
fn a_response_keeps_its_date_and_content_coding() {
    let origin = Origin::start(|head, stream| {
        let dated = if head.contains("/dated") { "Date: Mon, 01 Jan 2024 00:00:00 GMT\r\n" } else { "" };
        let lines = format!("{dated}Content-Encoding: gzip\r\nContent-Length: 5\r\n");
        let _ = stream.write_all(ok(&lines, "\x1f\x01abc").as_bytes());
    });
    let proxy = Proxy::to(&origin.url(), &[]);
    for path in ["/dated", "/undated"] {
        let (miss, hit) = (proxy.get(path, ""), proxy.get(path, ""));
        for answer in [&miss, &hit] {
            assert_eq!(header(answer, "content-encoding"), Some("gzip"));
            assert!(answer.ends_with("\r\n\r\n\x1f\x01abc"));
        }
        assert_eq!(header(&miss, "date"), header(&hit, "date"), "{path}");
        assert_eq!(header(&miss, "date").unwrap().contains("2024"), path == "/dated");
    }
}
