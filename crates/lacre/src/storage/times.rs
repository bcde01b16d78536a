//! Conversion between the times of a seal and those of a store.

use lacre_core::Timestamp;
use lacre_seal::UnixMillis;

/// Converts a time of the seal into one of the store.
pub(crate) fn store_time(time: UnixMillis) -> Timestamp {
    // A seal's time never exceeds the signed range.
    Timestamp::from_millis(time.as_millis().cast_signed())
}

/// Converts a time of the store into one of the seal, which is unsigned: times before 1970 become
/// 1970.
pub(crate) fn seal_time(time: Timestamp) -> UnixMillis {
    UnixMillis::from_millis(u64::try_from(time.as_millis()).unwrap_or(0))
}
