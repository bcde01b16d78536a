//! Which namespaces sealed something in a store, so that what another one sealed is not taken for what was tampered with
//! (docs/format.md §15). The list is a record of its own, sealed and encrypted; whoever has no namespace writes none.
//!
//! It is advice: an entry of a namespace that the list lacks counts as tampered with, and nothing is served because of it.

use super::vault::{Vault, moment};
use crate::store::{Record, StoreExt};
use crate::{Error, ErrorKind};
use lacre_core::{Key, Timestamp};
use lacre_seal::{Authentic, Context, Fault, FaultKind, Lifetime, Opened, Purpose};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// How many names the list holds; the oldest go first.
const MAX_NAMES: usize = 64;
/// The longest name that is listed, in bytes.
const MAX_NAME: usize = 256;

/// What is known of the namespaces of a store.
#[derive(Debug, Default)]
pub(super) struct Namespaces {
    /// Whether this one was listed by this process.
    listed: AtomicBool,
    /// The others, as they were last read.
    others: Mutex<Arc<[String]>>,
}

impl Vault {
    /// Reads which other namespaces there are, for what [`refusal`](Self::refusal) says from then on.
    pub(super) async fn learn_namespaces(&self) {
        let mut names = self.listed_names().await;
        names.insert(0, String::new());
        names.retain(|name| *name != self.namespace);
        *self.namespaces.others.lock().unwrap_or_else(PoisonError::into_inner) = names.into();
    }

    /// Adds this namespace to the list, once in the life of this value. A list that cannot be written costs a clear message, no answer.
    pub(super) async fn list_namespace(&self, now: Timestamp) {
        let is_default = self.namespace.is_empty() || self.namespace.len() > MAX_NAME;
        if is_default || self.namespaces.listed.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut names = self.listed_names().await;
        if names.contains(&self.namespace) {
            return;
        }
        names.push(self.namespace.clone());
        names.drain(..names.len().saturating_sub(MAX_NAMES));
        let key = self.names_key();
        let at = self.names_place(&key);
        let life = Lifetime::unbounded(moment(now));
        let Ok(sealed) = self.secret_sealer.seal(&at, life, &encode(&names), &[]) else { return };
        let record = Record { body: None, chunks: 0, expires: Timestamp::MAX, written: now, sealed: &sealed };
        let _ = self.store.put(&key, record).await;
    }

    async fn listed_names(&self) -> Vec<String> {
        let key = self.names_key();
        let Ok(Some(record)) = self.store.fetch(&key).await else { return Vec::new() };
        // A list that was revoked still names what may be there.
        let opener = self.any.clone().danger_open_revoked();
        let opened = opener.open(&self.names_place(&key), &record.sealed, moment(Timestamp::default()));
        opened.ok().and_then(|opened| decode(&opened.head)).unwrap_or_default()
    }

    /// The list of namespaces, where `sealed` is it.
    pub(super) fn open_names(&self, key: &Key, sealed: &[u8]) -> Result<Opened, Fault> {
        self.any.open(&self.names_place(key), sealed, moment(Timestamp::default()))
    }

    /// Whether what lies under `key` is the list, revoked or not.
    pub(super) fn is_list_of_names(&self, key: &Key, sealed: &[u8]) -> bool {
        *key == self.names_key()
            && self.open_names(key, sealed).map_or_else(|fault| fault.is_lapsed(), |_| true)
    }

    /// Why an envelope does not open at `at`: it belongs to another namespace, or nowhere.
    pub(super) fn misplaced(&self, at: &Context<'_>, sealed: &[u8], fault: Fault, now: Timestamp) -> Error {
        let others = self.other_namespaces();
        let home = others.iter().find(|name| self.opens_in(name, at, sealed, now));
        let Some(home) = home else { return fault.into() };
        let message = match home.as_str() {
            "" => "sealed in the default namespace".to_owned(),
            name => format!("sealed in namespace `{}`", name.escape_debug()),
        };
        Error::new(ErrorKind::NamespaceMismatch, message)
            .with_hint("name that namespace with Builder::namespace")
            .with_source(fault)
    }

    /// Whether an envelope was sealed in the namespace `name` for this place.
    pub(super) fn opens_in(&self, name: &str, at: &Context<'_>, sealed: &[u8], now: Timestamp) -> bool {
        // Past the commitment it was sealed there, whatever else is wrong with it.
        match self.any.open_head(&Context { namespace: name, ..*at }, sealed, moment(now)) {
            Ok(_) => true,
            Err(fault) => fault.is_lapsed() || fault.kind() == FaultKind::BadSegment,
        }
    }

    /// The other namespaces, as they were last [learnt](Self::learn_namespaces).
    pub(super) fn other_namespaces(&self) -> Arc<[String]> {
        Arc::clone(&self.namespaces.others.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn names_key(&self) -> Key {
        Key::from_bytes(self.any.keyring().row_key(b"lacre/v1/namespaces"))
    }

    pub(super) fn names_place<'a>(&'a self, key: &'a Key) -> Context<'a> {
        Context { purpose: Purpose::Namespaces, store: &self.store_id, namespace: "", key: key.as_bytes() }
    }
}

/// What comes before every identity of a namespace, so that two of them never share a row (docs/format.md §5). The default one has none.
pub(super) fn row_key_prefix(namespace: &str) -> Vec<u8> {
    if namespace.is_empty() {
        return Vec::new();
    }
    let length = u32::try_from(namespace.len()).unwrap_or(u32::MAX).to_be_bytes();
    [b"lacre/v1/namespace".as_slice(), &length, namespace.as_bytes()].concat()
}

/// Each name behind its length, in two bytes.
fn encode(names: &[String]) -> Vec<u8> {
    let mut out = Vec::new();
    for name in names {
        // No longer than MAX_NAME.
        out.extend_from_slice(&(name.len() as u16).to_be_bytes());
        out.extend_from_slice(name.as_bytes());
    }
    out
}

pub(super) fn decode(head: &Authentic) -> Option<Vec<String>> {
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
