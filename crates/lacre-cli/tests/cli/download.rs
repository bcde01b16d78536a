//! `lacre get` as a download tool: the destination of the body, the request, and the network
//! options.

use crate::sandbox::{Origin, Sandbox, response};
use crate::tls::{Authority, TlsOrigin};
use std::fs;
use std::thread;
use std::time::Duration;

const FRESH: &str = "cache-control: max-age=60\r\n";

#[test]
fn output_file_is_replaced_only_by_a_complete_response() {
    let sandbox = Sandbox::new();
    let origin = Origin::start(|request| match request.split(' ').nth(1) {
        Some("/cut") => b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_vec(),
        Some("/missing") => response("404 Not Found", "", b"no such page"),
        _ => response("200 OK", FRESH, b"whole"),
    });
    let file = sandbox.file("file", "before");
    assert_eq!(sandbox.run(&["get", "-o", &file, &origin.url("/cut")]).code, 6);
    assert_eq!(sandbox.run(&["get", "--fail", "-o", &file, &origin.url("/missing")]).code, 4);
    assert_eq!(fs::read_to_string(&file).unwrap(), "before");
    for word in ["MISS", "HIT"] {
        let result = sandbox.ok(&["get", "-o", &file, &origin.url("/")]);
        assert_eq!(
            (result.cache_result(), result.text(), fs::read_to_string(&file).unwrap().as_str()),
            (word, "", "whole")
        );
    }
    let others = fs::read_dir(sandbox.path(""))
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".lacre-"));
    assert_eq!(others.count(), 0, "no partial file is left behind");
}

#[test]
fn unwritable_output_file_is_reported_before_the_request() {
    let (sandbox, origin) = (Sandbox::new(), Origin::always(FRESH, "x"));
    let result = sandbox.run(&["get", "-o", "/nowhere/at/all", &origin.url("/")]);
    assert_eq!((result.code, origin.count()), (1, 0));
    assert!(result.err.contains("/nowhere/at/all") && result.err.contains("hint: "), "{}", result.err);
    let folder = sandbox.path("");
    assert_eq!(sandbox.run(&["get", "-o", folder.to_str().unwrap(), &origin.url("/")]).code, 1);
    assert_eq!(sandbox.ok(&["get", "-o", "-", &origin.url("/")]).text(), "x");
}

#[cfg(unix)]
#[test]
fn output_file_keeps_its_mode_and_link_its_target() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let (sandbox, origin) = (Sandbox::new(), Origin::always(FRESH, "new"));
    let file = sandbox.file("file", "old");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let link = sandbox.path("link");
    symlink(&file, &link).unwrap();
    sandbox.ok(&["get", "-o", link.to_str().unwrap(), &origin.url("/")]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    sandbox.ok(&["get", "-o", "/dev/null", &origin.url("/")]);
}

#[test]
fn data_comes_from_text_file_or_stdin_with_the_media_type_of_a_form() {
    let (sandbox, origin) = (Sandbox::new(), Origin::always("", "x"));
    let url = origin.url("/");
    let file = sandbox.file("body", "from=file");
    sandbox.ok(&["get", &url, "-d", "a=1", "-d", &format!("@{file}")]);
    sandbox.run_with_input(&["get", &url, "-d", "@-", "Content-Type:text/plain"], b"typed");
    let seen = origin.seen();
    assert!(seen[0].starts_with("POST / ") && seen[0].ends_with("\r\n\r\na=1&from=file"), "{}", seen[0]);
    assert!(seen[0].contains("\r\ncontent-type: application/x-www-form-urlencoded\r\n"), "{}", seen[0]);
    assert!(seen[1].contains("\r\ncontent-type: text/plain\r\n") && seen[1].ends_with("\r\n\r\ntyped"));
    assert_eq!(sandbox.run(&["get", &url, "-d", "a", "b=c"]).code, 2);
    assert_eq!(sandbox.run(&["get", &url, "-d", "@/nowhere/at/all"]).code, 1);
}

#[test]
fn fields_become_a_form_or_with_files_a_multipart_form() {
    let (sandbox, origin) = (Sandbox::new(), Origin::always("", "x"));
    let url = origin.url("/");
    let file = sandbox.file("note.txt", "content");
    sandbox.ok(&["get", "--form", &url, "a=b c", "n:=1"]);
    sandbox.ok(&["get", "--form", &url, "a=b", &format!("f@{file};type=text/plain")]);
    let seen = origin.seen();
    assert!(seen[0].ends_with("\r\n\r\na=b+c&n=1"), "{}", seen[0]);
    let multipart = &seen[1];
    assert!(multipart.contains("\r\ncontent-type: multipart/form-data; boundary="), "{multipart}");
    assert!(
        multipart.contains("filename=\"note.txt\"\r\nContent-Type: text/plain\r\n\r\ncontent"),
        "{multipart}"
    );
    for items in [["--form", "a:=[1]"], ["a=1", "f@/dev/null"]] {
        let result = sandbox.run(&[&["get", &url], &items[..]].concat());
        assert_eq!(result.code, 2, "{items:?}");
        assert!(result.err.contains("--form"), "{}", result.err);
    }
}

