//! Normalises URLs as requests-cache does: its own order of parameters, then url-normalize 3.

use super::query::{self, ALWAYS_SAFE};
use percent_encoding::{AsciiSet, percent_decode_str, percent_encode};
use std::borrow::Cow;
use unicode_normalization::UnicodeNormalization;

/// The normal form of an absolute `http` or `https` URL, with the values of `ignored` parameters
/// replaced by `REDACTED`.
#[must_use]
pub fn normalize_url(url: &str, ignored: &[String]) -> String {
    let url = url.trim_start_matches(|c: char| c <= ' ' || c.is_whitespace()).replace(['\t', '\r', '\n'], "");
    let (scheme, rest) = url.split_once(':').unwrap_or(("https", &url));
    let scheme = scheme.to_ascii_lowercase();
    let rest = rest.trim_start_matches('/');
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));

    let mut normal = format!("{scheme}://{}{}", normal_authority(authority, &scheme), normal_path(path));
    let mut query = query::normalized(query, ignored);
    let mut fragment = fragment;
    // The obsolete `#!` form of crawlable URLs.
    let hash_bang;
    if let Some(state) = fragment.strip_prefix('!') {
        hash_bang = format!("_escaped_fragment_={}", quoted(state, STATE));
        query = [query, hash_bang].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("&");
        fragment = "";
    }
    if !query.is_empty() {
        normal.push('?');
        normal.push_str(&normal_query(&query));
    }
    if !fragment.is_empty() {
        normal.push('#');
        normal.push_str(&quoted(fragment, FRAGMENT));
    }
    normal
}

fn normal_authority(authority: &str, scheme: &str) -> String {
    let (userinfo, place) = match authority.trim_end().rsplit_once('@') {
        Some((userinfo, place)) => (Some(userinfo), place),
        None => (None, authority.trim_end()),
    };
    let (host, port) = match place.find(']').filter(|_| place.starts_with('[')) {
        Some(end) => (&place[..=end], place[end + 1..].trim_start_matches(':')),
        None => place.split_once(':').unwrap_or((place, "")),
    };
    let mut normal = match userinfo {
        None | Some("" | ":") => String::new(),
        Some(userinfo) => format!("{}@", component(userinfo, USERINFO, RESERVED)),
    };
    normal.push_str(&normal_host(host));
    let port = normal_port(port, scheme);
    if !port.is_empty() {
        normal.push(':');
        normal.push_str(&port);
    }
    normal
}

fn normal_host(host: &str) -> String {
    if host.starts_with('[') {
        let (address, zone) = host.split_once('%').unwrap_or((host, ""));
        let zone = if zone.is_empty() { String::new() } else { format!("%{zone}") };
        return address.to_lowercase() + &zone;
    }
    let host = host.to_lowercase();
    let host = host.trim_start_matches('.').trim_end_matches(['.', '\u{3002}', '\u{ff0e}', '\u{ff61}']);
    // An invalid domain name stays unchanged.
    idna::domain_to_ascii(host).unwrap_or_else(|_| host.to_owned())
}

fn normal_port<'a>(port: &'a str, scheme: &str) -> Cow<'a, str> {
    let Ok(number) = port.parse::<u64>() else { return port.into() };
    match (scheme, number) {
        ("http", 80) | ("https", 443) => "".into(),
        _ => number.to_string().into(),
    }
}

/// The path without dot segments and empty segments; it is never empty.
fn normal_path(path: &str) -> String {
    let path = without_empty_parameters(path);
    let path = component(&path, PATH, RESERVED);
    let mut segments: Vec<&str> = Vec::new();
    let mut last = "";
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
        last = segment;
    }
    let slash = if matches!(last, "" | "." | "..") && !segments.is_empty() { "/" } else { "" };
    format!("/{}{slash}", segments.join("/"))
}

/// Python drops an empty `;` at the end of the last segment when it splits and joins a URL.
fn without_empty_parameters(path: &str) -> Cow<'_, str> {
    let segment = path.rfind('/').unwrap_or(0);
    match path[segment..].find(';') {
        Some(at) if segment + at + 1 == path.len() => path[..path.len() - 1].into(),
        _ => path.into(),
    }
}

fn normal_query(query: &str) -> String {
    let part = |text: &str| component(text, QUERY, "+");
    let parameters = query.split('&').filter(|parameter| !parameter.is_empty()).map(|parameter| {
        match parameter.split_once('=') {
            Some((name, value)) => format!("{}={}", part(name), part(value)),
            None => part(parameter),
        }
    });
    parameters.collect::<Vec<_>>().join("&")
}

const RESERVED: &str = ":/?#[]@!$&'()*+,;=";
const SUB_DELIMITERS: &AsciiSet = &ALWAYS_SAFE
    .remove(b'!')
    .remove(b'$')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';');
