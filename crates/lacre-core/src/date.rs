//! HTTP dates (RFC 9110 §5.6.7). The syntax is strict, so that no other text passes for a date.
//! Case and the day of the week are lenient.

use crate::Timestamp;
use http::HeaderValue;
use std::time::Duration;

/// Parses an IMF-fixdate, RFC 850 or asctime date. `None` for anything else, including other time
/// zones.
///
/// A two-digit year is the latest year that is at most 50 years after `now`.
pub fn parse_http_date(value: &HeaderValue, now: Timestamp) -> Option<Timestamp> {
    let text = value.to_str().ok()?;
    parse_date_text(text).or_else(|| rfc850(text, now))
}

/// Parses the forms with a four-digit year, which do not need `now`: IMF-fixdate and asctime.
pub(crate) fn parse_date_text(text: &str) -> Option<Timestamp> {
    imf_fixdate(text).or_else(|| asctime(text))
}

/// `Thu, 18 Aug 2050 02:01:18 GMT`
fn imf_fixdate(text: &str) -> Option<Timestamp> {
    let [weekday, day, month, year, time, zone] = fields(text, ' ')?;
    let weekday = weekday.strip_suffix(',')?;
    if !is_short_weekday(weekday) || !is_gmt(zone) {
        return None;
    }
    timestamp(digits(year, 4)?, month, digits(day, 2)?, time)
}

/// `Thursday, 18-Aug-50 02:01:18 GMT`
fn rfc850(text: &str, now: Timestamp) -> Option<Timestamp> {
    let [weekday, date, time, zone] = fields(text, ' ')?;
    let [day, month, year] = fields(date, '-')?;
    let weekday = weekday.strip_suffix(',')?;
    if !is_weekday(weekday) || !is_gmt(zone) {
        return None;
    }
    let (year, day) = (digits(year, 2)?, digits(day, 2)?);
    let horizon = now.plus(Duration::from_secs(50 * MEAN_YEAR));
    // One year later than the horizon, because the divisor is a mean.
    let last = 1971 + horizon.as_seconds().div_euclid(MEAN_YEAR.cast_signed());
    let latest = last - (last - year).rem_euclid(100);
    let at = |year| timestamp(year, month, day, time);
    at(latest).filter(|date| *date <= horizon).or_else(|| at(latest - 100))
}

/// `Thu Aug  8 02:01:18 2050`
fn asctime(text: &str) -> Option<Timestamp> {
    let (weekday, text) = text.split_once(' ')?;
    let (month, text) = text.split_once(' ')?;
    let (day, text) = text.split_at_checked(2)?;
    let ["", time, year] = fields(text, ' ')? else {
        return None;
    };
    if !is_short_weekday(weekday) {
        return None;
    }
    let day = match day.strip_prefix(' ') {
        Some(day) => digits(day, 1)?,
        None => digits(day, 2)?,
    };
    timestamp(digits(year, 4)?, month, day, time)
}

const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The mean length of a calendar year, in seconds.
const MEAN_YEAR: u64 = 31_556_952;

fn is_weekday(text: &str) -> bool {
    WEEKDAYS.iter().any(|name| name.eq_ignore_ascii_case(text))
}

fn is_short_weekday(text: &str) -> bool {
    WEEKDAYS.iter().any(|name| name[..3].eq_ignore_ascii_case(text))
}

fn is_gmt(zone: &str) -> bool {
    zone.eq_ignore_ascii_case("GMT")
}

/// Splits `text` at `separator` into exactly `N` fields.
fn fields<const N: usize>(text: &str, separator: char) -> Option<[&str; N]> {
    let mut parts = text.split(separator);
    let mut fields = [""; N];
    for field in &mut fields {
        *field = parts.next()?;
    }
    parts.next().is_none().then_some(fields)
}

/// Parses exactly `width` digits.
fn digits(text: &str, width: usize) -> Option<i64> {
    let written = text.len() == width && text.bytes().all(|byte| byte.is_ascii_digit());
    if written { text.parse().ok() } else { None }
}

fn timestamp(year: i64, month: &str, day: i64, time: &str) -> Option<Timestamp> {
    let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))?;
    let [hour, minute, second] = fields(time, ':')?;
    let (hour, minute, second) = (digits(hour, 2)?, digits(minute, 2)?, digits(second, 2)?);
    let leap = year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0);
    let mut lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    // RFC 9110 §5.6.7 allows a leap second. It counts as the first second of the next minute.
    if !(1..=lengths[month]).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    lengths[month..].fill(0);
    let before = year - 1;
    let leap_days = before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400);
    let days = before * 365 + leap_days + lengths.iter().sum::<i64>() + day - 1 - DAYS_TO_1970;
    Some(Timestamp::from_seconds(((days * 24 + hour) * 60 + minute) * 60 + second))
}