#[test]
fn default_header_can_be_dropped_and_header_can_be_empty() {
    let (sandbox, origin) = (Sandbox::new(), Origin::always("", "x"));
    sandbox.ok(&["get", &origin.url("/"), "User-Agent:", "X-Empty;"]);
    let seen = &origin.seen()[0];
    assert!(!seen.contains("user-agent") && seen.contains("\r\nx-empty: \r\n"), "{seen}");
}

#[test]
fn slow_origin_times_out() {
    let sandbox = Sandbox::new();
    let origin = Origin::start(|request| {
        if request.contains("/old") && !request.contains("if-none-match") {
            return response(
                "200 OK",
                "etag: \"1\"\r\ncache-control: max-age=0, stale-if-error=60\r\n",
                b"old",
            );
        }
        thread::sleep(Duration::from_secs(5));
        Vec::new()
    });
    let result = sandbox.run(&["get", "--timeout", "0.3", &origin.url("/")]);
    assert_eq!(result.code, 6, "{}", result.err);
    assert!(result.out.is_empty());
    sandbox.ok(&["get", &origin.url("/old")]);
    let result = sandbox.ok(&["get", "--timeout", "0.3", &origin.url("/old")]);
    assert_eq!((result.cache_result(), result.text()), ("STALE", "old"), "a stale response replaces it");
    for text in ["0", "soon", "-1"] {
        assert_eq!(sandbox.run(&["get", &format!("--timeout={text}"), &origin.url("/")]).code, 2, "{text}");
    }
}

#[test]
fn proxy_gets_the_request() {
    let (sandbox, proxy) = (Sandbox::new(), Origin::always(FRESH, "from the proxy"));
    let result = sandbox.ok(&["get", "--proxy", &proxy.url(""), "http://origin.test/path"]);
    assert_eq!(result.text(), "from the proxy");
    assert!(proxy.seen()[0].starts_with("GET http://origin.test/path HTTP/1.1\r\n"));
    let result = sandbox.run(&["get", "--proxy", "http://me:hidden@127.0.0.1:1", "http://origin.test/"]);
    assert_eq!(result.code, 2);
    assert!(!result.err.contains("hidden") && result.err.contains("ALL_PROXY"), "{}", result.err);
}

#[test]
fn netrc_file_is_read_on_demand_and_only_for_its_host() {
    let (sandbox, origin) = (Sandbox::new(), Origin::always(FRESH, "x"));
    let url = origin.url("/");
    let basic = "\r\nauthorization: Basic bWU6czNjcmV0\r\n"; // me:s3cret
    sandbox.file(".netrc", "machine 127.0.0.1 login me password s3cret\n");
    sandbox.ok(&["get", &url]);
    sandbox.ok(&["get", "--netrc", &url]);
    sandbox.ok(&["get", "--netrc", &url, "Authorization:Bearer mine"]);
    let other = sandbox.file("other", "machine elsewhere.test login me password s3cret\n");
    sandbox.ok(&["get", "--netrc-file", &other, &origin.url("/other")]);
    let seen = origin.seen();
    assert_eq!(seen.iter().map(|seen| seen.contains(basic)).collect::<Vec<_>>(), [false, true, false, false]);
    assert!(seen[2].contains("\r\nauthorization: Bearer mine\r\n"));
    let broken = sandbox.file("broken", "machine h login me password s3cret nonsense\n");
    let result = sandbox.run(&["get", "--netrc-file", &broken, &url]);
    assert!(result.code == 2 && !result.err.contains("s3cret"), "{} {}", result.code, result.err);
    assert_eq!(sandbox.run(&["get", "--netrc-file", "/nowhere/at/all", &url]).code, 1);
}

#[test]
fn unverified_response_is_not_served_to_a_verifying_client() {
    let sandbox = Sandbox::new();
    let authority = Authority::new();
    let origin = TlsOrigin::start(&authority, FRESH, "x");
    let url = origin.url("/");
    let roots = sandbox.file("roots.pem", authority.pem());
    assert_eq!(sandbox.run(&["get", &url]).code, 6, "the origin's authority is unknown");
    assert_eq!(sandbox.ok(&["get", "--insecure", &url]).cache_result(), "MISS");
    assert_eq!(sandbox.ok(&["get", "-k", &url]).cache_result(), "HIT");
    assert_eq!(sandbox.run(&["get", &url]).code, 6, "an unverified response is not served");
    assert_eq!(sandbox.run(&["get", "--offline", &url]).code, 3);
    assert_eq!(sandbox.ok(&["get", "--cacert", &roots, &url]).cache_result(), "MISS");
    assert_eq!(sandbox.ok(&["get", "--cacert", &roots, &url]).cache_result(), "HIT");
    assert_eq!(sandbox.run(&["get", "--offline", &url]).code, 3);
    let not_pem = sandbox.file("not.pem", "nothing");
    for flag in ["--cacert", "--cert"] {
        let result = sandbox.run(&["get", flag, &not_pem, &url]);
        assert_eq!(result.code, 2, "{}", result.err);
        assert!(result.err.contains(flag) && result.err.contains("not.pem"), "{}", result.err);
        assert_eq!(sandbox.run(&["get", flag, "/nowhere/at/all", &url]).code, 1);
    }
}

