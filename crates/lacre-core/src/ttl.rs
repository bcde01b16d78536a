//! Lifetimes that the user sets (`expire_after`), in all their forms.

use crate::date::parse_date_text;
use crate::time::MAX_DELTA;
use crate::{Error, Timestamp};
use globset::{GlobBuilder, GlobMatcher};
use regex::Regex;
use std::str::FromStr;
use std::time::Duration;

/// A lifetime that the user sets.
///
/// It is created from text (`"never"`, `"immediately"`, `"do-not-store"`, `"90"` seconds,
/// `"1h30m"`, an HTTP-date), from a [`Duration`], or from a point in time. A time over 2³¹ seconds
/// (68 years) counts as 2³¹ seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expire {
    /// Fresh forever.
    Never,
    /// Stale at once. The response is stored if it has a validator, and validated at every use.
    Immediately,
    /// Not stored.
    DoNotStore,
    /// Fresh for this long after receipt.
    After(Duration),
    /// Fresh until this time.
    At(Timestamp),
}

impl Expire {
    /// The lifetime of a response received at `received`. `None` if it must not be stored.
    pub(crate) fn ttl(self, received: Timestamp) -> Option<Ttl> {
        match self {
            Self::DoNotStore => None,
            Self::Never => Some(Ttl::Forever),
            Self::Immediately => Some(Ttl::For(Duration::ZERO)),
            Self::After(duration) => Some(Ttl::For(duration.min(MAX_DELTA))),
            Self::At(time) if time >= received => Some(Ttl::For(time.since(received).min(MAX_DELTA))),
            Self::At(time) => Some(Ttl::StaleBy(received.since(time).min(MAX_DELTA))),
        }
    }
}

impl From<Duration> for Expire {
    fn from(duration: Duration) -> Self {
        if duration.is_zero() { Self::Immediately } else { Self::After(duration) }
    }
}

impl From<Timestamp> for Expire {
    fn from(time: Timestamp) -> Self {
        Self::At(time)
    }
}

impl FromStr for Expire {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.trim() {
            "never" => Ok(Self::Never),
            "immediately" => Ok(Self::Immediately),
            "do-not-store" => Ok(Self::DoNotStore),
            text => parse_duration(text)
                .map(Self::from)
                .or_else(|| parse_date_text(text).map(Self::At))
                .ok_or_else(|| Error::expire(text)),
        }
    }
}

