//! The list of namespaces: its content, and what a process knows of it (docs/format.md §15).

use lacre_seal::Authentic;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

/// The most names that the list holds. The oldest go first.
pub(crate) const MAX_NAMES: usize = 64;
/// The longest name that is listed, in bytes.
pub(crate) const MAX_NAME_LENGTH: usize = 256;

/// The known namespaces of a store.
#[derive(Debug, Default)]
pub(crate) struct Namespaces {
    /// Whether this process has listed its own namespace.
    pub(crate) listed: AtomicBool,
    /// The other namespaces, as they were last read.
    pub(crate) others: Mutex<Arc<[String]>>,
}

/// The prefix of every row identity of a namespace, so that two namespaces never share a row
/// (docs/format.md §5). The default namespace has none.
pub(crate) fn row_key_prefix(namespace: &str) -> Vec<u8> {
    if namespace.is_empty() {
        return Vec::new();
    }
    let length = u32::try_from(namespace.len()).unwrap_or(u32::MAX).to_be_bytes();
    [b"lacre/v1/namespace".as_slice(), &length, namespace.as_bytes()].concat()
}

/// Writes each name after its length, which takes two bytes.
pub(crate) fn encode(names: &[String]) -> Vec<u8> {
    let mut out = Vec::new();
    for name in names {
        // No longer than MAX_NAME_LENGTH.
        out.extend_from_slice(&(name.len() as u16).to_be_bytes());
        out.extend_from_slice(name.as_bytes());
    }
    out
}

pub(crate) fn decode(head: &Authentic) -> Option<Vec<String>> {
    let mut rest = head.as_bytes();
    let mut names = Vec::new();
    while let Some((length, behind)) = rest.split_first_chunk() {
        let (name, behind) = behind.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        names.push(std::str::from_utf8(name).ok()?.to_owned());
        rest = behind;
        if names.len() > MAX_NAMES {
            return None;
        }
    }
    rest.is_empty().then_some(names)
}
