//! A keyring among the credentials of a systemd service (`LoadCredential=`, `LoadCredentialEncrypted=`, `SetCredential=`): a file in
//! the directory that `CREDENTIALS_DIRECTORY` names, which only the service can read.

use super::secret_file::read_opened;
use super::{KeySource, as_text, env};
use crate::{Error, ErrorKind, files};
use lacre_seal::Keyring;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A credential that the service manager hands to this service.
#[derive(Clone, Debug)]
pub struct KeyCredential {
    name: String,
}

impl KeyCredential {
    /// The credential `name`, as the unit calls it.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }

    /// Refuses what would lead out of the directory.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let path = Path::new(name);
        (path.file_name() == Some(name.as_ref())).then(|| Self::named(name))
    }

    fn read_in(&self, directory: Option<PathBuf>) -> Result<Zeroizing<String>, Error> {
        let name = &self.name;
        let refused = |why: &str| {
            Error::new(ErrorKind::KeyUnavailable, format!("the credential {name} {why}"))
                .with_hint(format!("give the unit LoadCredential={name}:PATH, and restart it"))
        };
        let directory =
            directory.ok_or_else(|| refused("is not there: this is no systemd service with credentials"))?;
        // Its mode says nothing: access may be given by an access control list, which shows as the group's.
        let (file, length) = files::open_owned(&directory.join(name)).map_err(|refusal| {
            if refusal.is_absence() {
                return refused("is not among those of this service");
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
    fn a_credential_is_read_from_the_directory_of_the_service() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lacre-key");
        fs::write(&path, "the text").unwrap();
        // As systemd leaves it where an access control list lets the service's user in.
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
    fn a_name_cannot_lead_out_of_the_directory() {
        for name in ["", ".", "..", "../key", "/etc/key", "a/b", "a/"] {
            assert!(KeyCredential::parse(name).is_none(), "{name:?}");
        }
    }
}
