//! A keyring in a keyring of the operating system: of the desktop (Secret Service, macOS Keychain,
//! Windows Credential Manager) or of the Linux kernel.
//!
//! Entries are named by service and user and hold text, as in Python's `keyring`: either program
//! reads entries of the other.

use super::{KeySource, UpdateLock, WritableKeySource, already_exists};
use crate::{Error, ErrorKind, config};
use keyring_core::api::CredentialStoreApi;
use keyring_core::{Entry, Error as Refusal};
use lacre_seal::Keyring;
use std::sync::Arc;
use zeroize::{Zeroize, Zeroizing};

/// An entry in a keyring of the operating system.
#[derive(Clone, Debug)]
pub struct KeyringEntry {
    vault: OsKeyring,
    service: String,
    user: String,
}

/// The keyrings of an operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OsKeyring {
    /// The desktop's: on disk, unlocked when the user logs in.
    Desktop,
    /// The kernel's: in memory, until the machine is switched off at the latest.
    Kernel,
}

impl KeyringEntry {
    /// The entry of `user` for `service` in the keyring of the desktop.
    pub fn in_desktop(service: impl Into<String>, user: impl Into<String>) -> Self {
        Self { vault: OsKeyring::Desktop, service: service.into(), user: user.into() }
    }

    /// The entry of `user` for `service` in the session keyring of the Linux kernel, and in the
    /// persistent keyring of this user if the kernel has one.
    pub fn in_kernel(service: impl Into<String>, user: impl Into<String>) -> Self {
        Self { vault: OsKeyring::Kernel, ..Self::in_desktop(service, user) }
    }

    /// Parses SERVICE/USER; `None`: the text has another form.
    pub(super) fn parse(vault: OsKeyring, name: &str) -> Option<Self> {
        // A service may be a URL; a user name has no slash.
        let (service, user) = name.rsplit_once('/')?;
        let complete = !service.is_empty() && !user.is_empty();
        complete.then(|| Self { vault, ..Self::in_desktop(service, user) })
    }

    fn entry(&self) -> Result<Entry, Error> {
        self.vault.entry(&self.service, &self.user).map_err(|refusal| self.refused(refusal))
    }

    fn refused(&self, refusal: Refusal) -> Error {
        let name = self.describe();
        let error = |message| Error::new(ErrorKind::KeyUnavailable, message);
        match refusal {
            Refusal::NoEntry => {
                error(format!("there is no {name}")).with_hint(format!("lacre key new {name}"))
            }
            // Other forms of these errors carry the secret itself.
            Refusal::BadEncoding(mut bytes) | Refusal::BadDataFormat(mut bytes, _) => {
                bytes.zeroize();
                error(format!("{name} holds something that is not text"))
                    .with_hint("name the entry that holds the keyring")
            }
            Refusal::Ambiguous(_) => error(format!("there are several entries {name}"))
                .with_hint("remove all but one with the program of your keyring"),
            Refusal::TooLong(..) => error(format!("{name} cannot hold so many keys"))
                .with_hint("retire unused keys with `lacre key retire`, or keep the keyring in a file"),
            Refusal::PlatformFailure(cause) | Refusal::NoStorageAccess(cause) => {
                error(format!("{name} cannot be reached")).with_source(cause).with_hint(self.vault.remedy())
            }
            _ => error(format!("{name} cannot be used")).with_hint(self.vault.remedy()),
        }
    }
}

impl KeySource for KeyringEntry {
    fn read(&self) -> Result<Zeroizing<String>, Error> {
        let text = self.entry()?.get_password().map_err(|refusal| self.refused(refusal))?;
        Ok(Zeroizing::new(text))
    }

    fn describe(&self) -> String {
        format!("{}:{}/{}", self.vault.scheme(), self.service, self.user)
    }

    fn writable(&self) -> Option<&dyn WritableKeySource> {
        Some(self)
    }

    fn caveat(&self) -> Option<&'static str> {
        self.vault.caveat()
    }
}

impl WritableKeySource for KeyringEntry {
    fn create(&self, keyring: &Keyring) -> Result<(), Error> {
        let _turn = self.lock_for_update()?;
        match self.entry()?.get_password().map(Zeroizing::new) {
            Err(Refusal::NoEntry) => self.replace(keyring),
            Ok(_) => Err(already_exists(&self.describe())),
            Err(refusal) => Err(self.refused(refusal)),
        }
    }

    fn replace(&self, keyring: &Keyring) -> Result<(), Error> {
        self.entry()?.set_password(&keyring.to_text()).map_err(|refusal| self.refused(refusal))
    }

    /// Keyrings of an operating system cannot be locked, so a directory of this user is locked
    /// instead.
    fn lock_for_update(&self) -> Result<UpdateLock, Error> {
        let directory = config::config_directory()?;
        config::make_private(&directory)?;
        UpdateLock::acquire(&directory).map_err(|error| {
            Error::new(ErrorKind::Io, format!("{} cannot be locked", directory.display()))
                .with_hint("check the permissions of this directory")
                .with_source(error)
        })
    }
}

