//! Selectors of stored responses: the first digits of a key, a URL, a host or a glob.

use crate::exit::{Exit, Failure};
use crate::listing::Row;
use lacre::{Redactor, UrlPattern};
use url::Url;

/// The forms of a selector, for hints.
pub(crate) const FORMS: &str =
    "give a key (four digits or more), a URL, a host, or a glob such as example.com/api/*";

/// A condition on stored responses.
#[derive(Debug)]
pub(crate) enum Selector {
    /// The key begins with these digits.
    Key(String),
    /// The URL is this one, as stored: without secrets.
    Url(String),
    /// The host is this one, and so is the port if one is given.
    Host { host: String, port: Option<u16> },
    /// The URL matches this pattern.
    Pattern(UrlPattern),
    /// The key begins with these digits, or they are the host's name: `cafe` may be either.
    KeyOrHost(String),
}

impl Selector {
    /// Parses at least four hexadecimal digits, a URL, a host, or a glob.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        if (4..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let text = text.to_ascii_lowercase();
            // More than 16 hexadecimal digits are not taken for a host.
            return Ok(if text.len() > 16 { Self::Key(text) } else { Self::KeyOrHost(text) });
        }
        let is_glob =
            text.contains(['*', '{']) || text.contains('[') && !text.contains("[:") && !text.contains("::");
        if text.contains("://") && !is_glob {
            let mut url = parse_url(text)?;
            url.set_fragment(None);
            return Ok(Self::Url(Redactor::default().url(url.as_str())));
        }
        if !is_glob && let Some(host) = host(text) {
            return Ok(host);
        }
        UrlPattern::glob(text)
            .map(Self::Pattern)
            .map_err(|error| Failure::usage(error.to_string()).with_hint(FORMS))
    }

    /// Parses the value of `--host`: a host with or without a port.
    pub(crate) fn host(text: &str) -> Result<Self, Failure> {
        host(text).ok_or_else(|| {
            Failure::usage("--host is not a host")
                .with_hint("write a name or an address, such as example.com or localhost:8080")
        })
    }

    pub(crate) fn matches(&self, row: &Row) -> bool {
        match self {
            Self::Key(prefix) => row.key().to_string().starts_with(prefix),
            Self::Url(url) => row.entry().is_some_and(|entry| entry.url == *url),
            Self::Host { host, port } => has_host(row, host, *port),
            Self::Pattern(pattern) => row.entry().is_some_and(|entry| pattern.matches(&entry.url)),
            Self::KeyOrHost(text) => row.key().to_string().starts_with(text) || has_host(row, text, None),
        }
    }

    /// The text for an error message, without query and secrets.
    pub(crate) fn describe(text: &str) -> String {
        match text.split_once(['?', '#']) {
            Some((before, _)) if before.contains("://") || before.contains('/') => {
                format!("{}?…", Redactor::default().url(before))
            }
            _ => Redactor::default().url(text),
        }
    }
}

/// Parses an absolute URL with `http:` or `https:`.
pub(crate) fn parse_url(text: &str) -> Result<Url, Failure> {
    let example = "a URL looks like https://example.com/path";
    let url = Url::parse(text)
        .map_err(|error| Failure::usage(format!("invalid URL: {error}")).with_hint(example))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        scheme => {
            Err(Failure::usage(format!("cannot fetch a URL with the scheme `{scheme}:`")).with_hint(example))
        }
    }
}

/// Removes the queries and fragments of the URLs in a text.
pub(crate) fn without_queries(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // The start of the current word, and whether its rest is left out.
    let (mut word, mut left_out) = (0, false);
    for c in text.chars() {
        if c.is_whitespace() || matches!(c, '\'' | '"' | '`') {
            (word, left_out) = (out.len() + c.len_utf8(), false);
        } else if !left_out && matches!(c, '?' | '#') && out[word..].contains('/') {
            out.push_str("?…");
            left_out = true;
        }
        if !left_out {
            out.push(c);
        }
    }
    out
}