const STATE: &AsciiSet = &ALWAYS_SAFE.remove(b'/');
const FRAGMENT: &AsciiSet = &ALWAYS_SAFE.remove(b'=');
const USERINFO: &AsciiSet = &SUB_DELIMITERS.remove(b'&').remove(b'=').remove(b':');
const PATH: &AsciiSet = &USERINFO.remove(b'/').remove(b'[').remove(b']').remove(b'@');
const QUERY: &AsciiSet =
    &SUB_DELIMITERS.remove(b':').remove(b'/').remove(b'?').remove(b'[').remove(b']').remove(b'@');

/// `text` with only the necessary escapes, and those of `preserved` characters.
fn component(text: &str, safe: &'static AsciiSet, preserved: &str) -> String {
    let mut normal = String::with_capacity(text.len());
    let mut rest = text;
    let is_preserved = |at: usize, rest: &str| {
        let escape =
            rest.get(at + 1..at + 3).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let byte = escape.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        byte.is_some_and(|byte| preserved.as_bytes().contains(&byte))
    };
    while let Some((at, _)) = rest.match_indices('%').find(|(at, _)| is_preserved(*at, rest)) {
        normal.push_str(&quoted(&rest[..at], safe));
        normal.push_str(&rest[at..at + 3].to_ascii_uppercase());
        rest = &rest[at + 3..];
    }
    normal.push_str(&quoted(rest, safe));
    normal
}

/// Unescapes, composes Unicode (NFC), and escapes again where necessary.
fn quoted(text: &str, safe: &'static AsciiSet) -> String {
    let bytes: Vec<u8> = percent_decode_str(text).collect();
    let chunks = bytes.utf8_chunks().map(|chunk| {
        let composed: String = chunk.valid().nfc().collect();
        percent_encode(composed.as_bytes(), safe)
            .chain(percent_encode(chunk.invalid(), safe))
            .collect::<String>()
    });
    chunks.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_the_form_that_url_normalize_gives_it() {
        // Results of `normalize_url(url, None)` in requests-cache 1.3.3 with url-normalize 3.1.0.
        for (url, normal) in VECTORS {
            assert_eq!(normalize_url(url, &[]), *normal, "{url}");
        }
    }

    const VECTORS: &[(&str, &str)] = &[
        ("http://example.com", "http://example.com/"),
        ("HTTP://EXAMPLE.com:80/%7Efoo/../a/./b//c/", "http://example.com/a/b/c/"),
        ("http://example.com/a%2fb%3f?x=%7e%41", "http://example.com/a%2Fb%3F?x=~A"),
        ("https://example.com:0443/", "https://example.com/"),
        ("http://example.com:8080/a;", "http://example.com:8080/a"),
        ("http://example.com/a;b;", "http://example.com/a;b;"),
        ("http://example.com/a;;", "http://example.com/a;;"),
        ("http://example.com/?#", "http://example.com/"),
        ("http://example.com/?b&a&c=1&&d=", "http://example.com/?c=1&a&b"),
        ("http://example.com/?a-b=1&a=1", "http://example.com/?a=1&a-b=1"),
        ("http://example.com/e%CC%81?e%CC%81=1", "http://example.com/%C3%A9?%C3%A9=1"),
        ("http://example.com/%zz%", "http://example.com/%25zz%25"),
        ("http://example.com/%ff%C3", "http://example.com/%FF%C3"),
        ("http://example.com/..", "http://example.com/"),
        ("http://example.com/a/..", "http://example.com/"),
        ("http://example.com/a/.", "http://example.com/a/"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://my_host.example/", "http://my_host.example/"),
        ("http://example.com/#%7e/%41=b", "http://example.com/#~%2FA=b"),
        ("http://example.com/#!k=v&x", "http://example.com/?_escaped_fragment_=k%3Dv%26x"),
        ("http://:@example.com/", "http://example.com/"),
        ("http://u%40x:p%3a@example.com/", "http://u%40x:p%3A@example.com/"),
        ("http://[FE80::1%25eth0]:8080/", "http://[fe80::1%25eth0]:8080/"),
        ("http://example.com/?q=a%2Bb+c%26d%3De", "http://example.com/?q=a%2Bb+c%26d%3De"),
        ("http://example.com/?redirect=http://x/y?z=1", "http://example.com/?redirect=http://x/y?z%3D1"),
        ("http://example.com/a b", "http://example.com/a%20b"),
        ("http://example.com/%25%2541", "http://example.com/%25%2541"),
        ("http://..example.com../", "http://example.com/"),
        ("  http://example.com/x", "http://example.com/x"),
        ("http://example.com/?a=%00&b=%0A", "http://example.com/?a=%00&b=%0A"),
        ("http://example.com/?a=1#", "http://example.com/?a=1"),
        ("http://example.com/a/b/../../..//../c", "http://example.com/c"),
        ("http://example.com?x=1", "http://example.com/?x=1"),
        ("http://example.com/?ü=ñ", "http://example.com/?%C3%BC=%C3%B1"),
        ("http://xn--nxasmq6b.example/", "http://xn--nxasmq6b.example/"),
        ("http://straße.example/", "http://xn--strae-oqa.example/"),
    ];
}
