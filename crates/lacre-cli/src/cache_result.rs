//! The result of a lookup in one word, for the status line of `get` and for `explain`.

use crate::output::{BAD, GOOD, WARNING};
use lacre::{CacheInfo, Detail, Forward};

/// The result of a lookup in one word, and the style to print it in.
pub(crate) fn word(info: &CacheInfo) -> (&'static str, anstyle::Style) {
    match (info.status.detail, info.status.forward) {
        (Some(Detail::MaxStale | Detail::StaleWhileRevalidate | Detail::StaleIfError), _) => {
            ("STALE", WARNING)
        }
        (Some(Detail::Tampered), _) => ("REFUSED", BAD),
        (_, None) => ("HIT", GOOD),
        (_, Some(_)) if info.status.is_revalidated() => ("REVALIDATED", GOOD),
        (_, Some(Forward::Bypass | Forward::Method)) => ("BYPASS", WARNING),
        (_, Some(_)) => ("MISS", WARNING),
    }
}
