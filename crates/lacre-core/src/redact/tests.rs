use super::names::{ENDINGS, HARMLESS, HEADER_LISTS, TAIL_LEN, USUAL};
use super::*;
use proptest::prelude::*;

fn usual() -> Redactor {
    Redactor::default()
}

fn body(content_type: &'static str, body: &str) -> String {
    text(&usual().body(Some(&HeaderValue::from_static(content_type)), body.as_bytes()))
}

fn header(name: &'static str, value: &'static str) -> String {
    let headers = [(HeaderName::from_static(name), HeaderValue::from_static(value))].into_iter().collect();
    usual().headers(&headers)[name].to_str().unwrap().to_owned()
}

#[test]
fn the_usual_names_are_folded_and_in_order() {
    assert!(USUAL.is_sorted_by(|a, b| a < b) && ENDINGS.is_sorted_by(|a, b| a < b));
    assert!(USUAL.iter().chain(&ENDINGS).all(|name| folded(name.as_bytes()).eq(name.bytes())));
    assert!(USUAL.iter().chain(&ENDINGS).chain(&HARMLESS).all(|name| name.len() < TAIL_LEN));
    for list in HEADER_LISTS {
        assert!(list.is_sorted_by(|a, b| a < b), "{list:?}");
        assert!(
            list.iter().all(|name| folded(name.as_bytes()).eq(name.bytes()) && name.len() < TAIL_LEN),
            "{list:?}"
        );
    }
    assert!(USUAL.iter().all(|name| !ENDINGS.iter().any(|ending| name.ends_with(ending))));
}

#[test]
fn end_of_a_long_name_decides() {
    let usual = Redactor::default();
    let long = |end: &str| format!("{}-{end}", "x".repeat(10 * TAIL_LEN));
    assert!(usual.is_credential(&long("token")) && usual.is_credential(&long("Api-Key")));
    assert!(!usual.is_credential(&long("sid")) && !usual.is_credential(&long("next-token")));
}

#[test]
fn names_match_in_any_case_and_with_any_separator() {
    for name in [
        "Authorization",
        "PROXY-AUTHORIZATION",
        "X-API-Key",
        "x_auth_token",
        "X-API-Token",
        "X-Access-Token",
        "access_token",
        "accessToken",
        "api_key",
        "apikey",
        "user[password]",
        "user.password",
        "tokens[0][token]",
        "X-Amz-Signature",
        "X-Amz-Security-Token",
        "X-Gitlab-Token",
        "dbPassword",
        "x-original-authorization",
        "Cf-Access-Client-Secret",
    ] {
        assert!(usual().matches(name), "{name}");
    }
    for name in ["", "key", "tokens", "passwordless", "x-authorization-time", "[]", "-", "nextPageToken"] {
        assert!(!usual().matches(name), "{name}");
    }
}

#[test]
fn keys_in_headers_are_secret_and_identities_are_not() {
    for name in [
        "X-Functions-Key",
        "Fastly-Key",
        "X-Insert-Key",
        "DPoP",
        "X-Session",
        "X-Forwarded-Jwt",
        "X-MS-Client-Principal",
    ] {
        assert!(usual().is_credential(name) && usual().matches_header(name), "{name}");
    }
    for name in ["Remote-User", "Client-Cert", "X-Tenant-Id", "X-Auth-Request-Email", "OpenAI-Organization"] {
        assert!(usual().is_credential(name) && !usual().matches_header(name), "{name}");
    }
    for name in [
        "Idempotency-Key",
        "X-Request-Id",
        "traceparent",
        "Sec-Fetch-User",
        "Sec-WebSocket-Key",
        "Surrogate-Key",
        "User-Agent",
    ] {
        assert!(!usual().is_credential(name) && !usual().matches_header(name), "{name}");
    }
    for parameter in ["key", "sort_key", "user", "tenant_id", "session_id_hint"] {
        assert!(!usual().matches(parameter), "{parameter}");
    }
}

