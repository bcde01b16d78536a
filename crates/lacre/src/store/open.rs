//! Store URLs, read and opened: the one place that turns the text of `--store`, of `LACRE_STORE` or
//! of a Python path into a store. It holds the registry of URL schemes, so that a store of another
//! crate needs no change here.

#[cfg(all(unix, feature = "fs"))]
use super::Fs;
#[cfg(feature = "sqlite")]
use super::Sqlite;
use super::url::{Medium, OpenOptions, Scheme, StoreUrl, Target};
use super::{Memory, Store};
use crate::{Error, ErrorKind, config};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};

/// Opens the store that `url` names, with default options. Creates it if it is missing.
///
/// # Errors
/// [`Config`](ErrorKind::Config): `url` is not a store URL. [`Store`](ErrorKind::Store): the store
/// cannot be opened.
pub fn open(url: &str) -> Result<Arc<dyn Store>, Error> {
    url.parse::<StoreUrl>()?.open()
}

/// The schemes of the stores in this crate.
const BUILT_IN: &[Scheme] = &[
    #[cfg(feature = "sqlite")]
    Scheme { name: "sqlite", form: "sqlite:PATH", medium: Medium::File, open: open_sqlite },
    #[cfg(all(unix, feature = "fs"))]
    Scheme { name: "dir", form: "dir:PATH", medium: Medium::Directory, open: open_fs },
    MEMORY,
];

const MEMORY: Scheme = Scheme { name: "memory", form: "memory:", medium: Medium::Memory, open: open_memory };

/// The schemes that other crates registered.
static REGISTERED: RwLock<Vec<Scheme>> = RwLock::new(Vec::new());

/// Registers a URL scheme for this process. From then on, `--store`, `LACRE_STORE` and Python
/// accept its URLs.
///
/// ```
/// use lacre::store::{self, Medium, Memory, Scheme, StoreUrl};
/// use std::sync::Arc;
///
/// store::register(Scheme {
///     name: "example",
///     form: "example:HOST",
///     medium: Medium::Remote,
///     open: |url, _| {
///         assert_eq!(url.address(), Some("//cache.example"));
///         Ok(Arc::new(Memory::new()?))
///     },
/// })?;
/// store::open("example://cache.example")?;
/// # Ok::<(), lacre::Error>(())
/// ```
///
/// # Errors
/// [`Config`](ErrorKind::Config): the scheme is registered already, or its name is not two or more
/// lower-case letters, digits, `+`, `-` or `.`.
pub fn register(scheme: Scheme) -> Result<(), Error> {
    let name = scheme.name;
    let is_valid = name.len() > 1
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .chars()
            .all(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || "+-.".contains(char));
    if !is_valid {
        return Err(Error::new(ErrorKind::Config, format!("`{name}` cannot be the scheme of a store URL"))
            .with_hint("choose a name of lower-case letters"));
    }
    let mut registered = REGISTERED.write().unwrap_or_else(PoisonError::into_inner);
    if BUILT_IN.iter().chain(&*registered).any(|known| known.name == name) {
        return Err(Error::new(ErrorKind::Config, format!("the store scheme {name}: is registered already")));
    }
    registered.push(scheme);
    Ok(())
}

/// The schemes that can be opened in this process: those of this crate, then the registered ones.
#[must_use]
pub fn schemes() -> Vec<Scheme> {
    let registered = REGISTERED.read().unwrap_or_else(PoisonError::into_inner);
    BUILT_IN.iter().chain(&*registered).copied().collect()
}

/// The forms of store URLs, for messages and help: `sqlite:PATH, dir:PATH or memory:`.
#[must_use]
pub fn url_forms() -> String {
    let mut forms: Vec<_> = schemes().iter().map(|scheme| scheme.form).collect();
    let last = forms.pop().unwrap_or_default();
    if forms.is_empty() { last.to_owned() } else { format!("{} or {last}", forms.join(", ")) }
}

fn find(name: &str) -> Option<Scheme> {
    schemes().into_iter().find(|scheme| scheme.name == name)
}

