//! `lacre get` as a download tool: where the body goes, what is sent, and over which way.

use crate::tls::{Authority, TlsOrigin};
use crate::world::{Origin, World, response};
use std::fs;
use std::thread;
use std::time::Duration;

const FRESH: &str = "cache-control: max-age=60\r\n";

#[test]
fn a_file_is_replaced_once_the_response_is_whole_and_not_before() {
    let world = World::new();
    let origin = Origin::start(|request| match request.split(' ').nth(1) {
        Some("/cut") => b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf".to_vec(),
        Some("/missing") => response("404 Not Found", "", b"no such page"),
        _ => response("200 OK", FRESH, b"whole"),
    });
    let file = world.file("file", "before");
    assert_eq!(world.run(&["get", "-o", &file, &origin.url("/cut")]).code, 6);
    assert_eq!(world.run(&["get", "--fail", "-o", &file, &origin.url("/missing")]).code, 4);
    assert_eq!(fs::read_to_string(&file).unwrap(), "before");
    for word in ["MISS", "HIT"] {
        let ran = world.ok(&["get", "-o", &file, &origin.url("/")]);
        assert_eq!(
            (ran.word(), ran.text(), fs::read_to_string(&file).unwrap().as_str()),
            (word, "", "whole")
        );
    }
    let others = fs::read_dir(world.path(""))
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(".lacre-"));
    assert_eq!(others.count(), 0, "no half of a file is left behind");
}

#[test]
fn a_file_that_cannot_be_written_is_named_before_anything_is_sent() {
    let (world, origin) = (World::new(), Origin::always(FRESH, "x"));
    let ran = world.run(&["get", "-o", "/nowhere/at/all", &origin.url("/")]);
    assert_eq!((ran.code, origin.count()), (1, 0));
    assert!(ran.err.contains("/nowhere/at/all") && ran.err.contains("hint: "), "{}", ran.err);
    let folder = world.path("");
    assert_eq!(world.run(&["get", "-o", folder.to_str().unwrap(), &origin.url("/")]).code, 1);
    assert_eq!(world.ok(&["get", "-o", "-", &origin.url("/")]).text(), "x");
}

#[cfg(unix)]
#[test]
fn a_file_keeps_its_mode_and_a_link_its_target() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let (world, origin) = (World::new(), Origin::always(FRESH, "new"));
    let file = world.file("file", "old");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let link = world.path("link");
    symlink(&file, &link).unwrap();
    world.ok(&["get", "-o", link.to_str().unwrap(), &origin.url("/")]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    world.ok(&["get", "-o", "/dev/null", &origin.url("/")]);
}

#[test]
fn a_body_is_text_a_file_or_standard_input_and_announced_as_a_form() {
    let (world, origin) = (World::new(), Origin::always("", "x"));
    let url = origin.url("/");
    let file = world.file("body", "from=file");
    world.ok(&["get", &url, "-d", "a=1", "-d", &format!("@{file}")]);
    world.run_with_input(&["get", &url, "-d", "@-", "Content-Type:text/plain"], b"typed");
    let seen = origin.seen();
    assert!(seen[0].starts_with("POST / ") && seen[0].ends_with("\r\n\r\na=1&from=file"), "{}", seen[0]);
    assert!(seen[0].contains("\r\ncontent-type: application/x-www-form-urlencoded\r\n"), "{}", seen[0]);
    assert!(seen[1].contains("\r\ncontent-type: text/plain\r\n") && seen[1].ends_with("\r\n\r\ntyped"));
    assert_eq!(world.run(&["get", &url, "-d", "a", "b=c"]).code, 2);
    assert_eq!(world.run(&["get", &url, "-d", "@/nowhere/at/all"]).code, 1);
}

#[test]
fn fields_become_a_form_and_with_files_a_multipart_form() {
    let (world, origin) = (World::new(), Origin::always("", "x"));
    let url = origin.url("/");
    let file = world.file("note.txt", "content");
    world.ok(&["get", "--form", &url, "a=b c", "n:=1"]);
    world.ok(&["get", "--form", &url, "a=b", &format!("f@{file};type=text/plain")]);
    let seen = origin.seen();
    assert!(seen[0].ends_with("\r\n\r\na=b+c&n=1"), "{}", seen[0]);
    let multipart = &seen[1];
    assert!(multipart.contains("\r\ncontent-type: multipart/form-data; boundary="), "{multipart}");
    assert!(
        multipart.contains("filename=\"note.txt\"\r\nContent-Type: text/plain\r\n\r\ncontent"),
        "{multipart}"
    );
    for items in [["--form", "a:=[1]"], ["a=1", "f@/dev/null"]] {
        let ran = world.run(&[&["get", &url], &items[..]].concat());
        assert_eq!(ran.code, 2, "{items:?}");
        assert!(ran.err.contains("--form"), "{}", ran.err);
    }
}

