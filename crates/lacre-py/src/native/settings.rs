//! The settings of a cache, kept to open it again in a forked child.

use super::clock::PythonClock;
use super::events::EventQueue;
use super::options::{Lifetime, duration};
use super::store;
use crate::key::MatchHeadersArgument;
use crate::sealed::Keyring;
use http::{HeaderName, Method, StatusCode};
use lacre::keys::{self, KeySource};
use lacre::store::{Medium, StoreUrl};
use lacre::{Error, Expire, OnTamper, OriginHeaders, Policy, Staleness, StoreRegistry, UrlPattern};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::sync::Arc;

pub(super) struct Settings {
    pub(super) url: StoreUrl,
    /// `None`: an ephemeral key, for a cache in memory.
    pub(super) keyring: Option<lacre::Keyring>,
    /// The registry of stores that are sealed with this keyring.
    pub(super) registry: Option<StoreRegistry>,
    pub(super) namespace: String,
    pub(super) policy: Policy,
    pub(super) on_tamper: OnTamper,
    pub(super) max_bytes: Option<u64>,
    pub(super) memory: usize,
    pub(super) events: Arc<EventQueue>,
}

impl Settings {
    pub(super) fn open(&self) -> Result<lacre::Cache, Error> {
        let events = || Arc::clone(&self.events);
        let store = store::open(&self.url, self.max_bytes, events())?;
        let builder = lacre::Cache::builder().store(store);
        let builder = match &self.keyring {
            Some(keyring) => builder.keyring(keyring.clone()),
            None => builder.danger_ephemeral_key(),
        };
        let builder = match &self.registry {
            Some(registry) => builder.registry(registry.clone()),
            None => builder,
        };
        builder
            .namespace(&self.namespace)
            .policy(self.policy.clone())
            .on_tamper(self.on_tamper)
            .memory_tier(self.memory)
            .clock(Arc::new(PythonClock))
            .observer(events())
            .build()
    }
}

/// The argument `key`: a keyring, or a reference to one.
#[derive(FromPyObject)]
pub(super) enum KeyArgument<'py> {
    Keyring(PyRef<'py, Keyring>),
    Reference(String),
}

/// The arguments `stale_if_error` and `stale_while_revalidate`: as the response allows (`False`),
/// without a limit (`True`), or a time.
#[derive(FromPyObject)]
pub(super) enum StaleArgument {
    Unlimited(bool),
    Seconds(f64),
    Duration(std::time::Duration),
}

/// A keyring with the registry of its stores.
type Keys = (Option<lacre::Keyring>, Option<StoreRegistry>);

/// Loads the keys: those of the argument, else of `LACRE_KEY`, else the user's own. A cache in
/// memory has none by default.
///
/// # Errors
/// A key file is in the directory of the store, or the keys cannot be loaded.
pub(super) fn keys(
    given: Option<KeyArgument<'_>>,
    url: &StoreUrl,
    events: &EventQueue,
) -> Result<Keys, Error> {
    let source: Box<dyn KeySource> = match (given, url.medium()) {
        (Some(KeyArgument::Keyring(ring)), _) => {
            return Ok((Some((*ring.keys).clone()), ring.registry.clone()));
        }
        (Some(KeyArgument::Reference(reference)), _) => keys::parse(&reference)?,
        (None, Medium::Memory) => return Ok((None, None)),
        (None, _) => Box::new(keys::user(events)?),
    };
    if let (Some(keyring), Some(store)) = (source.file(), url.file()) {
        keys::ensure_apart(keyring, &store)?;
    }
    Ok((Some(source.load()?), StoreRegistry::of(&*source)))
}

/// The arguments that make the policy of a cache.
pub(super) struct PolicyArguments<'py> {
    pub(super) expire_after: Option<Lifetime>,
    pub(super) urls_expire_after: Option<Bound<'py, PyAny>>,
    pub(super) allowable_codes: Option<Vec<u16>>,
    pub(super) allowable_methods: Option<Vec<String>>,
    pub(super) match_headers: MatchHeadersArgument,
    pub(super) ignored_parameters: Vec<String>,
    pub(super) partition_by_headers: Vec<String>,
    pub(super) stale_if_error: Option<StaleArgument>,
    pub(super) stale_while_revalidate: Option<StaleArgument>,
    pub(super) always_revalidate: bool,
    pub(super) read_only: bool,
    pub(super) shared: bool,
    pub(super) partition_by_cookies: bool,
    pub(super) origin: Option<String>,
    pub(super) max_body: Option<u64>,
}

