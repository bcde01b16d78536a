//! A response in flight: it answers other requests before it is stored (RFC 9111 §4: a response
//! that is "stored or storable" may satisfy several requests, which collapses them).

use super::transfer::{Reader, Role, Transfer};
use crate::storage::loaded::BodyHandle;
use lacre_core::{Insert, Key, Slot, StoredBody};
use std::fmt;
use std::sync::{Arc, Weak};

/// A response in flight, shared by all who read it.
#[derive(Clone)]
pub(crate) struct InFlight(Arc<Transfer>);

/// A response in flight, for as long as somebody reads it.
#[derive(Clone)]
pub(crate) struct WeakInFlight(Weak<Transfer>);

/// Where the body of a cached response comes from.
#[derive(Clone)]
pub(crate) enum BodySource {
    Stored(BodyHandle),
    InFlight(InFlight),
}

impl WeakInFlight {
    pub(crate) fn of(transfer: &Arc<Transfer>) -> Self {
        Self(Arc::downgrade(transfer))
    }

    pub(crate) fn upgrade(&self) -> Option<InFlight> {
        self.0.upgrade().map(InFlight)
    }
}

impl InFlight {
    /// Whether the origin declared the length. Without it, the body may turn out too long to be
    /// stored.
    pub(crate) fn has_length(&self) -> bool {
        self.0.length.is_some()
    }

    /// The key that it will be stored under.
    pub(crate) fn key(&self) -> &Key {
        &self.0.keep.key
    }

    /// The record that will be stored under `key`, with its body as it arrives.
    pub(crate) fn slot(&self, key: &Key) -> Option<Slot<BodySource>> {
        let Insert { entry, pointers, .. } = &*self.0.keep;
        if key == self.key() {
            let entry = entry.clone().with_body(BodySource::InFlight(self.clone()));
            return Some(Slot::Entry(Box::new(entry)));
        }
        pointers.iter().find(|(at, _)| at == key).map(|(_, pointer)| pointer.clone().into())
    }

    /// A reader of the body from its beginning.
    pub(crate) fn reader(&self) -> Reader {
        Reader::new(Arc::clone(&self.0), Role::Waiter)
    }
}

impl fmt::Debug for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InFlight").field("key", self.key()).finish_non_exhaustive()
    }
}

impl From<BodyHandle> for BodySource {
    fn from(handle: BodyHandle) -> Self {
        Self::Stored(handle)
    }
}

impl StoredBody for BodySource {
    fn length(&self) -> u64 {
        match self {
            Self::Stored(handle) => handle.head.length,
            // The length decides only what a range means, and no request for a range shares a
            // transfer.
            Self::InFlight(in_flight) => in_flight.0.length.unwrap_or_default(),
        }
    }
}

/// Leaves out the content.
impl fmt::Debug for BodySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stored(handle) => handle.fmt(f),
            Self::InFlight(in_flight) => in_flight.fmt(f),
        }
    }
}