#[test]
fn added_names_are_secret_but_not_credentials() {
    let mut redactor = usual();
    redactor.add("X-Nonce");
    assert!(redactor.matches("x_nonce") && !redactor.is_credential("x_nonce"));
    assert!(redactor.is_credential("Authorization"));
    let none = Redactor::none();
    assert!(!none.matches("authorization") && !none.is_credential("authorization"));
}

#[test]
fn only_secrets_in_a_url_are_redacted() {
    let cases = [
        ("https://u:p@h:1/a@b?x=1&Token=s&y", "https://REDACTED@h:1/a@b?x=1&Token=REDACTED&y"),
        ("https://u:p@q@h", "https://REDACTED@h"),
        ("//u@h/", "//REDACTED@h/"),
        ("/p?access%5Ftoken=a=b", "/p?access%5Ftoken=REDACTED"),
        ("/p?token=a&token=&token", "/p?token=REDACTED&token=REDACTED&token"),
        ("/p#access_token=a&x=1", "/p#REDACTED"),
        ("/p?#/r?sig=a", "/p?#/r?sig=REDACTED"),
        ("/p?next=/q?token=a&x=%20", "/p?next=/q?token=REDACTED&x=%20"),
        ("https://h/token=a?x=1#token", "https://h/token=a?x=1#token"),
        ("https://h/a;jsessionid=s;v=1/b;sid=t?x", "https://h/a;jsessionid=REDACTED;v=1/b;sid=REDACTED?x"),
        ("/a%3Btoken=s/b", "/REDACTED/b"),
        ("/a%253Btoken%253Ds/b%20c", "/REDACTED/b%20c"),
        ("/v/%65yJhbGciOiJIUzI1NiJ9%2EeyJzdWIiOiIxMjM0In0%2Ec2ln", "/v/REDACTED"),
        ("/p?a=1;token=s;b=2&c=3", "/p?a=1;token=REDACTED&c=3"),
        ("/p?next=https%3A%2F%2Fh%2F%3Ftoken%3Ds&c=3", "/p?next=REDACTED&c=3"),
        ("/p?next=%252Fq%253Ftoken%253Ds", "/p?next=REDACTED"),
        ("/p?next=https://u:p@h/&c=3", "/p?next=REDACTED&c=3"),
        ("/p?q=%7B%22a%22%3A%5B%7B%22password%22%3A%22s%22%7D%5D%7D", "/p?q=REDACTED"),
        ("/p?next=%2Fq%3Fpage%3D2&q=%7B%22a%22%3A1%7D", "/p?next=%2Fq%3Fpage%3D2&q=%7B%22a%22%3A1%7D"),
        ("", ""),
    ];
    for (url, expected) in cases {
        let expected = expected.replace("#REDACTED", "#access_token=REDACTED&x=1");
        assert_eq!(usual().url(url), expected);
    }
}

