//! A keyring in a credential of a systemd service (`LoadCredential=`, `LoadCredentialEncrypted=`,
//! `SetCredential=`): a file in the directory `CREDENTIALS_DIRECTORY`, which only the service can
//! read.

use super::secret_file::read_opened;
use super::{KeySource, as_text, env};
use crate::{Error, ErrorKind, files};
use lacre_seal::Keyring;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A credential that the service manager passes to this service.
#[derive(Clone, Debug)]
pub struct KeyCredential {
    name: String,
}

impl KeyCredential {
    /// The credential `name`, as in the unit file.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }

    /// Refuses a name that leads out of the directory.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let path = Path::new(name);
        (path.file_name() == Some(name.as_ref())).then(|| Self::named(name))
    }

    fn read_in(&self, directory: Option<PathBuf>) -> Result<Zeroizing<String>, Error> {
        let name = &self.name;
        let refused = |problem: &str| {
            Error::new(ErrorKind::KeyUnavailable, format!("the credential {name} {problem}"))
                .with_hint(format!("add LoadCredential={name}:PATH to the unit, and restart it"))
        };
        let directory = directory
            .ok_or_else(|| refused("is missing: this process is not a systemd service with credentials"))?;
        // The group bits of the mode do not matter: they may stand for an access control list.
        let (file, length) = files::open_owned(&directory.join(name)).map_err(|refusal| {
            if refusal.is_absence() {
                return refused("is not a credential of this service");
            }
            refusal.into_error(ErrorKind::KeyUnavailable)
        })?;
        let bytes = read_opened(file, length, Keyring::MAX_TEXT_LEN)
            .map_err(|error| refused("cannot be read").with_source(error))?
            .ok_or_else(|| refused("is longer than a keyring can be"))?;
        as_text(bytes).ok_or_else(|| refused("is not text"))
    }
}

impl KeySource for KeyCredential {
    fn read(&self) -> Result<Zeroizing<String>, Error> {
        self.read_in(env::credentials_directory())
    }

    fn describe(&self) -> String {
        format!("systemd:{}", self.name)
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn credential_is_read_from_the_directory_of_the_service() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lacre-key");
        fs::write(&path, "the text").unwrap();
        // The mode that systemd sets when an access control list admits the user of the service.
        fs::set_permissions(&path, PermissionsExt::from_mode(0o440)).unwrap();
        let credential = KeyCredential::parse("lacre-key").unwrap();
        assert_eq!(*credential.read_in(Some(directory.path().into())).unwrap(), "the text");
        symlink(&path, directory.path().join("link")).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o460)).unwrap();
        for name in ["link", "absent", "lacre-key"] {
            let error = KeyCredential::named(name).read_in(Some(directory.path().into())).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{name}");
        }
        assert_eq!(credential.read_in(None).unwrap_err().kind(), ErrorKind::KeyUnavailable);
    }

    #[test]
    fn name_cannot_lead_out_of_the_directory() {
        for name in ["", ".", "..", "../key", "/etc/key", "a/b", "a/"] {
            assert!(KeyCredential::parse(name).is_none(), "{name:?}");
        }
    }
}