#[test]
fn a_default_header_can_be_left_out_and_a_header_be_empty() {
    let (world, origin) = (World::new(), Origin::always("", "x"));
    world.ok(&["get", &origin.url("/"), "User-Agent:", "X-Empty;"]);
    let seen = &origin.seen()[0];
    assert!(!seen.contains("user-agent") && seen.contains("\r\nx-empty: \r\n"), "{seen}");
}

#[test]
fn an_origin_that_is_too_slow_is_left_after_the_time_that_was_given() {
    let world = World::new();
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
    let ran = world.run(&["get", "--timeout", "0.3", &origin.url("/")]);
    assert_eq!(ran.code, 6, "{}", ran.err);
    assert!(ran.out.is_empty());
    world.ok(&["get", &origin.url("/old")]);
    let ran = world.ok(&["get", "--timeout", "0.3", &origin.url("/old")]);
    assert_eq!((ran.word(), ran.text()), ("STALE", "old"), "what is stored may stand in");
    for text in ["0", "soon", "-1"] {
        assert_eq!(world.run(&["get", &format!("--timeout={text}"), &origin.url("/")]).code, 2, "{text}");
    }
}

#[test]
fn a_proxy_is_asked_in_the_place_of_the_origin() {
    let (world, proxy) = (World::new(), Origin::always(FRESH, "from the proxy"));
    let ran = world.ok(&["get", "--proxy", &proxy.url(""), "http://origin.test/path"]);
    assert_eq!(ran.text(), "from the proxy");
    assert!(proxy.seen()[0].starts_with("GET http://origin.test/path HTTP/1.1\r\n"));
    let ran = world.run(&["get", "--proxy", "http://me:hidden@127.0.0.1:1", "http://origin.test/"]);
    assert_eq!(ran.code, 2);
    assert!(!ran.err.contains("hidden") && ran.err.contains("ALL_PROXY"), "{}", ran.err);
}

#[test]
fn a_netrc_file_is_read_on_demand_and_only_for_its_host() {
    let (world, origin) = (World::new(), Origin::always(FRESH, "x"));
    let url = origin.url("/");
    let basic = "\r\nauthorization: Basic bWU6czNjcmV0\r\n"; // me:s3cret
    world.file(".netrc", "machine 127.0.0.1 login me password s3cret\n");
    world.ok(&["get", &url]);
    world.ok(&["get", "--netrc", &url]);
    world.ok(&["get", "--netrc", &url, "Authorization:Bearer mine"]);
    let other = world.file("other", "machine elsewhere.test login me password s3cret\n");
    world.ok(&["get", "--netrc-file", &other, &origin.url("/other")]);
    let seen = origin.seen();
    assert_eq!(seen.iter().map(|seen| seen.contains(basic)).collect::<Vec<_>>(), [false, true, false, false]);
    assert!(seen[2].contains("\r\nauthorization: Bearer mine\r\n"));
    let broken = world.file("broken", "machine h login me password s3cret nonsense\n");
    let ran = world.run(&["get", "--netrc-file", &broken, &url]);
    assert!(ran.code == 2 && !ran.err.contains("s3cret"), "{} {}", ran.code, ran.err);
    assert_eq!(world.run(&["get", "--netrc-file", "/nowhere/at/all", &url]).code, 1);
}

#[test]
fn what_was_fetched_without_verification_is_served_to_nobody_who_verifies() {
    let world = World::new();
    let authority = Authority::new();
    let origin = TlsOrigin::start(&authority, FRESH, "x");
    let url = origin.url("/");
    let roots = world.file("roots.pem", authority.pem());
    assert_eq!(world.run(&["get", &url]).code, 6, "the origin's authority is not known");
    assert_eq!(world.ok(&["get", "--insecure", &url]).word(), "MISS");
    assert_eq!(world.ok(&["get", "-k", &url]).word(), "HIT");
    assert_eq!(world.run(&["get", &url]).code, 6, "what was not verified is not served");
    assert_eq!(world.run(&["get", "--offline", &url]).code, 3);
    assert_eq!(world.ok(&["get", "--cacert", &roots, &url]).word(), "MISS");
    assert_eq!(world.ok(&["get", "--cacert", &roots, &url]).word(), "HIT");
    assert_eq!(world.run(&["get", "--offline", &url]).code, 3);
    let not_pem = world.file("not.pem", "nothing");
    for flag in ["--cacert", "--cert"] {
        let ran = world.run(&["get", flag, &not_pem, &url]);
        assert_eq!(ran.code, 2, "{}", ran.err);
        assert!(ran.err.contains(flag) && ran.err.contains("not.pem"), "{}", ran.err);
        assert_eq!(world.run(&["get", flag, "/nowhere/at/all", &url]).code, 1);
    }
}

