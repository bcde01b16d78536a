//! Default headers of a client.

use http::HeaderMap;

/// Adds each header of `defaults` that `headers` lacks, with all its values.
pub fn add_default_headers(headers: &mut HeaderMap, defaults: &HeaderMap) {
    for name in defaults.keys() {
        if !headers.contains_key(name) {
            let values = defaults.get_all(name).iter();
            headers.extend(values.map(|value| (name.clone(), value.clone())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderValue, header};

    #[test]
    fn a_header_of_the_request_replaces_all_defaults_of_that_name() {
        let mut defaults = HeaderMap::new();
        for (name, value) in [(header::ACCEPT, "text/html"), (header::COOKIE, "a=1"), (header::COOKIE, "b=2")]
        {
            defaults.append(name, HeaderValue::from_static(value));
        }
        let mut headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("text/css"))]);
        add_default_headers(&mut headers, &defaults);
        assert_eq!(headers[header::ACCEPT], "text/css");
        assert_eq!(headers.get_all(header::COOKIE).iter().collect::<Vec<_>>(), ["a=1", "b=2"]);
    }
}