/// The days from 0001-01-01 to 1970-01-01.
const DAYS_TO_1970: i64 = 719_162;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::UNIX_EPOCH;

    /// 2026-01-01T00:00:00Z
    const NOW: Timestamp = Timestamp::from_seconds(1_767_225_600);

    fn parse(text: &str) -> Option<i64> {
        parse_http_date(&HeaderValue::from_str(text).unwrap(), NOW).map(Timestamp::as_seconds)
    }

    #[test]
    fn three_date_forms_parse_alike() {
        let expected = Some(784_111_777);
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:37 GMT"), expected);
        assert_eq!(parse("Sunday, 06-Nov-94 08:49:37 GMT"), expected);
        assert_eq!(parse("Sun Nov  6 08:49:37 1994"), expected);
    }

    #[test]
    fn case_does_not_matter() {
        for text in [
            "THU, 18 Aug 2050 02:01:18 GMT",
            "Thu, 18 AUG 2050 02:01:18 GMT",
            "thu, 18 aug 2050 02:01:18 gMT",
        ] {
            assert_eq!(parse(text), Some(2_544_400_878), "{text}");
        }
    }

    #[test]
    fn other_date_forms_are_refused() {
        let wrong = [
            "",
            "0",
            "-1",
            "Thu, 18 Aug 2050 02:01:18 UTC",
            "Thu, 18 Aug 2050 02:01:18 AEST",
            "Thu, 18 Aug 2050 02:01:18 +0000",
            "Thu, 18 Aug 2050 02:01:18",
            "Thu, 18 Aug 50 02:01:18 GMT",
            "Thu 18 Aug 2050 02:01:18 GMT",
            "Thu,18 Aug 2050 02:01:18 GMT",
            "Thu, 18  Aug  2050 02:01:18 GMT",
            "Thu, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18 Aug 2050 02.01.18 GMT",
            "Thu, 18 Aug 2050 2:01:18 GMT",
            "Thu, 18 Aug 2050 02:01:18 GMT ext",
            "Thu, 18 August 2050 02:01:18 GMT",
            "18 Aug 2050 02:01:18 GMT",
            "Thursday, 18 Aug 2050 02:01:18 GMT",
            "Thursday, 18-Aug-2050 02:01:18 GMT",
            "Thu, 18-Aug-50 02:01:18 GMT",
            "Thu Aug 8 02:01:18 2050",
            "Thu Aug  8 02:01:18 2050 GMT",
            "Thu Aug 08 02:01:18 50",
            "Xyz, 18 Aug 2050 02:01:18 GMT",
            "Thu, 00 Aug 2050 02:01:18 GMT",
            "Thu, 31 Apr 2050 02:01:18 GMT",
            "Thu, 29 Feb 2100 02:01:18 GMT",
            "Thu, 18 Aug 2050 24:01:18 GMT",
            "Thu, 18 Aug 2050 02:60:18 GMT",
            "Thu, 18 Aug 2050 02:01:61 GMT",
            "2050-08-18T02:01:18Z",
        ];
        for text in wrong {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_two_digit_year_is_at_most_fifty_years_ahead() {
        assert_eq!(parse("Thursday, 18-Aug-50 02:01:18 GMT"), parse("Thu, 18 Aug 2050 02:01:18 GMT"));
        assert_eq!(parse("Monday, 31-Dec-75 00:00:00 GMT"), parse("Mon, 31 Dec 2075 00:00:00 GMT"));
        assert_eq!(parse("Wednesday, 01-Jan-76 00:00:00 GMT"), parse("Wed, 01 Jan 2076 00:00:00 GMT"));
        assert_eq!(parse("Friday, 03-Jan-76 00:00:00 GMT"), parse("Sat, 03 Jan 1976 00:00:00 GMT"));
        assert_eq!(parse("Friday, 31-Dec-77 00:00:00 GMT"), parse("Fri, 31 Dec 1977 00:00:00 GMT"));
        for now in [Timestamp::MAX, Timestamp::from_millis(i64::MIN)] {
            let value = HeaderValue::from_static("Friday, 31-Dec-77 00:00:00 GMT");
            assert!(parse_http_date(&value, now).is_some());
        }
    }

    #[test]
    fn leap_days_and_leap_seconds_exist() {
        assert_eq!(parse("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(parse("Tue, 29 Feb 2000 00:00:00 GMT"), Some(951_782_400));
        assert_eq!(parse("Sat, 31 Dec 2016 23:59:60 GMT"), parse("Sun, 01 Jan 2017 00:00:00 GMT"));
        assert_eq!(parse("Mon, 01 Jan 0001 00:00:00 GMT"), Some(-DAYS_TO_1970 * 86_400));
    }

    proptest! {
        #[test]
        fn dates_of_another_implementation_round_trip(seconds in 0u64..253_402_300_800) {
            let written = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
            prop_assert_eq!(parse(&written), i64::try_from(seconds).ok());
        }

        #[test]
        fn arbitrary_bytes_never_panic(text in proptest::collection::vec(any::<u8>(), 0..60), now: i64) {
            if let Ok(value) = HeaderValue::from_bytes(&text) {
                parse_http_date(&value, Timestamp::from_millis(now));
            }
        }

        #[test]
        fn near_dates_never_panic(text in "[A-Za-z]{3,9},? {0,2}[0-9]{1,2}[ -][A-Za-z]{3}[ -][0-9]{1,5} [0-9:.]{6,9} ?[A-Z]{0,4}") {
            parse(&text);
        }
    }
}