/// Parses `90` (seconds) or numbers with units: `1h30m`, `2d`, `1w`, `500ms`. The result is at most
/// [`MAX_DELTA`].
fn parse_duration(text: &str) -> Option<Duration> {
    if let Some(seconds) = parse_number(text) {
        return Some(Duration::from_secs(seconds).min(MAX_DELTA));
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let millis: u64 = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return None,
        };
        let number = Duration::from_millis(parse_number(number)?.saturating_mul(millis));
        total = total.saturating_add(number).min(MAX_DELTA);
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

/// Parses digits, saturating.
fn parse_number(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

/// The lifetime of a stored response that the user set. It is fixed when the response is stored and
/// counts from its receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// Fresh for this long. Zero means stale at once, so every use is validated.
    For(Duration),
    /// Stale by this long when it was stored.
    StaleBy(Duration),
    /// Fresh forever.
    Forever,
}

impl Ttl {
    /// Whether the lifetime is above zero.
    pub(crate) fn is_positive(self) -> bool {
        match self {
            Self::For(lifetime) => !lifetime.is_zero(),
            Self::StaleBy(_) => false,
            Self::Forever => true,
        }
    }
}

/// A pattern for the URLs that a rule applies to.
#[derive(Clone, Debug)]
pub struct UrlPattern(Matcher);

#[derive(Clone, Debug)]
enum Matcher {
    Glob { exact: GlobMatcher, below: GlobMatcher, scheme: bool },
    Regex(Regex),
}

impl UrlPattern {
    /// Creates a glob pattern such as `*.example.com`, `example.com/api/*` or
    /// `https://example.com/a`. It is matched against the URL, without its scheme unless the
    /// pattern has one. It also matches everything below: `example.com/a` matches `/a`, `/a/b` and
    /// `/a?q`, but not `/ab`.
    ///
    /// # Errors
    /// The pattern is not a valid glob.
    pub fn glob(pattern: &str) -> Result<Self, Error> {
        let compile = |text: &str| {
            GlobBuilder::new(text)
                .literal_separator(false)
                .backslash_escape(true)
                .build()
                .map(|glob| glob.compile_matcher())
                .map_err(|error| Error::pattern(pattern, error))
        };
        let trimmed = pattern.trim_end_matches('/');
        Ok(Self(Matcher::Glob {
            exact: compile(pattern)?,
            below: compile(&format!("{trimmed}[/?]*"))?,
            scheme: pattern.contains("://"),
        }))
    }

    /// Creates a regular expression (linear time, no backreferences). It is searched for in the
    /// complete URL.
    ///
    /// # Errors
    /// The pattern is not a valid regular expression.
    pub fn regex(pattern: &str) -> Result<Self, Error> {
        Regex::new(pattern)
            .map(|regex| Self(Matcher::Regex(regex)))
            .map_err(|error| Error::pattern(pattern, error))
    }

    /// Whether a URL matches.
    pub fn matches(&self, url: &str) -> bool {
        match &self.0 {
            Matcher::Regex(regex) => regex.is_match(url),
            Matcher::Glob { exact, below, scheme } => {
                let url = if *scheme { url } else { url.split_once("://").map_or(url, |(_, rest)| rest) };
                exact.is_match(url) || below.is_match(url)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_expire_after_is_understood() {
        for (text, expected) in [
            ("never", Expire::Never),
            ("immediately", Expire::Immediately),
            ("0", Expire::Immediately),
            ("do-not-store", Expire::DoNotStore),
            ("90", Expire::After(Duration::from_secs(90))),
            ("1h30m", Expire::After(Duration::from_secs(5400))),
            ("1m1s", Expire::After(Duration::from_secs(61))),
            ("1w", Expire::After(Duration::from_secs(604_800))),
            ("2d", Expire::After(Duration::from_secs(172_800))),
            ("500ms", Expire::After(Duration::from_millis(500))),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Expire::At(Timestamp::from_seconds(784_111_777))),
        ] {
            assert_eq!(text.parse::<Expire>().unwrap(), expected, "{text}");
        }
        for text in ["", "-5", "+5", "1 h", "h", "10y", "1.5", "soon"] {
            assert!(text.parse::<Expire>().is_err(), "{text}");
        }
    }

    #[test]
    fn lifetimes_are_limited_to_the_maximum() {
        let longest = Some(Ttl::For(MAX_DELTA));
        for text in [
            "2147483648",
            "2147483649",
            "18446744073709551615",
            "99999999999999999999999",
            "99999999999999999999h",
            "18446744073709551615ms1ms",
            "9999w9999w",
            "Fri, 31 Dec 9999 23:59:59 GMT",
        ] {
            let expire: Expire = text.parse().unwrap();
            assert_eq!(expire.ttl(Timestamp::default()), longest, "{text}");
        }
        assert_eq!(Expire::from(Duration::MAX).ttl(Timestamp::MAX), longest);
        assert_eq!(Expire::At(Timestamp::MAX).ttl(Timestamp::from_millis(i64::MIN)), longest);
        let stale = Expire::At(Timestamp::from_millis(i64::MIN)).ttl(Timestamp::MAX);
        assert_eq!(stale, Some(Ttl::StaleBy(MAX_DELTA)));
    }

    #[test]
    fn date_becomes_a_lifetime_from_receipt() {
        let at = Expire::At(Timestamp::from_seconds(100));
        assert_eq!(at.ttl(Timestamp::from_seconds(40)), Some(Ttl::For(Duration::from_secs(60))));
        assert_eq!(at.ttl(Timestamp::from_seconds(130)), Some(Ttl::StaleBy(Duration::from_secs(30))));
        assert_eq!(Expire::DoNotStore.ttl(Timestamp::default()), None);
    }

    #[test]
    fn glob_matches_a_url_and_everything_below() {
        let matches = |pattern: &str, url: &str| UrlPattern::glob(pattern).unwrap().matches(url);
        assert!(matches("example.com/a", "https://example.com/a"));
        assert!(matches("example.com/a", "https://example.com/a/b?c"));
        assert!(matches("example.com/a/", "https://example.com/a/b"));
        assert!(matches("example.com", "http://example.com/?q=1"));
        assert!(matches("*.example.com/api/*", "https://eu.example.com/api/v1"));
        assert!(matches("https://example.com/*", "https://example.com/x"));
        assert!(!matches("example.com/a", "https://example.com/ab"));
        assert!(!matches("https://example.com/*", "http://example.com/x"));
        assert!(!matches("example.com", "https://example.com.evil.org/"));
    }

    #[test]
    fn regex_is_searched_for_in_the_complete_url() {
        let pattern = UrlPattern::regex(r"/v\d+/").unwrap();
        assert!(pattern.matches("https://example.com/v2/items"));
        assert!(!pattern.matches("https://example.com/vx/items"));
        assert!(UrlPattern::regex("(").is_err());
    }
}
