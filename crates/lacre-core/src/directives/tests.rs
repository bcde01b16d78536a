use super::*;
use http::HeaderValue;
use proptest::prelude::*;

fn lines(name: &HeaderName, lines: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(name, HeaderValue::from_str(line).unwrap());
    }
    headers
}

fn response(text: &str) -> ResponseDirectives {
    ResponseDirectives::parse(&lines(&CACHE_CONTROL, &[text]))
}

fn request(text: &str) -> RequestDirectives {
    RequestDirectives::parse(&lines(&CACHE_CONTROL, &[text]))
}

fn max_age(text: &str) -> Option<u64> {
    let directives = response(text);
    assert!(!directives.no_store, "{text} reads as malformed");
    directives.max_age.map(|duration| duration.as_secs())
}

/// Every directive, as text and parsed.
pub(crate) fn every_directive() -> (&'static str, ResponseDirectives) {
    let directives = ResponseDirectives {
        no_store: true,
        no_cache: true,
        no_cache_fields: false,
        private: true,
        public: true,
        must_revalidate: true,
        proxy_revalidate: true,
        must_understand: true,
        immutable: true,
        no_transform: true,
        max_age: Some(Duration::from_secs(1)),
        s_maxage: Some(Duration::from_secs(2)),
        stale_while_revalidate: Some(Duration::from_secs(3)),
        stale_if_error: Some(Duration::from_secs(4)),
    };
    let text = "no-store, no-cache, private, public, must-revalidate, proxy-revalidate, must-understand, immutable, \
                no-transform, max-age=1, s-maxage=2, stale-while-revalidate=3, stale-if-error=4";
    (text, directives)
}

#[test]
fn every_response_directive_is_read_in_any_case() {
    let (text, directives) = every_directive();
    assert_eq!(response(text), directives);
    assert_eq!(response(&text.to_uppercase()), directives);
}

#[test]
fn every_request_directive_is_read_and_others_are_ignored() {
    let directives = request(
        "no-cache, no-store, Only-If-Cached, max-age=1, min-fresh=2, max-stale=3, stale-if-error=4, private, x=\"y\"",
    );
    let expected = RequestDirectives {
        no_cache: true,
        no_store: true,
        only_if_cached: true,
        max_age: Some(Duration::from_secs(1)),
        min_fresh: Some(Duration::from_secs(2)),
        max_stale: Some(MaxStale::For(Duration::from_secs(3))),
        stale_if_error: Some(Duration::from_secs(4)),
    };
    assert_eq!(directives, expected);
    assert_eq!(request("max-stale").max_stale, Some(MaxStale::Any));
    assert_eq!(request("must-revalidate, x, y=z"), RequestDirectives::default());
}

#[test]
fn field_lines_are_combined_and_empty_members_ignored() {
    let directives =
        ResponseDirectives::parse(&lines(&CACHE_CONTROL, &["", "public,, ", " ,\tmax-age=60 ,"]));
    let expected = ResponseDirectives {
        public: true,
        max_age: Some(Duration::from_secs(60)),
        ..ResponseDirectives::default()
    };
    assert_eq!(directives, expected);
}