impl StoreUrl {
    /// The URL in `LACRE_STORE`, or else of the user's own store, an SQLite file at
    /// [`config::store_path`].
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config): there is no home directory, or `LACRE_STORE` is not a store
    /// URL.
    pub fn user() -> Result<Self, Error> {
        match config::store_reference()? {
            Some(text) => text.parse().map_err(|error: Error| error.with_context(config::STORE)),
            None => Self::with_path("sqlite", config::store_path()?),
        }
    }

    /// The URL of a store in this process's memory.
    #[must_use]
    pub fn memory() -> Self {
        Self::new(MEMORY, Target::Memory)
    }

    /// The URL of a store at `path`, taken as it is, with a scheme of a file or a directory.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config): there is no such scheme, or its URLs hold no path.
    pub fn with_path(scheme: &str, path: impl Into<PathBuf>) -> Result<Self, Error> {
        match find(scheme) {
            Some(scheme) if matches!(scheme.medium, Medium::File | Medium::Directory) => {
                Ok(Self::new(scheme, Target::Path(path.into())))
            }
            _ => Err(no_store_url(&format!("{scheme}:"))),
        }
    }

    /// The URL of the SQLite file at `path`, as SQLite's own programs read a path: `:memory:` is a
    /// store in memory. A `~` at the start is the user's home directory.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config): there is no home directory, or this build has no SQLite store.
    pub fn from_path(path: &Path) -> Result<Self, Error> {
        if path.as_os_str() == ":memory:" {
            return Ok(Self::memory());
        }
        Self::with_path("sqlite", config::expand_home(path)?)
    }

    /// Reads a text that is a URL or a path, for callers that accept both. A text of the form
    /// `WORD:…` is a URL, so that a misspelt scheme is an error; other texts are paths as
    /// [`from_path`](Self::from_path) reads them.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config): it is a URL of an unknown form, or as
    /// [`from_path`](Self::from_path).
    pub fn from_path_or_url(text: &str) -> Result<Self, Error> {
        if !config::looks_like_reference(text) {
            return Self::from_path(Path::new(text));
        }
        text.parse().map_err(|error: Error| {
            let hint = error.hint().unwrap_or_default().to_owned();
            error.with_hint(format!("{hint}, or ./ before the name of a file"))
        })
    }
}

/// Reads a URL of a registered scheme. A `~` at the start of a path is the user's home directory.
impl FromStr for StoreUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parts = text.split_once(':').and_then(|(name, rest)| Some((find(name)?, rest)));
        let Some((scheme, rest)) = parts else { return Err(no_store_url(text)) };
        let target = match scheme.medium {
            Medium::Memory if rest.is_empty() => Target::Memory,
            Medium::File | Medium::Directory if !rest.is_empty() => {
                Target::Path(config::path_in_reference(rest)?)
            }
            Medium::Remote if !rest.is_empty() => Target::Address(rest.to_owned()),
            _ => return Err(no_store_url(text)),
        };
        Ok(Self::new(scheme, target))
    }
}

/// Schemes that are known but cannot be opened here, and why not. The scheme is safe to repeat.
const UNAVAILABLE: &[(&[&str], &str)] = &[
    #[cfg(not(feature = "sqlite"))]
    (&["sqlite"], "this program was built without lacre's feature `sqlite`"),
    #[cfg(not(feature = "fs"))]
    (&["dir"], "this program was built without lacre's feature `fs`"),
    #[cfg(all(not(unix), feature = "fs"))]
    (&["dir"], "stores in directories need Unix"),
    (
        &[
            "redis",
            "rediss",
            "valkey",
            "postgres",
            "postgresql",
            "mysql",
            "mongodb",
            "dynamodb",
            "s3",
            "http",
            "https",
        ],
        "this program has no store on other machines",
    ),
];

/// The error for a text that is not a store URL. It repeats nothing of `text` but a known scheme:
/// URLs of remote stores carry passwords.
fn no_store_url(text: &str) -> Error {
    let name = text.split_once(':').map(|(name, _)| name.trim().to_ascii_lowercase());
    let name = name.as_deref().filter(|name| name.len() > 1);
    let unavailable = UNAVAILABLE.iter().find(|(names, _)| name.is_some_and(|name| names.contains(&name)));
    let reason = match (name, name.and_then(find), unavailable) {
        (_, Some(Scheme { medium: Medium::Memory, form, .. }), _) => {
            format!("write {form} in lower case, and nothing after it")
        }
        (_, Some(Scheme { form, .. }), _) => {
            format!("write {form}, with the scheme in lower case and something after the colon")
        }
        (Some(name), None, Some((_, reason))) => format!("{reason} ({name}:)"),
        (Some(_), None, None) => "its scheme is unknown".to_owned(),
        (None, None, _) => "a path is written sqlite:PATH".to_owned(),
    };
    Error::new(ErrorKind::Config, format!("this does not name a store: {reason}"))
        .with_hint(format!("write {}", url_forms()))
}

