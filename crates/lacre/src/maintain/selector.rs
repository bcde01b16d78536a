//! Selectors: conditions on records as people write them, such as `example.com/api/*` or
//! `3fa1c0e2`.

use super::ListedRow;
use crate::{Error, ErrorKind};
use lacre_core::{Redactor, UrlPattern};
use url::Url;

/// A condition on records, parsed from text: the first digits of a key, a URL, a host or a glob.
/// Unlike [`Selection`](super::Selection), it can match a record that does not open, by its key.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Selector {
    /// The key begins with these digits.
    Key(String),
    /// The URL is this one, as stored: without secrets.
    Url(String),
    /// The host is this one, and so is the port if one is given.
    Host {
        /// The host's name or address.
        host: String,
        /// The port.
        port: Option<u16>,
    },
    /// The URL matches this pattern.
    Pattern(UrlPattern),
    /// The key begins with these digits, or they are the host's name: `cafe` may be either.
    KeyOrHost(String),
}

impl Selector {
    /// The forms of a selector, for a hint.
    pub const FORMS: &str =
        "give a key (four digits or more), a URL, a host, or a glob such as example.com/api/*";

    /// Parses at least four hexadecimal digits, a URL, a host, or a glob.
    ///
    /// # Errors
    /// [`ErrorKind::Config`]: the text is none of these.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if (4..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let text = text.to_ascii_lowercase();
            // More than 16 hexadecimal digits are not taken for a host.
            return Ok(if text.len() > 16 { Self::Key(text) } else { Self::KeyOrHost(text) });
        }
        let is_glob =
            text.contains(['*', '{']) || text.contains('[') && !text.contains("[:") && !text.contains("::");
        if text.contains("://") && !is_glob {
            let mut url = Self::parse_url(text)?;
            url.set_fragment(None);
            return Ok(Self::Url(Redactor::default().url(url.as_str())));
        }
        if !is_glob && let Some(host) = host(text) {
            return Ok(host);
        }
        UrlPattern::glob(text).map(Self::Pattern).map_err(|error| invalid(error.to_string(), Self::FORMS))
    }

    /// Parses a host with or without a port.
    ///
    /// # Errors
    /// [`ErrorKind::Config`]: the text is not a host.
    pub fn host(text: &str) -> Result<Self, Error> {
        host(text).ok_or_else(|| {
            invalid("not a host", "write a name or an address, such as example.com or localhost:8080")
        })
    }

    /// Parses an absolute URL with `http:` or `https:`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`]: the text is not such a URL.
    pub fn parse_url(text: &str) -> Result<Url, Error> {
        const EXAMPLE: &str = "a URL looks like https://example.com/path";
        let url = Url::parse(text).map_err(|error| invalid(format!("invalid URL: {error}"), EXAMPLE))?;
        match url.scheme() {
            "http" | "https" if url.has_host() => Ok(url),
            scheme => Err(invalid(format!("cannot fetch a URL with the scheme `{scheme}:`"), EXAMPLE)),
        }
    }

    /// Whether the row matches.
    #[must_use]
    pub fn matches(&self, row: &ListedRow) -> bool {
        match self {
            Self::Key(prefix) => row.key().to_string().starts_with(prefix),
            Self::Url(url) => row.entry().is_some_and(|entry| entry.url == *url),
            Self::Host { host, port } => has_host(row, host, *port),
            Self::Pattern(pattern) => row.entry().is_some_and(|entry| pattern.matches(&entry.url)),
            Self::KeyOrHost(text) => row.key().to_string().starts_with(text) || has_host(row, text, None),
        }
    }
}

fn invalid(message: impl Into<String>, hint: &'static str) -> Error {
    Error::new(ErrorKind::Config, message.into()).with_hint(hint)
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
fn has_host(row: &ListedRow, host: &str, port: Option<u16>) -> bool {
    let Some(url) = row.entry().and_then(|entry| Url::parse(&entry.url).ok()) else { return false };
    url.host_str().is_some_and(|found| found.eq_ignore_ascii_case(host))
        && (port.is_none() || url.port_or_known_default() == port)
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
        assert_eq!(Selector::parse("ftp://example.com/").unwrap_err().kind(), ErrorKind::Config);
    }
}
