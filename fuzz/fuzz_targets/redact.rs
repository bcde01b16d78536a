//! Redacts a secret under a common name, surrounded by arbitrary text.
//!
//! Redacting never panics, removes the secret, and does not change redacted text.
#![no_main]

use http::{HeaderMap, HeaderValue, header};
use lacre_core::Redactor;
use libfuzzer_sys::fuzz_target;

const SECRET: &str = "s3cr3t-0123456789";

fuzz_target!(|text: &[u8]| {
    let redactor = Redactor::default();
    for content_type in [
        "application/x-www-form-urlencoded",
        "application/json",
        "multipart/form-data; boundary=x",
        "text/plain",
    ] {
        let content_type = HeaderValue::from_static(content_type);
        let once = redactor.body(Some(&content_type), text);
        assert_eq!(redactor.body(Some(&content_type), &once), once, "{content_type:?}");
    }
    let Ok(text) = std::str::from_utf8(text) else { return };
    if text.contains(SECRET) {
        return;
    }
    let absent = |what: &str| assert!(!what.contains(SECRET), "{what}");
    let queries = [format!("{text}&password={SECRET}"), format!("api_key={SECRET}&{text}")];
    for query in &queries {
        let once = redactor.query(query);
        absent(&once);
        assert_eq!(redactor.query(&once), once);
        absent(&redactor.url(&format!("https://user:{SECRET}@example.com/?{query}")));
    }
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    let body = redactor.body(Some(&form), queries[0].as_bytes());
    absent(&String::from_utf8_lossy(&body));

    let mut headers = HeaderMap::new();
    headers.insert(header::AUTHORIZATION, HeaderValue::from_static(SECRET));
    for name in [header::COOKIE, header::SET_COOKIE, header::LINK, header::LOCATION, header::REFERER] {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.append(name, value);
        }
    }
    let once = redactor.headers(&headers);
    once.values().for_each(|value| absent(&String::from_utf8_lossy(value.as_bytes())));
    assert_eq!(redactor.headers(&once), once);
});
