//! What stands for a transport that a driver cannot see.

use std::hash::{BuildHasher, RandomState};

/// A text that no other client has, in this process or another, at any time: for [`Transport::unseen`](crate::Transport::unseen).
///
/// Who names a client's transport by it serves what was stored to this client alone, as long as it lives.
#[must_use]
pub fn unseen_id() -> String {
    // Their keys are random, and differ from one to the next.
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