#[test]
fn credentials_cookies_and_url_secrets_in_headers_are_redacted() {
    assert_eq!(header("authorization", "Bearer s"), "REDACTED");
    assert_eq!(header("cookie", "a=s; b=t=u; v"), "a=REDACTED; b=REDACTED;REDACTED");
    assert_eq!(header("set-cookie", "a=s; Path=/; Secure"), "a=REDACTED; Path=/; Secure");
    assert_eq!(header("location", "https://u:p@h/?token=s"), "https://REDACTED@h/?token=REDACTED");
    assert_eq!(
        header("link", r#"</?sig=s>; rel="next", </?page=2&sid=s>; rel=last"#),
        r#"</?sig=REDACTED>; rel="next", </?page=2&sid=REDACTED>; rel=last"#
    );
    assert_eq!(header("refresh", "5; url=/?a=1&token=s"), "5; url=/?a=1&token=REDACTED");
    assert_eq!(header("x-original-url", "/a?token=s"), "/a?token=REDACTED");
    assert_eq!(header("forwarded", "for=192.0.2.1;secret=s"), "for=192.0.2.1;secret=REDACTED");
    assert_eq!(header("x-any", "as Bearer abcdefgh12345678."), "as REDACTED");
    assert_eq!(header("x-context", r#"{"a":[{"token":"s"}]}"#), r#"{"a":[{"token":REDACTED}]}"#);
    for harmless in ["token=1", "text/html;q=0.9, */*;q=0.1", "Agent/1 (+https://h/bot; a@b.example)"] {
        assert_eq!(header("accept", harmless), harmless);
    }
}

#[test]
fn ambiguous_header_is_searched_as_url_and_json() {
    // As a URL, `=` begins a value; once what stands for the secret has swallowed it, the whole
    // parameter holds one.
    assert_eq!(header("location", r#"/?a\"password":REDACTx=0, b"#), "/?REDACTED");
}

#[test]
fn repeated_headers_and_non_text_bytes_stay() {
    let mut headers = HeaderMap::new();
    headers.append(header::ACCEPT, HeaderValue::from_bytes(b"\xff").unwrap());
    headers.append(header::ACCEPT, HeaderValue::from_static("b"));
    headers.append(header::LOCATION, HeaderValue::from_bytes(b"/\xff?token=\xfe").unwrap());
    let redacted = usual().headers(&headers);
    assert!(redacted.get_all(header::ACCEPT).iter().eq(headers.get_all(header::ACCEPT)));
    assert_eq!(redacted[header::LOCATION].as_bytes(), b"/\xff?token=REDACTED");
}

#[test]
fn a_cookie_is_ignored_by_its_own_name() {
    let mut redactor = Redactor::none();
    redactor.add("sid");
    let headers = [(header::COOKIE, HeaderValue::from_static("sid=s; theme=dark"))].into_iter().collect();
    assert_eq!(redactor.headers(&headers)[header::COOKIE], "sid=REDACTED; theme=dark");
}

#[test]
fn secrets_in_a_form_are_redacted() {
    let form = "application/x-www-form-urlencoded; charset=utf-8";
    assert_eq!(body(form, "user=u&password=p%26q&a"), "user=u&password=REDACTED&a");
}

#[test]
fn only_secrets_in_json_are_redacted_at_any_depth() {
    let json = "application/vnd.api+json";
    let cases = [
        (r#"{"token":"s","a":1.00}"#, r#"{"token":"REDACTED","a":1.00}"#),
        (
            r#"[{"a":[{"b" : { "pass\u0077ord" : "s\"}" } }]}]"#,
            r#"[{"a":[{"b" : { "pass\u0077ord" : "REDACTED" } }]}]"#,
        ),
        (r#"{"secret":{"a":["}",{}]} ,"b":[]}"#, r#"{"secret":"REDACTED" ,"b":[]}"#),
        (r#"{"sig": 12 ,"sid":null,"otp":[]}"#, r#"{"sig": "REDACTED" ,"sid":"REDACTED","otp":"REDACTED"}"#),
        (r#"{"a":"token","b":["token"]}"#, r#"{"a":"token","b":["token"]}"#),
        (r#"{"a":1,"a":2,"n":12345678901234567890123}"#, r#"{"a":1,"a":2,"n":12345678901234567890123}"#),
        (r#"{"token":"s"#, r#"{"token":"REDACTED""#),
        (r#"{"token":{"s":"t""#, r#"{"token":"REDACTED""#),
        (r#"{"token":{"s":"t"}u"v":1}"#, r#"{"token":"REDACTED"}"#),
        (r#"{"token":"s"t,"u":1}"#, r#"{"token":"REDACTED","u":1}"#),
        ("", ""),
    ];
    for (text, expected) in cases {
        assert_eq!(body(json, text), expected);
    }
}

#[test]
fn deeply_nested_json_is_handled() {
    let deep = "[".repeat(1_000_000);
    assert_eq!(body("application/json", &deep), deep);
    assert_eq!(body("application/json", &format!("{{\"token\":{deep}")), "{\"token\":\"REDACTED\"");
}

#[test]
fn secret_multipart_contents_are_redacted() {
    let part = |name: &str, content: &str| {
        format!(
            "--b 1\r\nContent-Type: text/plain\r\ncontent-disposition: form-data; filename=\"name=x\"; {name}\r\n\r\n{content}\r\n"
        )
    };
    let whole = |secret: &str| {
        [
            part("name=\"a\"", "1"),
            part("name=\"token\"", secret),
            part("Name=password", secret),
            part("name=\"pass\\word\"", secret),
            part("name=\"z\"", "\r\n\r\n--b"),
            "--b 1--\r\n".to_owned(),
        ]
        .concat()
    };
    let sent = whole("s\r\n--b\r\n\r\nt");
    assert_eq!(body("multipart/form-data; boundary=\"b 1\"", &sent), whole("REDACTED"));
    assert_eq!(body("multipart/form-data", &sent), sent);
}

#[test]
fn other_bodies_are_unchanged() {
    let text = r#"{"token":"s"}"#;
    assert_eq!(body("text/plain", text), text);
    assert_eq!(&*usual().body(None, text.as_bytes()), text.as_bytes());
}

const CONTENT_TYPES: [&str; 3] =
    ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"];

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let redactor = usual();
        redactor.url(&String::from_utf8_lossy(&bytes));
        for content_type in CONTENT_TYPES {
            redactor.body(Some(&HeaderValue::from_static(content_type)), &bytes);
        }
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            redactor.body(Some(&value), &bytes);
            let names = [header::COOKIE, header::SET_COOKIE, header::LOCATION, header::LINK, header::AUTHORIZATION];
            redactor.headers(&names.map(|name| (name, value.clone())).into_iter().collect());
        }
    }

    #[test]
    fn redaction_is_idempotent(text in r#"(token|a|["{}\[\]:,=&;?#<>@/\\ ]|--b|REDACTED){0,40}"#) {
        let redactor = usual();
        for content_type in CONTENT_TYPES {
            let content_type = HeaderValue::from_static(content_type);
            let once = redactor.body(Some(&content_type), text.as_bytes());
            prop_assert_eq!(redactor.body(Some(&content_type), &once), &once[..]);
        }
        let value = HeaderValue::from_str(&text).unwrap();
        let names = [header::COOKIE, header::SET_COOKIE, header::LOCATION, header::LINK, header::AUTHORIZATION];
        let once = redactor.headers(&names.map(|name| (name, value.clone())).into_iter().collect());
        prop_assert_eq!(redactor.headers(&once), once);
    }

    #[test]
    fn nearly_structured_text_never_panics(text in r#"(token|a|["{}\[\]:,=&;?#<>@/\\ ]|--b|\r\n){0,40}"#) {
        let redactor = usual();
        redactor.url(&text);
        for content_type in CONTENT_TYPES {
            redactor.body(Some(&HeaderValue::from_static(content_type)), text.as_bytes());
        }
    }

    #[test]
    fn no_secret_survives_in_any_structure(
        name in proptest::sample::select([&USUAL[..], &ENDINGS[..], &["x-my-token"]].concat()),
        secret in "s3cr3t[a-z0-9]{1,20}",
        depth in 0usize..20,
    ) {
        let redactor = usual();
        let url = redactor.url(&format!("https://u:{secret}@h/p?a=1&{name}={secret}#{name}={secret}"));
        let json = format!("{}{{\"a\":1,\"{name}\":\"{secret}\"}}{}", "[".repeat(depth), "]".repeat(depth));
        let json = redactor.body(Some(&HeaderValue::from_static("application/json")), json.as_bytes()).into_owned();
        prop_assert!(!url.contains("s3cr3t") && !String::from_utf8_lossy(&json).contains("s3cr3t"));
        prop_assert!(serde_json::from_slice::<serde_json::Value>(&json).is_ok());
    }

    #[test]
    fn only_userinfo_is_redacted_without_names(text in "[ -~]{0,60}") {
        let none = Redactor::none();
        prop_assert_eq!(none.query(&text), text.as_str());
        prop_assert_eq!(none.body(Some(&HeaderValue::from_static("application/json")), text.as_bytes()), text.as_bytes());
    }
}