#[cfg(any(feature = "sqlite", all(unix, feature = "fs")))]
fn path(url: &StoreUrl) -> Result<&Path, Error> {
    url.path().ok_or_else(|| no_store_url(url.scheme()))
}

fn open_memory(_: &StoreUrl, options: &OpenOptions) -> Result<Arc<dyn Store>, Error> {
    Ok(Arc::new(match options.max_bytes {
        Some(bytes) => Memory::with_capacity(usize::try_from(bytes).unwrap_or(usize::MAX))?,
        None => Memory::new()?,
    }))
}

#[cfg(feature = "sqlite")]
fn open_sqlite(url: &StoreUrl, options: &OpenOptions) -> Result<Arc<dyn Store>, Error> {
    let mut sqlite = Sqlite::options().observer(Arc::clone(&options.observer));
    if let Some(bytes) = options.max_bytes {
        sqlite = sqlite.max_bytes(bytes);
    }
    let sqlite = if options.read_only { sqlite.read_only() } else { sqlite };
    Ok(Arc::new(sqlite.open(path(url)?)?))
}

#[cfg(all(unix, feature = "fs"))]
fn open_fs(url: &StoreUrl, options: &OpenOptions) -> Result<Arc<dyn Store>, Error> {
    let mut fs = Fs::options().observer(Arc::clone(&options.observer));
    if let Some(bytes) = options.max_bytes {
        fs = fs.max_bytes(bytes);
    }
    let fs = if options.read_only { fs.read_only() } else { fs };
    Ok(Arc::new(fs.open(path(url)?)?))
}

