//! Authenticity as a type: bytes that came out of an opened seal.
//!
//! Only [`Authentic`] bytes may be decompressed or parsed, so "parse before verify" does not compile.
//! The one way around is [`Authentic::danger_assume`].

use std::fmt;

use bytes::Bytes;

/// Bytes whose origin was verified by opening a seal. Cloning shares them.
#[derive(Clone, PartialEq, Eq)]
pub struct Authentic(Bytes);

impl Authentic {
    /// The door around the seal: declares bytes authentic that no seal vouches for.
    ///
    /// Right only for bytes that never left this process, such as what a store in memory keeps unsealed.
    pub fn danger_assume(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// What an opened seal yields, inside this crate.
    pub(crate) fn opened(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The bytes, borrowed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, without a copy. What they become is no longer marked as authentic.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What follows the first `count` bytes, shared; nothing where there are no more.
    #[must_use]
    pub fn after(&self, count: usize) -> Self {
        Self(self.0.slice(count.min(self.0.len())..))
    }

    /// Applies a function of the bytes alone: what is computed from authentic bytes (decompressed, say) is authentic.
    ///
    /// # Errors
    /// The function's own.
    pub fn try_map<E>(self, function: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>) -> Result<Self, E> {
        function(&self.0).map(|bytes| Self(bytes.into()))
    }
}

impl AsRef<[u8]> for Authentic {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// Shows the length only: contents stay out of logs.
impl fmt::Debug for Authentic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authentic({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_content() {
        assert_eq!(format!("{:?}", Authentic::danger_assume("hidden")), "Authentic(6 bytes)");
    }

    #[test]
    fn a_part_of_authentic_bytes_is_authentic() {
        let bytes = Authentic::danger_assume("abc");
        assert_eq!(bytes.after(1).as_bytes(), b"bc");
        assert!(bytes.after(4).is_empty());
    }

    #[test]
    fn what_is_computed_from_authentic_bytes_is_authentic() {
        let doubled = Authentic::danger_assume("ab").try_map(|bytes| Ok::<_, ()>(bytes.repeat(2)));
        assert_eq!(doubled.unwrap().as_bytes(), b"abab");
        assert_eq!(Authentic::danger_assume("ab").try_map(|_| Err("no")), Err("no"));
    }

    #[test]
    fn the_bytes_are_those_that_were_authenticated() {
        for text in ["", "bytes"] {
            let authentic = Authentic::danger_assume(text);
            assert_eq!(authentic.as_ref(), text.as_bytes());
            assert_eq!((authentic.len(), authentic.is_empty()), (text.len(), text.is_empty()));
            assert_eq!(authentic.into_bytes(), text);
        }
    }
}
