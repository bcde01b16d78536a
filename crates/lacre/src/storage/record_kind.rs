//! The kinds of records that a store holds.

use crate::codec::BodyHead;
use crate::store::Record;
use lacre_core::Slot;

/// The kind of a stored record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RecordKind {
    /// A stored response.
    Entry,
    /// A record that leads to entries: the list of a response's variants, or an alias of another
    /// row.
    Index,
}

impl RecordKind {
    /// The kind of a decoded record.
    pub(crate) const fn of(slot: &Slot<BodyHead>) -> Self {
        match slot {
            Slot::Entry(_) => Self::Entry,
            Slot::Vary(_) | Slot::Alias(_) => Self::Index,
        }
    }

    /// The kind of a record that does not open, as the store's columns claim it. Good enough to
    /// count by, and never trusted.
    pub(crate) const fn claimed(record: &Record<'_>) -> Self {
        if record.body.is_some() { Self::Entry } else { Self::Index }
    }
}