#[test]
fn client_certificates_never_share_an_answer() {
    let world = World::new();
    let authority = Authority::new();
    let origin = TlsOrigin::start_with_client_certificates(&authority, FRESH, "x");
    let url = origin.url("/");
    let roots = world.file("roots.pem", authority.pem());
    let [one, other] = ["one", "other"].map(|name| {
        let (certificate, key) = authority.issue(name);
        (world.file(&format!("{name}.pem"), certificate), world.file(&format!("{name}.key"), key))
    });
    let get = |(certificate, key): &(String, String)| {
        world.ok(&["get", "--cacert", &roots, "--cert", certificate, "--cert-key", key, &url])
    };
    assert_eq!(get(&one).word(), "MISS");
    assert_eq!(get(&one).word(), "HIT");
    assert_eq!(get(&other).word(), "MISS");
    assert_ne!(world.run(&["get", "--cacert", &roots, &url]).code, 0, "no certificate, no answer");
}

#[test]
fn redirects_are_followed_as_far_as_the_flag_says() {
    let world = World::new();
    let origin = Origin::start(|request| match request.split(' ').nth(1) {
        Some("/end") => response("200 OK", FRESH, b"there"),
        _ => response("302 Found", "location: /end\r\n", b"over there"),
    });
    assert_eq!(world.ok(&["get", "--max-redirects", "1", &origin.url("/")]).text(), "there");
    assert_eq!(world.ok(&["get", "--max-redirects", "0", &origin.url("/")]).text(), "over there");
}

#[test]
fn a_compressed_response_is_decompressed_on_demand_and_stored_as_it_came() {
    // `gzip -n` of "hello".
    const CODED: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xcb\x48\xcd\xc9\xc9\x07\0\x86\xa6\x10\x36\x05\0\0\0";
    let world = World::new();
    let origin = Origin::start(|request| match request.contains("accept-encoding: gzip") {
        true => response(
            "200 OK",
            "cache-control: max-age=60\r\nvary: accept-encoding\r\ncontent-encoding: gzip\r\n",
            CODED,
        ),
        false => response("200 OK", "cache-control: max-age=60\r\nvary: accept-encoding\r\n", b"plain"),
    });
    for word in ["MISS", "HIT"] {
        let ran = world.ok(&["get", "--compressed", &origin.url("/")]);
        assert_eq!((ran.word(), ran.text()), (word, "hello"));
    }
    assert_eq!(world.ok(&["get", &origin.url("/")]).text(), "plain");
}

#[cfg(unix)]
mod on_a_terminal {
    use super::*;
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use std::fs::File;
    use std::io::Read;

    /// What a terminal gets to see, and what is said on stderr.
    fn shown(world: &World, args: &[&str]) -> (String, String) {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let terminal = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let child = world.command(args).stdout(terminal).spawn().unwrap();
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        let mut controller = File::from(controller);
        // It fails once nobody has the other side any more.
        while let Ok(read @ 1..) = controller.read(&mut buffer) {
            seen.extend_from_slice(&buffer[..read]);
        }
        let ended = child.wait_with_output().unwrap();
        (String::from_utf8(seen).unwrap(), String::from_utf8(ended.stderr).unwrap())
    }

    #[test]
    fn nothing_from_an_origin_commands_the_terminal() {
        let world = World::new();
        let origin =
            Origin::always("x-odd: a\u{202e}b\r\n", "\x1b]0;owned\x07\x1b[2J\u{9b}31m\u{202e}text\n\ttab");
        let (seen, _) = shown(&world, &["get", "-i", "--color", "never", &origin.url("/")]);
        assert!(!seen.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}']), "{seen:?}");
        assert!(seen.contains("text\r\n") && seen.contains("tab"), "{seen:?}");
    }

    #[test]
    fn a_binary_body_is_not_shown_and_is_stored_all_the_same() {
        let world = World::new();
        let origin = Origin::start(|request| match request.contains("/gzip") {
            true => response("200 OK", "content-encoding: gzip\r\n", b"\x1f\x8b\x08nonsense"),
            false => response("200 OK", FRESH, b"\x7fELF\0\0\x01"),
        });
        for path in ["/", "/", "/gzip"] {
            let (seen, said) = shown(&world, &["get", &origin.url(path)]);
            assert_eq!(seen, "");
            assert!(said.contains("-o FILE"), "{said}");
        }
        assert_eq!(origin.count(), 2);
        assert_eq!(world.ok(&["get", &origin.url("/")]).out, b"\x7fELF\0\0\x01", "a pipe gets every byte");
    }
}