impl PolicyArguments<'_> {
    pub(super) fn into_policy(self) -> PyResult<Policy> {
        for name in &self.partition_by_headers {
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
                PyValueError::new_err(format!("partition_by_headers: invalid header name {name:?}"))
            })?;
        }
        let mut policy = Policy::rfc9111()
            .match_headers(self.match_headers.into_match_headers()?)
            .ignored_parameters(self.ignored_parameters)
            .partition_by_headers(self.partition_by_headers)
            .origin_headers(origin(self.origin.as_deref())?);
        if let Some(Lifetime(expire)) = self.expire_after {
            policy = policy.expire_after(expire);
        }
        for (pattern, expire) in url_rules(self.urls_expire_after.as_ref())? {
            policy = policy.expire_url_after(pattern, expire);
        }
        if let Some(codes) = self.allowable_codes {
            let codes: Result<Vec<_>, _> = codes.into_iter().map(StatusCode::from_u16).collect();
            policy = policy
                .statuses(codes.map_err(|_| PyValueError::new_err("allowable_codes: invalid status code"))?);
        }
        if let Some(methods) = self.allowable_methods {
            let methods: Result<Vec<Method>, _> = methods.iter().map(|method| method.parse()).collect();
            policy = policy
                .methods(methods.map_err(|_| PyValueError::new_err("allowable_methods: invalid method"))?);
        }
        if let Some(stale) = self.stale_if_error {
            policy = policy.stale_if_error(stale.into_staleness()?);
        }
        if let Some(stale) = self.stale_while_revalidate {
            policy = policy.stale_while_revalidate(stale.into_staleness()?);
        }
        if let Some(bytes) = self.max_body {
            policy = policy.max_body(bytes);
        }
        let flags = [
            (self.always_revalidate, Policy::always_revalidate as fn(Policy) -> Policy),
            (self.read_only, Policy::read_only),
            (self.shared, Policy::shared),
            (self.partition_by_cookies, Policy::partition_by_cookies),
        ];
        Ok(flags.into_iter().filter(|(enabled, _)| *enabled).fold(policy, |policy, (_, set)| set(policy)))
    }
}

impl StaleArgument {
    fn into_staleness(self) -> PyResult<Staleness> {
        Ok(match self {
            Self::Unlimited(true) => Staleness::Any,
            Self::Unlimited(false) => Staleness::AsResponseSays,
            Self::Seconds(seconds) => Staleness::For(duration(seconds)?),
            Self::Duration(time) => Staleness::For(time),
        })
    }
}

fn origin(name: Option<&str>) -> PyResult<OriginHeaders> {
    match name {
        None | Some("obeyed") => Ok(OriginHeaders::Obeyed),
        Some("first") => Ok(OriginHeaders::First),
        Some("ignored") => Ok(OriginHeaders::Ignored),
        Some(_) => Err(PyValueError::new_err("origin must be \"obeyed\", \"first\" or \"ignored\"")),
    }
}

pub(super) fn on_tamper(name: &str) -> PyResult<OnTamper> {
    match name {
        "refetch" => Ok(OnTamper::Refetch),
        "raise" => Ok(OnTamper::Raise),
        "refuse" => Ok(OnTamper::FailClosed),
        _ => Err(PyValueError::new_err("on_tamper must be \"refetch\", \"raise\" or \"refuse\"")),
    }
}

/// URL globs with their lifetimes, in order. The first match wins.
fn url_rules(given: Option<&Bound<'_, PyAny>>) -> PyResult<Vec<(UrlPattern, Expire)>> {
    let Some(given) = given else { return Ok(Vec::new()) };
    let mut rules = Vec::new();
    for rule in given.call_method0("items")?.try_iter()? {
        let (pattern, Lifetime(expire)): (String, Lifetime) = rule?.extract()?;
        let pattern = UrlPattern::glob(&pattern).map_err(|error| PyValueError::new_err(error.to_string()))?;
        rules.push((pattern, expire));
    }
    Ok(rules)
}
