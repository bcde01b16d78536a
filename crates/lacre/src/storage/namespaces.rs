//! Reading and writing the list of namespaces of a store, so that a record of another namespace is
//! not mistaken for tampering (docs/format.md §15). The list is a sealed and encrypted record of
//! its own. The default namespace is never listed.
//!
//! The list only improves messages: a record of an unlisted namespace counts as tampered with, and
//! nothing is ever served because of the list.

use super::namespace_list::{MAX_NAME_LENGTH, MAX_NAMES, decode, encode};
use super::times::seal_time;
use super::vault::Vault;
use crate::store::{Record, StoreExt};
use crate::{Error, ErrorKind};
use lacre_core::{Key, Timestamp};
use lacre_seal::{Context, Fault, FaultKind, Lifetime, Opened, Purpose};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

impl Vault {
    /// Reads the list, for the messages of [`refusal`](Self::refusal) from then on.
    pub(crate) async fn learn_namespaces(&self) {
        let mut names = self.listed_names().await;
        names.insert(0, String::new());
        names.retain(|name| *name != self.namespace);
        *self.namespaces.others.lock().unwrap_or_else(PoisonError::into_inner) = names.into();
    }

    /// Adds this namespace to the list, once per vault. If the list cannot be written, only a
    /// message gets less clear.
    pub(crate) async fn list_namespace(&self, now: Timestamp) {
        let is_default = self.namespace.is_empty() || self.namespace.len() > MAX_NAME_LENGTH;
        if is_default || self.namespaces.listed.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut names = self.listed_names().await;
        if names.contains(&self.namespace) {
            return;
        }
        names.push(self.namespace.clone());
        names.drain(..names.len().saturating_sub(MAX_NAMES));
        let key = self.namespace_list_key();
        let at = self.namespace_list_context(&key);
        let life = Lifetime::unbounded(seal_time(now));
        let Ok(sealed) = self.sensitive_sealer.seal(&at, life, &encode(&names), &[]) else { return };
        let record = Record { body: None, chunks: 0, expires: Timestamp::MAX, written: now, sealed: &sealed };
        let _ = self.store.put(&key, record).await;
    }

    async fn listed_names(&self) -> Vec<String> {
        let key = self.namespace_list_key();
        let Ok(Some(record)) = self.store.fetch(&key).await else { return Vec::new() };
        // A revoked list still names namespaces that may be in use.
        let opener = self.any_suite.clone().danger_open_revoked();
        let opened =
            opener.open(&self.namespace_list_context(&key), &record.sealed, seal_time(Timestamp::default()));
        opened.ok().and_then(|opened| decode(&opened.head)).unwrap_or_default()
    }

    /// Opens the list of namespaces.
    pub(crate) fn open_namespace_list(&self, key: &Key, sealed: &[u8]) -> Result<Opened, Fault> {
        self.any_suite.open(&self.namespace_list_context(key), sealed, seal_time(Timestamp::default()))
    }

    /// Whether a record is the list of namespaces, revoked or not.
    pub(crate) fn is_namespace_list(&self, key: &Key, sealed: &[u8]) -> bool {
        *key == self.namespace_list_key()
            && self.open_namespace_list(key, sealed).map_or_else(|fault| fault.is_lapsed(), |_| true)
    }

    /// The error for an envelope that does not open at `at`: it belongs to another namespace, or
    /// nowhere.
    pub(crate) fn misplaced(&self, at: &Context<'_>, sealed: &[u8], fault: Fault, now: Timestamp) -> Error {
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

    /// Whether an envelope was sealed for this place in the namespace `name`.
    pub(crate) fn opens_in(&self, name: &str, at: &Context<'_>, sealed: &[u8], now: Timestamp) -> bool {
        // The commitment holds, so the envelope was sealed there, whatever else is wrong with it.
        match self.any_suite.open_head(&Context { namespace: name, ..*at }, sealed, seal_time(now)) {
            Ok(_) => true,
            Err(fault) => fault.is_lapsed() || fault.kind() == FaultKind::BadSegment,
        }
    }

    /// The other namespaces, as [`learn_namespaces`](Self::learn_namespaces) last read them.
    pub(crate) fn other_namespaces(&self) -> Arc<[String]> {
        Arc::clone(&self.namespaces.others.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn namespace_list_key(&self) -> Key {
        Key::from_bytes(self.any_suite.keyring().row_key(b"lacre/v1/namespaces"))
    }

    pub(crate) fn namespace_list_context<'a>(&'a self, key: &'a Key) -> Context<'a> {
        Context { purpose: Purpose::Namespaces, store: &self.store_id, namespace: "", key: key.as_bytes() }
    }
}