type Opened = Result<Arc<dyn CredentialStoreApi + Send + Sync>, Refusal>;

impl OsKeyring {
    /// The keyring of a scheme: `keyutils` for the kernel, the desktop otherwise.
    pub(super) fn of(scheme: &str) -> Self {
        if scheme == Self::Kernel.scheme() { Self::Kernel } else { Self::Desktop }
    }

    pub(super) const fn scheme(self) -> &'static str {
        match self {
            Self::Desktop => "keyring",
            Self::Kernel => "keyutils",
        }
    }

    const fn remedy(self) -> &'static str {
        match self {
            Self::Desktop => {
                "log in to a desktop, or keep the key elsewhere: file:PATH, keyutils:SERVICE/USER or systemd:NAME"
            }
            Self::Kernel => {
                "keep the key elsewhere, such as file:PATH or systemd:NAME: containers often have no kernel keyring"
            }
        }
    }

    /// Whether the keyring answers.
    pub(super) fn reach(self) -> Result<(), Error> {
        let entry = self.entry("lacre", "probe");
        let refusal = match entry.and_then(|entry| entry.get_credential()) {
            Ok(_) | Err(Refusal::NoEntry | Refusal::Ambiguous(_)) => return Ok(()),
            Err(refusal) => refusal,
        };
        let error = Error::new(ErrorKind::KeyUnavailable, "it does not answer").with_hint(self.remedy());
        Err(match refusal {
            Refusal::PlatformFailure(cause) | Refusal::NoStorageAccess(cause) => error.with_source(cause),
            _ => error,
        })
    }

    fn entry(self, service: &str, user: &str) -> Result<Entry, Refusal> {
        let vault = self.open()?;
        if self == Self::Kernel {
            // The first lookup links the persistent keyring of the user to the session of this
            // process, and may create it; only the second one searches it.
            vault.build(service, user, None)?;
        }
        vault.build(service, user, None)
    }

    /// A limit on how long an entry lasts, if there is one.
    fn caveat(self) -> Option<&'static str> {
        const EXPIRY: &str = "/proc/sys/kernel/keys/persistent_keyring_expiry";
        match self {
            Self::Desktop => None,
            Self::Kernel if std::path::Path::new(EXPIRY).exists() => Some(
                "it is lost when the machine is switched off, or after some days without use: keep a copy elsewhere",
            ),
            Self::Kernel => Some("it is lost when this login session ends: keep a copy elsewhere"),
        }
    }

    fn open(self) -> Opened {
        match self {
            Self::Desktop => open_desktop(),
            Self::Kernel => open_kernel(),
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "freebsd"))]
fn open_desktop() -> Opened {
    Ok(zbus_secret_service_keyring_store::Store::new()?)
}

#[cfg(target_os = "macos")]
fn open_desktop() -> Opened {
    Ok(apple_native_keyring_store::keychain::Store::new()?)
}

/// Entries are named USER@SERVICE, as Python's `keyring` names the second entry of a service.
#[cfg(windows)]
fn open_desktop() -> Opened {
    let names = [("prefix", ""), ("divider", "@"), ("suffix", "")].into();
    Ok(windows_native_keyring_store::Store::new_with_configuration(&names)?)
}

#[cfg(not(any(target_os = "linux", target_os = "freebsd", target_os = "macos", windows)))]
fn open_desktop() -> Opened {
    Err(Refusal::NotSupportedByStore("this platform has no keyring".into()))
}

#[cfg(target_os = "linux")]
fn open_kernel() -> Opened {
    Ok(linux_keyutils_keyring_store::Store::new()?)
}

#[cfg(not(target_os = "linux"))]
fn open_kernel() -> Opened {
    Err(Refusal::NotSupportedByStore("only Linux has such a keyring".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_is_named_by_service_and_user() {
        let parse = |name| KeyringEntry::parse(OsKeyring::Kernel, name);
        assert_eq!(parse("lacre/ana").unwrap().describe(), "keyutils:lacre/ana");
        let entry = parse("https://example.org/ana").unwrap();
        assert_eq!((entry.service.as_str(), entry.user.as_str()), ("https://example.org", "ana"));
        for name in ["", "lacre", "/", "lacre/", "/ana"] {
            assert!(parse(name).is_none(), "{name:?}");
        }
    }

    #[test]
    fn secret_of_an_entry_is_never_shown() {
        let entry = KeyringEntry::in_desktop("lacre", "ana");
        let cause = || "whatever".into();
        for refusal in [
            Refusal::BadEncoding(b"hunter2".into()),
            Refusal::BadDataFormat(b"hunter2".into(), cause()),
            Refusal::NoEntry,
            Refusal::NoStorageAccess(cause()),
        ] {
            let error = entry.refused(refusal);
            assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
            assert!(error.to_string().contains("keyring:lacre/ana") && error.hint().is_some());
            let shown = format!("{error:?}");
            assert!(!shown.contains("hunter2") && !shown.contains("104, 117, 110"), "{shown}");
        }
    }
}