#[cfg(feature = "sqlite")]
#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &str) -> StoreUrl {
        text.parse().unwrap()
    }

    /// A scheme of another crate, registered once for all tests.
    fn register_remote() {
        let scheme = Scheme {
            name: "test-remote",
            form: "test-remote:HOST",
            medium: Medium::Remote,
            open: |_, _| Ok(Arc::new(Memory::new()?)),
        };
        let _ = register(scheme);
    }

    #[test]
    fn url_is_printed_as_it_was_read() {
        for text in [
            "sqlite:/a b/c.sqlite",
            "sqlite:relative",
            "memory:",
            #[cfg(unix)]
            "dir:/a",
        ] {
            assert_eq!(parsed(text).to_string(), text);
        }
    }

    #[test]
    fn url_names_its_path_and_medium() {
        let home = etcetera::home_dir().unwrap();
        for (text, path, medium) in [
            ("sqlite:/x", Some(PathBuf::from("/x")), Medium::File),
            ("sqlite:///x", Some("/x".into()), Medium::File),
            ("sqlite:x y", Some("x y".into()), Medium::File),
            ("sqlite:~/x", Some(home.join("x")), Medium::File),
            ("sqlite:./~", Some("./~".into()), Medium::File),
            ("sqlite:a:b", Some("a:b".into()), Medium::File),
            ("memory:", None, Medium::Memory),
            #[cfg(unix)]
            ("dir:/x", Some("/x".into()), Medium::Directory),
        ] {
            let url = parsed(text);
            assert_eq!((url.path(), url.medium()), (path.as_deref(), medium), "{text}");
        }
    }

    #[test]
    fn misspelt_url_is_an_error_that_lists_the_forms_and_repeats_nothing() {
        for text in [
            "",
            ":",
            "sqlite:",
            "dir:",
            "memory:x",
            "Memory:",
            "sqlit:/tmp/c",
            "Sqlite:/tmp/c",
            " sqlite:/tmp/c",
            "/tmp/c.sqlite",
            "C:\\c.sqlite",
            "cache",
            "hunter2:x",
            "redis://:hunter2@host",
            "sqlite://hunter2/x",
            "sqlite:~hunter2/x",
        ] {
            let error = text.parse::<StoreUrl>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{text}");
            assert!(error.hint().is_some(), "{text}");
            if !text.starts_with("sqlite:~") {
                assert!(error.hint().unwrap().contains("sqlite:"), "{text}");
                assert!(!format!("{error:?}").contains("hunter2"), "{text}");
            }
        }
    }

    #[test]
    fn error_says_what_is_wrong_with_a_url() {
        for (text, reason) in [
            ("cache.sqlite", "a path is written sqlite:PATH"),
            ("C:\\c.sqlite", "a path is written sqlite:PATH"),
            ("SQLITE:/c", "write sqlite:PATH, with the scheme in lower case"),
            ("sqlite:", "something after the colon"),
            ("memory:x", "write memory: in lower case, and nothing after it"),
            ("redis://host", "this program has no store on other machines (redis:)"),
            ("sqlit:/c", "its scheme is unknown"),
        ] {
            let error = text.parse::<StoreUrl>().unwrap_err().to_string();
            assert!(error.ends_with(reason) || error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn text_is_a_url_or_a_path() {
        let home = etcetera::home_dir().unwrap();
        for (text, path) in [
            ("cache.sqlite", Some(PathBuf::from("cache.sqlite"))),
            ("./sqlite:x", Some("./sqlite:x".into())),
            ("C:\\c.sqlite", Some("C:\\c.sqlite".into())),
            ("~/c.sqlite", Some(home.join("c.sqlite"))),
            ("sqlite:/x", Some("/x".into())),
            (":memory:", None),
            ("memory:", None),
        ] {
            assert_eq!(StoreUrl::from_path_or_url(text).unwrap().path(), path.as_deref(), "{text}");
        }
        let error = StoreUrl::from_path_or_url("sqlit:/x").unwrap_err();
        assert!(error.hint().unwrap().ends_with("or ./ before the name of a file"));
        let path = StoreUrl::from_path(Path::new("sqlite:x")).unwrap();
        assert_eq!(path.path(), Some(Path::new("sqlite:x")), "a path is never a URL");
    }

    #[test]
    fn scheme_of_another_crate_is_opened_and_its_address_is_not_shown() {
        register_remote();
        let url = parsed("test-remote://user:hunter2@host/0");
        assert_eq!((url.path(), url.file(), url.medium()), (None, None, Medium::Remote));
        assert_eq!(url.address(), Some("//user:hunter2@host/0"));
        assert!(!format!("{url} {url:?}").contains("hunter2"));
        assert!(url.open().is_ok());
        assert!(url_forms().contains("test-remote:HOST"));
        assert!("test-remote:".parse::<StoreUrl>().is_err());
    }

    #[test]
    fn scheme_is_registered_once_and_under_a_plain_name() {
        for name in ["sqlite", "memory", "s", "", "Upper", "with space", "1st", "a:b"] {
            let scheme = Scheme { name, ..MEMORY };
            assert_eq!(register(scheme).unwrap_err().kind(), ErrorKind::Config, "{name:?}");
        }
        register_remote();
        assert!(register(Scheme { name: "test-remote", ..MEMORY }).is_err());
    }

    #[test]
    fn options_reach_the_store() {
        let root = tempfile::tempdir().unwrap();
        let url = StoreUrl::with_path("sqlite", root.path().join("absent/cache.sqlite")).unwrap();
        let error = url.open_with(&OpenOptions::new().read_only()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store(crate::StoreErrorKind::Missing));
        assert!(!root.path().join("absent").exists());
        assert!(url.open_with(&OpenOptions::new().max_bytes(1 << 20)).is_ok());
        assert!(StoreUrl::memory().open_with(&OpenOptions::new().max_bytes(1 << 20)).is_ok());
        assert!(StoreUrl::with_path("memory", "x").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_a_url_or_a_config_error(text in ".*") {
            match text.parse::<StoreUrl>() {
                Ok(url) => prop_assert!(text.starts_with(url.scheme())),
                Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Config),
            }
        }

        #[test]
        fn any_plain_path_survives_the_way_through_a_url(path in "/[a-zA-Z0-9 :?#%&=._-]{0,40}") {
            let path = Path::new(&path);
            let url = StoreUrl::with_path("sqlite", path).unwrap();
            prop_assert_eq!(&parsed(&url.to_string()), &url);
            prop_assert_eq!(url.path(), Some(path));
            prop_assert_eq!(StoreUrl::from_path(path).unwrap(), url);
        }

        #[test]
        fn no_error_repeats_the_address_of_an_unknown_scheme(address in "[a-z]{8,20}") {
            for scheme in ["redis", "nonsense", "Sqlite"] {
                let error = format!("{scheme}://{address}@host").parse::<StoreUrl>().unwrap_err();
                let shown = format!("{error} {error:?}");
                prop_assert!(!shown.contains(&address));
            }
        }
    }
}