#[test]
fn client_certificates_share_no_response() {
    let sandbox = Sandbox::new();
    let authority = Authority::new();
    let origin = TlsOrigin::start_with_client_certificates(&authority, FRESH, "x");
    let url = origin.url("/");
    let roots = sandbox.file("roots.pem", authority.pem());
    let [one, other] = ["one", "other"].map(|name| {
        let (certificate, key) = authority.issue(name);
        (sandbox.file(&format!("{name}.pem"), certificate), sandbox.file(&format!("{name}.key"), key))
    });
    let get = |(certificate, key): &(String, String)| {
        sandbox.ok(&["get", "--cacert", &roots, "--cert", certificate, "--cert-key", key, &url])
    };
    assert_eq!(get(&one).cache_result(), "MISS");
    assert_eq!(get(&one).cache_result(), "HIT");
    assert_eq!(get(&other).cache_result(), "MISS");
    assert_ne!(sandbox.run(&["get", "--cacert", &roots, &url]).code, 0, "the origin requires a certificate");
}

#[test]
fn redirects_are_followed_up_to_the_limit() {
    let sandbox = Sandbox::new();
    let origin = Origin::start(|request| match request.split(' ').nth(1) {
        Some("/end") => response("200 OK", FRESH, b"there"),
        _ => response("302 Found", "location: /end\r\n", b"over there"),
    });
    assert_eq!(sandbox.ok(&["get", "--max-redirects", "1", &origin.url("/")]).text(), "there");
    assert_eq!(sandbox.ok(&["get", "--max-redirects", "0", &origin.url("/")]).text(), "over there");
}

#[test]
fn compressed_response_is_decompressed_on_demand_and_stored_compressed() {
    // `gzip -n` of "hello".
    const CODED: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xcb\x48\xcd\xc9\xc9\x07\0\x86\xa6\x10\x36\x05\0\0\0";
    let sandbox = Sandbox::new();
    let origin = Origin::start(|request| match request.contains("accept-encoding: gzip") {
        true => response(
            "200 OK",
            "cache-control: max-age=60\r\nvary: accept-encoding\r\ncontent-encoding: gzip\r\n",
            CODED,
        ),
        false => response("200 OK", "cache-control: max-age=60\r\nvary: accept-encoding\r\n", b"plain"),
    });
    for word in ["MISS", "HIT"] {
        let result = sandbox.ok(&["get", "--compressed", &origin.url("/")]);
        assert_eq!((result.cache_result(), result.text()), (word, "hello"));
    }
    assert_eq!(sandbox.ok(&["get", &origin.url("/")]).text(), "plain");
}

#[cfg(unix)]
mod on_a_terminal {
    use super::*;
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use std::fs::File;
    use std::io::Read;

    /// The text on the terminal, and on stderr.
    fn shown(sandbox: &Sandbox, args: &[&str]) -> (String, String) {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let terminal = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let child = sandbox.command(args).stdout(terminal).spawn().unwrap();
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        let mut controller = File::from(controller);
        // Reading fails once the other side is closed.
        while let Ok(read @ 1..) = controller.read(&mut buffer) {
            seen.extend_from_slice(&buffer[..read]);
        }
        let ended = child.wait_with_output().unwrap();
        (String::from_utf8(seen).unwrap(), String::from_utf8(ended.stderr).unwrap())
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let sandbox = Sandbox::new();
        let origin =
            Origin::always("x-odd: a\u{202e}b\r\n", "\x1b]0;owned\x07\x1b[2J\u{9b}31m\u{202e}text\n\ttab");
        let (seen, _) = shown(&sandbox, &["get", "-i", "--color", "never", &origin.url("/")]);
        assert!(!seen.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}']), "{seen:?}");
        assert!(seen.contains("text\r\n") && seen.contains("tab"), "{seen:?}");
    }

    #[test]
    fn binary_body_is_not_shown_but_stored() {
        let sandbox = Sandbox::new();
        let origin = Origin::start(|request| match request.contains("/gzip") {
            true => response("200 OK", "content-encoding: gzip\r\n", b"\x1f\x8b\x08nonsense"),
            false => response("200 OK", FRESH, b"\x7fELF\0\0\x01"),
        });
        for path in ["/", "/", "/gzip"] {
            let (seen, printed) = shown(&sandbox, &["get", &origin.url(path)]);
            assert_eq!(seen, "");
            assert!(printed.contains("-o FILE"), "{printed}");
        }
        assert_eq!(origin.count(), 2);
        assert_eq!(sandbox.ok(&["get", &origin.url("/")]).out, b"\x7fELF\0\0\x01", "a pipe gets every byte");
    }
}
