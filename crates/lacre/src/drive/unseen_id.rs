//! An id for a transport that a driver cannot see.

use std::hash::{BuildHasher, RandomState};

/// A unique id for [`Transport::unseen`](crate::Transport::unseen): no other client has it, in any
/// process.
///
/// A response that was stored under it is served to that client alone, for as long as the client
/// lives ([decision 16](../../../../docs/decisions/0016-transport-is-part-of-the-key.md)).
#[must_use]
pub fn unseen_id() -> String {
    // Each `RandomState` has new random keys.
    let part = || RandomState::new().hash_one("lacre/unseen");
    format!("{:016x}{:016x}", part(), part())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_ids_are_equal() {
        let ids: HashSet<String> = (0..1000).map(|_| unseen_id()).collect();
        assert_eq!(ids.len(), 1000);
    }
}
