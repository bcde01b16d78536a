//! Default paths, by the conventions of the platform, and the environment variables. Only this file
//! and `keys/env.rs` read the environment.

use crate::files::{self, Creation};
use crate::{Error, ErrorKind, Transport};
use etcetera::BaseStrategy;
use std::env;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// The variable with the URL of the store: see [`store::StoreUrl`](crate::store::StoreUrl).
pub const STORE: &str = "LACRE_STORE";
/// The variable with the reference to the key source: see [`keys::parse`](crate::keys::parse).
pub const KEY: &str = "LACRE_KEY";

/// The value of [`STORE`]; `None`: it is not set, or empty.
///
/// # Errors
/// [`ErrorKind::Config`]: it is not Unicode.
pub fn store_reference() -> Result<Option<String>, Error> {
    variable_value(STORE)
}

/// The value of [`KEY`]; `None`: it is not set, or empty.
///
/// # Errors
/// [`ErrorKind::Config`]: it is not Unicode.
pub fn key_reference() -> Result<Option<String>, Error> {
    variable_value(KEY)
}

fn variable_value(variable: &'static str) -> Result<Option<String>, Error> {
    let Some(value) = env::var_os(variable).filter(|value| !value.is_empty()) else { return Ok(None) };
    // The value is not repeated: it may be a secret.
    value.into_string().map(Some).map_err(|_| {
        Error::new(ErrorKind::Config, format!("{variable} is not Unicode"))
            .with_hint("write the path in UTF-8, or give the store and the key to the program itself")
    })
}

/// Expands a `~` at the start of `path` to the home directory of the user. A directory named `~` is
/// written `./~`.
///
/// # Errors
/// [`ErrorKind::Config`]: `path` starts with `~NAME`, which only a shell expands, or the user has
/// no home directory.
pub fn expand_home(path: &Path) -> Result<PathBuf, Error> {
    let Ok(rest) = path.strip_prefix("~") else {
        let first = path.components().next().map(|first| first.as_os_str().to_string_lossy());
        return match first {
            Some(first) if first.starts_with('~') && !path.exists() => Err(Error::new(
                ErrorKind::Config,
                format!("{} begins with the home of another user", path.display()),
            )
            .with_hint("write the whole path; a file of this name is written with ./ before it")),
            _ => Ok(path.to_owned()),
        };
    };
    let home = etcetera::home_dir().map_err(|error| {
        Error::new(ErrorKind::Config, "this user has no home directory, which ~ stands for")
            .with_hint("set HOME, or write the whole path")
            .with_source(error)
    })?;
    Ok(home.join(rest))
}

/// The path in a reference, after its scheme: expanded by [`expand_home`], and without the host of
/// a URL.
pub(crate) fn path_in_reference(text: &str) -> Result<PathBuf, Error> {
    if text.strip_prefix("//").is_some_and(|rest| !rest.starts_with('/')) {
        return Err(Error::new(ErrorKind::Config, "a path in a reference has no host")
            .with_hint("write one slash, as in file:/path or sqlite:/path, or three"));
    }
    expand_home(Path::new(text))
}

/// Whether `text` has the form of a reference: a word of at least two characters (one is a drive on
/// Windows) and a colon. Such a text is never taken for a path or a secret, so that a misspelt
/// reference is an error.
#[must_use]
pub fn looks_like_reference(text: &str) -> bool {
    let Some((word, _)) = text.split_once(':') else { return false };
    let word = word.trim();
    word.chars().count() > 1 && word.chars().all(|char| char.is_alphanumeric() || "+-._".contains(char))
}

/// The path of the default store: `cache.sqlite` in `$LACRE_CACHE_DIR`, or else in `lacre` in the
/// cache directory of the user.
///
/// # Errors
/// [`ErrorKind::Config`]: the user has no home directory.
pub fn store_path() -> Result<PathBuf, Error> {
    let directory = match env::var_os("LACRE_CACHE_DIR").filter(|path| !path.is_empty()) {
        Some(path) => path.into(),
        None => strategy("LACRE_CACHE_DIR")?.cache_dir().join("lacre"),
    };
    Ok(directory.join("cache.sqlite"))
}

/// The directory of keys and settings: `lacre` in the configuration directory of the user.
///
/// # Errors
/// [`ErrorKind::Config`]: the user has no home directory.
pub fn config_directory() -> Result<PathBuf, Error> {
    Ok(strategy("XDG_CONFIG_HOME")?.config_dir().join("lacre"))
}

/// The path of the keyring that is created on first use: `keyring` in [`config_directory`].
///
/// # Errors
/// [`ErrorKind::Config`]: the user has no home directory.
pub fn keyring_path() -> Result<PathBuf, Error> {
    Ok(config_directory()?.join("keyring"))
}