#[test]
fn a_quoted_string_is_opaque() {
    assert_eq!(max_age(r#"ext="a, max-age=9999, b""#), None);
    assert_eq!(max_age(r#"ext="max-age=3600", max-age=1"#), Some(1));
    assert_eq!(max_age(r#"ext="\", max-age=9999, \\", max-age=1"#), Some(1));
    assert_eq!(max_age(r#"ext="", max-age=1"#), Some(1));
}

#[test]
fn an_argument_may_be_a_token_or_a_quoted_string() {
    assert_eq!(max_age("max-age=003600"), Some(3600));
    assert_eq!(max_age(r#"max-age="3600""#), Some(3600));
}

#[test]
fn invalid_lifetime_is_zero() {
    for text in ["abc", "-1", "+1", "3600.0", "3600a", "a3600", "'3600'", "\"\"", r#""3\600""#, "1e9"] {
        assert_eq!(max_age(&format!("max-age={text}")), Some(0), "{text}");
    }
    assert_eq!(max_age("max-age"), Some(0));
    assert_eq!(response("stale-if-error=x").stale_if_error, Some(Duration::ZERO));
    assert_eq!(request("max-age=x").max_age, Some(Duration::ZERO));
    assert_eq!(request("min-fresh=x").min_fresh, Some(time::MAX_DELTA));
    assert_eq!(request("max-stale=x").max_stale, Some(MaxStale::For(Duration::ZERO)));
}

#[test]
fn strictest_repeated_directive_counts() {
    assert_eq!(max_age("max-age=1800, max-age=1"), Some(1));
    assert_eq!(max_age("max-age=1, max-age=1800"), Some(1));
    assert_eq!(max_age("max-age=1800, max-age=x"), Some(0));
    assert_eq!(request("max-stale, max-stale=5").max_stale, Some(MaxStale::For(Duration::from_secs(5))));
    assert_eq!(request("min-fresh=5, min-fresh=9, min-fresh=1").min_fresh, Some(Duration::from_secs(9)));
}

#[test]
fn large_numbers_saturate() {
    for text in ["2147483648", "2147483649", "18446744073709551616", &"9".repeat(400)] {
        assert_eq!(max_age(&format!("max-age={text}")), Some(1 << 31));
        assert_eq!(age(&lines(&AGE, &[text])), Some(time::MAX_DELTA));
    }
    assert_eq!(max_age("max-age=2147483647"), Some((1 << 31) - 1));
}

#[test]
fn malformed_text_forbids_storing() {
    let malformed = [
        "public max-age=60",
        "max-age=60; public",
        "max-age =60",
        "max-age= 60",
        "max-age=",
        "=60, public",
        r#"max-age="60"#,
        r#"max-age="60\"#,
        r##"max-age="60\""##,
        r#"max-age="60"0"#,
        r##"max-age="6"0""##,
        r#"max-age=6"0""#,
        r#"ext="a, max-age=60"#,
        "{max-age=60}",
        "must-understand, max-age=60, a b",
    ];
    for text in malformed {
        let directives = response(text);
        assert!(directives.no_store && !directives.must_understand, "{text}");
        assert!(request(text).no_cache, "{text}");
    }
}

#[test]
fn a_backslash_escapes_nothing_outside_quotes() {
    assert!(request(r"x\,only-if-cached").only_if_cached);
}

#[test]
fn qualified_private_counts_as_unqualified() {
    let directives = response(r#"private="authorization", max-age=60"#);
    assert!(directives.private && !directives.no_store);
}

#[test]
fn no_cache_applies_to_its_fields_or_to_the_response() {
    // What Cache-Control says, and the fields that are withheld; none: the whole response.
    for (text, fields) in [
        (r#"no-cache="Set-Cookie, x""#, &["set-cookie", "x"][..]),
        (r#"no-cache="a", NO-CACHE=b"#, &["a", "b"]),
        (r#"no-cache="a", no-cache"#, &[]),
        ("no-cache", &[]),
        (r#"no-cache="""#, &[]),
        (r#"no-cache="a,""#, &[]),
        (r#"no-cache="a b""#, &[]),
        (r#"no-cache="\a""#, &[]),
        (r#"no-cache="a, content-encoding""#, &[]),
    ] {
        let headers = lines(&CACHE_CONTROL, &[text]);
        let directives = ResponseDirectives::parse(&headers);
        assert_eq!(directives.no_cache, fields.is_empty(), "{text}");
        if !directives.no_cache {
            assert!(directives.no_cache_fields, "{text}");
            assert_eq!(no_cache_fields(&headers), fields, "{text}");
        }
    }
}

#[test]
fn pragma_counts_only_without_cache_control() {
    let mut headers = lines(&PRAGMA, &["x, No-Cache"]);
    assert!(RequestDirectives::parse(&headers).no_cache);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
    assert!(!RequestDirectives::parse(&headers).no_cache);
}

#[test]
fn age_is_the_first_member_of_the_first_line() {
    let seconds = |text: &[&str]| age(&lines(&AGE, text)).map(|age| age.as_secs());
    assert_eq!(seconds(&["7200, 0"]), Some(7200));
    assert_eq!(seconds(&["0 , 7200"]), Some(0));
    assert_eq!(seconds(&["0", "7200"]), Some(0));
    for text in ["", "abc", "-7200", "7200.0", "7200;foo=bar", "x, 5", ",5"] {
        assert_eq!(seconds(&[text]), None, "{text}");
    }
    assert_eq!(seconds(&[]), None);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(value) = HeaderValue::from_bytes(&text) {
            let headers: HeaderMap = [CACHE_CONTROL, PRAGMA, AGE].map(|name| (name, value.clone())).into_iter().collect();
            ResponseDirectives::parse(&headers);
            RequestDirectives::parse(&headers);
            age(&headers);
        }
    }

    #[test]
    fn a_quoted_extension_never_gives_freshness(inner in "[ -~]{0,40}") {
        let escaped = inner.replace('\\', r"\\").replace('"', "\\\"");
        prop_assert_eq!(response(&format!("ext=\"{escaped}\"")), ResponseDirectives::default());
    }
}
