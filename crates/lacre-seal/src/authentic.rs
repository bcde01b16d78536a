//! Authenticity as a type: bytes that came out of an opened seal.
//!
//! Only [`Authentic`] bytes may be decompressed or parsed, so "parse before verify" does not
//! compile. The only exception is [`Authentic::danger_assume`].

use std::fmt;

use bytes::Bytes;

/// Bytes whose origin was verified by opening a seal. Clones share the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Authentic(Bytes);

impl Authentic {
    /// Declares bytes authentic without a seal.
    ///
    /// Use it only for bytes that never left this process, such as those of an unsealed store in
    /// memory.
    pub fn danger_assume(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// Wraps the content of an opened seal.
    pub(crate) fn opened(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the bytes without a copy. They are no longer marked as authentic.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }

    /// The number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the bytes after the first `count`, shared. Empty if there are no more.
    #[must_use]
    pub fn after(&self, count: usize) -> Self {
        Self(self.0.slice(count.min(self.0.len())..))
    }

    /// Maps the bytes with a function of them alone, such as decompression. The result is
    /// authentic.
    ///
    /// # Errors
    /// The error of the function.
    pub fn try_map<E>(self, function: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>) -> Result<Self, E> {
        function(&self.0).map(|bytes| Self(bytes.into()))
    }
}

impl AsRef<[u8]> for Authentic {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// Shows the length only. Contents stay out of logs.
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
    fn mapped_authentic_bytes_are_authentic() {
        let doubled = Authentic::danger_assume("ab").try_map(|bytes| Ok::<_, ()>(bytes.repeat(2)));
        assert_eq!(doubled.unwrap().as_bytes(), b"abab");
        assert_eq!(Authentic::danger_assume("ab").try_map(|_| Err("no")), Err("no"));
    }

    #[test]
    fn authentic_bytes_are_unchanged() {
        for text in ["", "bytes"] {
            let authentic = Authentic::danger_assume(text);
            assert_eq!(authentic.as_ref(), text.as_bytes());
            assert_eq!((authentic.len(), authentic.is_empty()), (text.len(), text.is_empty()));
            assert_eq!(authentic.into_bytes(), text);
        }
    }
}
