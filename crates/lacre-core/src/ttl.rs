//! Expire-after: how long the user wants responses to count as fresh, in all the forms a user may say it.

use crate::date::parse_date_text;
use crate::time::LONGEST;
use crate::{Error, Timestamp};
use globset::{GlobBuilder, GlobMatcher};
use regex::Regex;
use std::str::FromStr;
use std::time::Duration;

/// What the user says about lifetimes.
///
/// From text (`"never"`, `"immediately"`, `"do-not-store"`, `"90"` seconds, `"1h30m"`, an HTTP-date), from a [`Duration`], or from a
/// point in time. A time of more than 2³¹ seconds (68 years) counts as 2³¹ seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expire {
    /// Fresh for ever.
    Never,
    /// Stale at once: stored, where it can be validated, and validated at every use.
    Immediately,
    /// Not stored at all.
    DoNotStore,
    /// Fresh for this long after it was received.
    After(Duration),
    /// Fresh until this moment.
    At(Timestamp),
}

impl Expire {
    /// The lifetime of a response received at `received`; `None`: it is not to be stored.
    pub(crate) fn ttl(self, received: Timestamp) -> Option<Ttl> {
        match self {
            Self::DoNotStore => None,
            Self::Never => Some(Ttl::Forever),
            Self::Immediately => Some(Ttl::For(Duration::ZERO)),
            Self::After(duration) => Some(Ttl::For(duration.min(LONGEST))),
            Self::At(moment) if moment >= received => Some(Ttl::For(moment.since(received).min(LONGEST))),
            Self::At(moment) => Some(Ttl::StaleBy(received.since(moment).min(LONGEST))),
        }
    }
}

impl From<Duration> for Expire {
    fn from(duration: Duration) -> Self {
        if duration.is_zero() { Self::Immediately } else { Self::After(duration) }
    }
}

impl From<Timestamp> for Expire {
    fn from(moment: Timestamp) -> Self {
        Self::At(moment)
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

/// `90` (seconds) or a run of numbers with units: `1h30m`, `2d`, `1w`, `500ms`. What is longer than [`LONGEST`] counts as that.
fn parse_duration(text: &str) -> Option<Duration> {
    if let Some(seconds) = parse_number(text) {
        return Some(Duration::from_secs(seconds).min(LONGEST));
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
        total = total.saturating_add(number).min(LONGEST);
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

/// The number that digits write, saturating.
fn parse_number(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(digits.parse().unwrap_or(u64::MAX))
}

/// A stored response's own lifetime, decided when it was stored, counted from when it was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// Fresh for this long; zero: stale at once, so every use is validated.
    For(Duration),
    /// Stored already stale by this long.
    StaleBy(Duration),
    /// Fresh for ever.
    Forever,
}

impl Ttl {
    /// Whether it is fresh for any time at all.
    pub(crate) fn is_some_time(self) -> bool {
        match self {
            Self::For(lifetime) => !lifetime.is_zero(),
            Self::StaleBy(_) => false,
            Self::Forever => true,
        }
    }
}

/// Which URLs a rule is for.
#[derive(Clone, Debug)]
pub struct UrlPattern(Matcher);

#[derive(Clone, Debug)]
enum Matcher {
    Glob { exact: GlobMatcher, below: GlobMatcher, scheme: bool },
    Regex(Regex),
}

impl UrlPattern {
    /// A glob such as `*.example.com`, `example.com/api/*` or `https://example.com/a`. It is matched against the URL, without its scheme
    /// unless the pattern has one, and matches everything below it too: `example.com/a` matches `/a`, `/a/b` and `/a?q`, not `/ab`.
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

    /// A regular expression (linear time, no backreferences), searched for in the whole URL.
    ///
    /// # Errors
    /// The pattern is not a valid regular expression.
    pub fn regex(pattern: &str) -> Result<Self, Error> {
        Regex::new(pattern)
            .map(|regex| Self(Matcher::Regex(regex)))
            .map_err(|error| Error::pattern(pattern, error))
    }

    /// Whether a URL fits.
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
    fn a_lifetime_longer_than_caches_count_is_the_longest_they_do() {
        let longest = Some(Ttl::For(LONGEST));
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
        assert_eq!(stale, Some(Ttl::StaleBy(LONGEST)));
    }

    #[test]
    fn a_date_becomes_a_lifetime_from_receipt() {
        let at = Expire::At(Timestamp::from_seconds(100));
        assert_eq!(at.ttl(Timestamp::from_seconds(40)), Some(Ttl::For(Duration::from_secs(60))));
        assert_eq!(at.ttl(Timestamp::from_seconds(130)), Some(Ttl::StaleBy(Duration::from_secs(30))));
        assert_eq!(Expire::DoNotStore.ttl(Timestamp::default()), None);
    }

    #[test]
    fn a_glob_matches_the_url_and_what_lies_below_it() {
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
    fn a_regex_is_searched_for_in_the_whole_url() {
        let pattern = UrlPattern::regex(r"/v\d+/").unwrap();
        assert!(pattern.matches("https://example.com/v2/items"));
        assert!(!pattern.matches("https://example.com/vx/items"));
        assert!(UrlPattern::regex("(").is_err());
    }
}