/// Parses a host with or without a port and nothing after it.
fn host(text: &str) -> Option<Selector> {
    let text = text.strip_suffix('/').unwrap_or(text);
    if text.is_empty() || text.contains(['/', '?', '#', '@', ' ']) {
        return None;
    }
    let url = Url::parse(&format!("http://{text}/")).ok()?;
    let named_port = text.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    Some(Selector::Host { host: url.host_str()?.to_owned(), port: url.port().or(named_port) })
}

/// Whether the entry's URL has this host and port, ignoring case.
pub(crate) fn has_host(row: &Row, host: &str, port: Option<u16>) -> bool {
    let Some(url) = row.entry().and_then(|entry| Url::parse(&entry.url).ok()) else { return false };
    url.host_str().is_some_and(|found| found.eq_ignore_ascii_case(host))
        && (port.is_none() || url.port_or_known_default() == port)
}

/// The only row that matches `text`; none or several are an error.
pub(crate) fn find_one(rows: Vec<Row>, text: &str) -> Result<Row, Failure> {
    let selector = Selector::parse(text)?;
    let mut found: Vec<Row> = rows.into_iter().filter(|row| selector.matches(row)).collect();
    match (found.pop(), found.as_slice()) {
        (Some(row), []) => Ok(row),
        (Some(last), others) => {
            let keys: Vec<String> =
                others.iter().chain([&last]).map(|row| format!("{:.8}", row.key())).collect();
            let shown = keys.iter().take(8).map(String::as_str).collect::<Vec<_>>().join(" ");
            let more = if keys.len() > 8 { " …" } else { "" };
            Err(Failure::usage(format!("{} entries match {}", keys.len(), Selector::describe(text)))
                .with_hint(format!("name one of them by its key: {shown}{more}")))
        }
        (None, _) => Err(no_match(text)),
    }
}

pub(crate) fn no_match(text: &str) -> Failure {
    Failure::new(Exit::NotCached, format!("no stored response matches `{}`", Selector::describe(text)))
        .with_hint("`lacre ls` lists the stored responses")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selector_is_a_key_a_url_a_host_or_a_glob() {
        assert!(matches!(Selector::parse("3FA1").unwrap(), Selector::KeyOrHost(prefix) if prefix == "3fa1"));
        assert!(matches!(Selector::parse(&"3f".repeat(32)).unwrap(), Selector::Key(_)));
        for text in ["*", "https://example.com/*", "example.com/api", "*.example.com", "{a,b}.example/"] {
            assert!(matches!(Selector::parse(text).unwrap(), Selector::Pattern(_)), "{text}");
        }
        for (text, of, at) in [
            ("api.GitHub.com", "api.github.com", None),
            ("localhost:8080", "localhost", Some(8080)),
            ("127.0.0.1/", "127.0.0.1", None),
            ("[::1]:80", "[::1]", Some(80)),
            ("3fa", "3fa", None),
        ] {
            // A host of digits alone is an IPv4 address, as in a URL.
            let Selector::Host { host, port } = Selector::parse(text).unwrap() else { panic!("{text}") };
            assert_eq!((host.as_str(), port), (of, at), "{text}");
        }
        let Selector::Url(url) = Selector::parse("HTTPS://Example.com?token=hunter2#top").unwrap() else {
            panic!()
        };
        assert_eq!(url, "https://example.com/?token=REDACTED");
        assert_eq!(Selector::parse("ftp://example.com/").unwrap_err().exit, Exit::Usage);
    }

    #[test]
    fn queries_and_fragments_are_removed_from_a_text() {
        assert_eq!(
            without_queries("unexpected 'https://h/p?a=1 2' and /p#x, why?"),
            "unexpected 'https://h/p?… 2' and /p?… why?"
        );
    }

    #[test]
    fn description_shows_no_query() {
        for text in ["https://u:pw@h/p?token=hunter2", "h/p?q=hunter2", "https://h/#access_token=hunter2"] {
            let shown = Selector::describe(text);
            assert!(!shown.contains("hunter2") && !shown.contains("pw"), "{shown}");
        }
    }
}
