//! References to key sources that need no passphrase. The passphrase of other sources can itself be
//! kept in one of these.

#[cfg(feature = "keys-os")]
use super::os::{KeyringEntry, OsKeyring};
use super::{KeyCommand, KeyCredential, KeyEnv, KeyFile, KeySource};
#[cfg(not(all(feature = "keys-os", feature = "keys-kdbx", feature = "keys-passphrase")))]
use crate::ErrorKind;
use crate::{Error, config};

/// `None`: the text is no reference of a known form.
pub(super) type Parsed = Result<Option<Box<dyn KeySource>>, Error>;

/// The source that `reference` names, unless it needs a passphrase.
pub(super) fn parse(reference: &str) -> Parsed {
    match split(reference) {
        Some(("file", path)) => found(Some(KeyFile::at(config::path_in_reference(path)?))),
        Some(("env", name)) => found(Some(KeyEnv::named(name))),
        Some(("cmd", line)) => found(KeyCommand::parse(line)),
        Some(("systemd", name)) => found(KeyCredential::parse(name)),
        Some((scheme @ ("keyring" | "keyutils"), name)) => os_entry(scheme, name),
        _ => Ok(None),
    }
}

pub(super) fn split(reference: &str) -> Option<(&str, &str)> {
    reference.split_once(':').filter(|(_, name)| !name.is_empty())
}

pub(super) fn found<S: KeySource + 'static>(source: Option<S>) -> Parsed {
    Ok(source.map(|source| Box::new(source) as _))
}

#[cfg(feature = "keys-os")]
fn os_entry(scheme: &str, name: &str) -> Parsed {
    found(KeyringEntry::parse(OsKeyring::of(scheme), name))
}

#[cfg(not(feature = "keys-os"))]
fn os_entry(_: &str, _: &str) -> Parsed {
    Err(missing_feature("keys-os"))
}

#[cfg(not(all(feature = "keys-os", feature = "keys-kdbx", feature = "keys-passphrase")))]
pub(super) fn missing_feature(feature: &'static str) -> Error {
    Error::new(ErrorKind::Config, format!("this program was built without the feature `{feature}`"))
        .with_hint("build it with that feature, or keep the key in another source")
}