/// How clients that honour this environment reach origins. The usual way, unless `SSL_CERT_FILE` or
/// `SSL_CERT_DIR` replace the trusted certificates of the platform, or `http_proxy` or `all_proxy`
/// name a proxy. The result then includes the content of that file, the path of that directory, and
/// the URL of that proxy.
#[must_use]
pub fn transport() -> Transport {
    let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
    let transport =
        match ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"].into_iter().find_map(variable) {
            Some(proxy) => Transport::standard().proxy(without_userinfo(&proxy.to_string_lossy())),
            None => Transport::standard(),
        };
    let (file, directories) = (variable("SSL_CERT_FILE"), variable("SSL_CERT_DIR"));
    if file.is_none() && directories.is_none() {
        return transport;
    }
    let named = |path: &Path| {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        absolute.into_os_string().into_encoded_bytes()
    };
    // With an unreadable file, clients trust no certificate; its name identifies that case.
    let file = file.map(|path| trusted(Path::new(&path)).unwrap_or_else(|| named(Path::new(&path))));
    let directories = directories.map(|list| {
        let each = env::split_paths(&list).map(|path| named(&path));
        each.collect::<Vec<_>>().join(&b'\n')
    });
    transport.roots(file.into_iter().chain(directories))
}

fn without_userinfo(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let end = rest.find('/').unwrap_or(rest.len());
    let host = rest[..end].rsplit_once('@').map_or(&rest[..end], |(_, host)| host);
    format!("{scheme}://{host}")
}

/// The longest file of trusted certificates that is read, in bytes.
const MAX_ROOTS: u64 = 16 << 20;

/// The content of a file of certificates; `None`: it is not such a file.
fn trusted(path: &Path) -> Option<Vec<u8>> {
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let mut content = Vec::new();
    let read = File::open(path).ok()?.take(MAX_ROOTS + 1).read_to_end(&mut content).ok()?;
    (read as u64 <= MAX_ROOTS).then_some(content)
}

/// Creates a directory for a cache (0700) and marks it, so that backup programs and version control
/// skip it. Checks that an existing one is safe.
///
/// # Errors
/// [`ErrorKind::Io`]: it cannot be created, belongs to another user, or others can write to it.
pub fn make_cache_directory(path: &Path) -> Result<(), Error> {
    let (directory, made) =
        files::private_directory(path).map_err(|refusal| refusal.into_error(ErrorKind::Io))?;
    if made == Creation::Created {
        mark_cache_directory(&directory);
    }
    Ok(())
}

/// Creates a directory (0700) if it is missing, and checks that an existing one is safe.
pub(crate) fn make_private(path: &Path) -> Result<(), Error> {
    files::private_directory(path).map(drop).map_err(|refusal| refusal.into_error(ErrorKind::Io))
}

/// Whether `file` is in the directory of the file `store`, or below it if that directory is marked
/// as a cache: one copy or restore of the directory would include both. Neither file need exist.
#[must_use]
pub fn share_directory(file: &Path, store: &Path) -> bool {
    let (directory, cache) = (directory_of(file), directory_of(store));
    directory == cache || (directory.starts_with(&cache) && cache.join(CACHE_TAG).exists())
}

/// Resolves links as far as the directory exists. A directory that does not exist yet belongs to
/// nobody else.
fn directory_of(file: &Path) -> PathBuf {
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let directory = absolute.parent().unwrap_or(&absolute);
    let resolved = directory.ancestors().find_map(|existing| {
        let rest = directory.strip_prefix(existing).ok()?;
        Some(existing.canonicalize().ok()?.join(rest))
    });
    resolved.unwrap_or_else(|| directory.to_owned())
}

fn strategy(variable: &str) -> Result<impl BaseStrategy, Error> {
    etcetera::choose_base_strategy().map_err(|error| {
        Error::new(ErrorKind::Config, "this user has no home directory")
            .with_hint(format!("set HOME or {variable}"))
            .with_source(error)
    })
}

/// The file that marks a directory as a cache.
const CACHE_TAG: &str = "CACHEDIR.TAG";

/// Marks a directory as a cache for backup programs and version control. A failure is ignored:
/// caching works without the marks.
pub(crate) fn mark_cache_directory(directory: &Path) {
    let tag = "Signature: 8a477f597d28d172789f06886806bc55\n# Creation by lacre; see https://bford.info/cachedir/\n";
    for (name, content) in [(CACHE_TAG, tag), (".gitignore", "*\n")] {
        let _ = files::create_private(&directory.join(name))
            .and_then(|mut file| file.write_all(content.as_bytes()));
    }
}
