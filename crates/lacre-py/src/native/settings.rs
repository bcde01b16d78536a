//! What a cache is told when it is made, kept to make it again in a forked child.

use super::clock::PythonClock;
use super::events::Events;
use super::options::{Lifetime, span};
use super::place;
use crate::key::Matched;
use crate::sealed::Keyring;
use http::{HeaderName, Method, StatusCode};
use lacre::keys::{self, KeySource};
use lacre::store::Location;
use lacre::{Error, Expire, OnTamper, OriginHeaders, Policy, Staleness, StoreRegistry, UrlPattern};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::sync::Arc;

pub(super) struct Settings {
    pub(super) location: Location,
    /// `None`: a fresh one, for memory.
    pub(super) keyring: Option<lacre::Keyring>,
    /// Where stores are noted that are sealed with it.
    pub(super) registry: Option<StoreRegistry>,
    pub(super) namespace: String,
    pub(super) policy: Policy,
    pub(super) on_tamper: OnTamper,
    pub(super) max_bytes: Option<u64>,
    pub(super) memory: usize,
    pub(super) events: Arc<Events>,
}

impl Settings {
    pub(super) fn open(&self) -> Result<lacre::Cache, Error> {
        let events = || Arc::clone(&self.events);
        let store = place::open(&self.location, self.max_bytes, events())?;
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

/// The key of a cache: a keyring, or a reference to one.
#[derive(FromPyObject)]
pub(super) enum KeyGiven<'py> {
    Ring(PyRef<'py, Keyring>),
    Reference(String),
}

/// How long a stale answer may be used: not at all beyond what the response says, as long as it is kept, or seconds.
#[derive(FromPyObject)]
pub(super) enum StaleGiven {
    Always(bool),
    Seconds(f64),
    Span(std::time::Duration),
}

/// A keyring, and where stores are noted that are sealed with it.
type Keys = (Option<lacre::Keyring>, Option<StoreRegistry>);

/// The keys, which must not lie beside the store. Without a word of the caller, they are where `LACRE_KEY` says, or the user's own; in
/// memory, nobody's.
pub(super) fn keys(given: Option<KeyGiven<'_>>, location: &Location, events: &Events) -> Result<Keys, Error> {
    let source: Box<dyn KeySource> = match (given, location) {
        (Some(KeyGiven::Ring(ring)), _) => return Ok((Some((*ring.keys).clone()), ring.registry.clone())),
        (Some(KeyGiven::Reference(reference)), _) => keys::parse(&reference)?,
        (None, Location::Memory) => return Ok((None, None)),
        (None, _) => Box::new(keys::user(events)?),
    };
    if let (Some(keyring), Some(store)) = (source.file(), location.file()) {
        keys::ensure_apart(keyring, &store)?;
    }
    Ok((Some(source.load()?), StoreRegistry::of(&*source)))
}

/// The policy of a cache, each setting as Python says it.
pub(super) struct PolicyGiven<'py> {
    pub(super) expire_after: Option<Lifetime>,
    pub(super) urls_expire_after: Option<Bound<'py, PyAny>>,
    pub(super) allowable_codes: Option<Vec<u16>>,
    pub(super) allowable_methods: Option<Vec<String>>,
    pub(super) match_headers: Matched,
    pub(super) ignored_parameters: Vec<String>,
    pub(super) partition_by_headers: Vec<String>,
    pub(super) stale_if_error: Option<StaleGiven>,
    pub(super) stale_while_revalidate: Option<StaleGiven>,
    pub(super) always_revalidate: bool,
    pub(super) read_only: bool,
    pub(super) shared: bool,
    pub(super) partition_by_cookies: bool,
    pub(super) origin: Option<String>,
    pub(super) max_body: Option<u64>,
}

impl PolicyGiven<'_> {
    pub(super) fn read(self) -> PyResult<Policy> {
        for name in &self.partition_by_headers {
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
                PyValueError::new_err(format!("{name:?} in partition_by_headers is no name of a header"))
            })?;
        }
        let mut policy = Policy::rfc9111()
            .match_headers(self.match_headers.named()?)
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
                .statuses(codes.map_err(|_| PyValueError::new_err("no such status in allowable_codes"))?);
        }
        if let Some(methods) = self.allowable_methods {
            let methods: Result<Vec<Method>, _> = methods.iter().map(|method| method.parse()).collect();
            policy = policy
                .methods(methods.map_err(|_| PyValueError::new_err("no such method in allowable_methods"))?);
        }
        if let Some(stale) = self.stale_if_error {
            policy = policy.stale_if_error(stale.read()?);
        }
        if let Some(stale) = self.stale_while_revalidate {
            policy = policy.stale_while_revalidate(stale.read()?);
        }
        if let Some(bytes) = self.max_body {
            policy = policy.max_body(bytes);
        }
        let set = [
            (self.always_revalidate, Policy::always_revalidate as fn(Policy) -> Policy),
            (self.read_only, Policy::read_only),
            (self.shared, Policy::shared),
            (self.partition_by_cookies, Policy::partition_by_cookies),
        ];
        Ok(set.into_iter().filter(|(wished, _)| *wished).fold(policy, |policy, (_, set)| set(policy)))
    }
}

impl StaleGiven {
    fn read(self) -> PyResult<Staleness> {
        Ok(match self {
            Self::Always(true) => Staleness::Any,
            Self::Always(false) => Staleness::AsResponseSays,
            Self::Seconds(seconds) => Staleness::For(span(seconds)?),
            Self::Span(span) => Staleness::For(span),
        })
    }
}

fn origin(word: Option<&str>) -> PyResult<OriginHeaders> {
    match word {
        None | Some("obeyed") => Ok(OriginHeaders::Obeyed),
        Some("first") => Ok(OriginHeaders::First),
        Some("ignored") => Ok(OriginHeaders::Ignored),
        Some(_) => Err(PyValueError::new_err("origin is \"obeyed\", \"first\" or \"ignored\"")),
    }
}

pub(super) fn on_tamper(word: &str) -> PyResult<OnTamper> {
    match word {
        "refetch" => Ok(OnTamper::Refetch),
        "raise" => Ok(OnTamper::Raise),
        "refuse" => Ok(OnTamper::FailClosed),
        _ => Err(PyValueError::new_err("on_tamper is \"refetch\", \"raise\" or \"refuse\"")),
    }
}

/// Globs and their lifetimes, in their order; the first that fits decides.
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
