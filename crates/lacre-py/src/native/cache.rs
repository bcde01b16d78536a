//! `Cache`: the cache that a driver asks before each request.

use super::events::EventQueue;
use super::exchange::{Reply, Ticket};
use super::fork;
use super::http_parts;
use super::options::{self, Lifetime};
use super::process_bound::wrong_process;
use super::settings::{self, KeyArgument, PolicyArguments, Settings, StaleArgument};
use super::shared::Shared;
use super::store::{self, StoreArgument};
use super::transport::Transport;
use crate::error::raised;
use crate::key::MatchHeadersArgument;
use lacre::store::Medium;
use lacre::{Answer, RequestBody, wait};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::pin::pin;
use std::sync::Arc;

/// lacre's own cache: by RFC 9111, for one user, sealed and encrypted.
///
/// It shares its format, keyring and default store with the command line. Threads and forked
/// processes may share it. Pass it to the clients of `lacre.httpx`, `lacre.aiohttp` and
/// `lacre.niquests`.
///
/// Args:
///     path: A file of its own, or the store: "sqlite:PATH", "dir:PATH" or ":memory:". The default
///         is `LACRE_STORE`, else the store of the command line.
///     key: A keyring, or a reference such as "env:NAME". The default is `LACRE_KEY`, else the
///         keyring of the user. A key file must not be in the directory of the store.
///     namespace: A part of the store that shares no entries with other namespaces.
///     expire_after: The lifetime of responses that do not state one: seconds, a `timedelta`, an
///         aware `datetime` or a text such as "1h30m"; see also `origin`.
///     urls_expire_after: Lifetimes by URL pattern. The first pattern that matches wins.
///     allowable_codes: The status codes of responses that may be stored.
///     allowable_methods: The methods of requests that may be answered from the cache.
///     match_headers: Request headers that are part of the key: all, none, or a list of names.
///     ignored_parameters: Names of parameters whose values are left out of the key.
///     partition_by_headers: More headers that carry credentials. Requests that differ in one share
///         no entries.
///     stale_if_error: Whether a stale response is used if the origin fails: seconds or a
///         `timedelta` past its lifetime, True for any time, False for what the response allows.
///     stale_while_revalidate: Whether a stale response is used while it is refreshed in the
///         background; values as for `stale_if_error`.
///     always_revalidate: Validate every stored response before it is used.
///     read_only: Answer from the store, but write nothing to it.
///     shared: Follow the rules of a shared cache instead of a private one.
///     partition_by_cookies: Let requests with different cookies share no entries.
///     origin: How the origin's directives combine with lifetimes set here. "obeyed" (the default):
///         `expire_after` applies only if the origin states no lifetime, those of URLs and requests
///         override it. "first": the origin overrides them all. "ignored": only the lifetimes set
///         here count, and even `no-store` is ignored.
///     max_body: The largest body, in bytes, that is stored.
///     max_bytes: The size limit of the store in bytes. Entries beyond it are evicted.
///     memory: How many bytes of entries are also kept in memory.
///     on_tamper: What happens to a stored response whose seal does not hold: "refetch", "raise"
///         or "refuse" (answer 504).
///     clock: A function that returns seconds since 1970, for tests.
///     on_event: A function that gets events other than answers: a name, the row key and a line of
///         text. `logging` gets them, too, as `lacre.seal` and `lacre.store`.
///
/// Raises:
///     ConfigError: A setting is invalid, or the key file is in the directory of the store.
///     LacreError: The store or the keyring cannot be opened.
#[pyclass(frozen, module = "lacre._lacre")]
pub(crate) struct Cache(Arc<Shared>);

/// The result of `Cache.ask`.
#[expect(clippy::large_enum_variant, reason = "it becomes a Python object at once")]
#[derive(IntoPyObject)]
pub(super) enum AskResult {
    Reply(Reply),
    Ticket(Ticket),
    /// The request is not valid HTTP; Python gets None.
    Invalid(Option<()>),
}

const NO_BODY: &[u8] = &[];

#[pymethods]
impl Cache {
    #[new]
    #[pyo3(signature = (path=None, *, key=None, namespace=String::new(), expire_after=None, urls_expire_after=None, allowable_codes=None,
        allowable_methods=None, match_headers=MatchHeadersArgument::All(false), ignored_parameters=Vec::new(), partition_by_headers=Vec::new(),
        stale_if_error=None, stale_while_revalidate=None, always_revalidate=false, read_only=false, shared=false, partition_by_cookies=false,
        origin=None, max_body=None, max_bytes=None, memory=0, on_tamper="refetch", clock=None, on_event=None))]
    #[expect(clippy::too_many_arguments, reason = "Python names them")]
    fn new(
        py: Python<'_>,
        path: Option<StoreArgument>,
        key: Option<KeyArgument<'_>>,
        namespace: String,
        expire_after: Option<Lifetime>,
        urls_expire_after: Option<Bound<'_, PyAny>>,
        allowable_codes: Option<Vec<u16>>,
        allowable_methods: Option<Vec<String>>,
        match_headers: MatchHeadersArgument,
        ignored_parameters: Vec<String>,
        partition_by_headers: Vec<String>,
        stale_if_error: Option<StaleArgument>,
        stale_while_revalidate: Option<StaleArgument>,
        always_revalidate: bool,
        read_only: bool,
        shared: bool,
        partition_by_cookies: bool,
        origin: Option<String>,
        max_body: Option<u64>,
        max_bytes: Option<u64>,
        memory: usize,
        on_tamper: &str,
        clock: Option<Py<PyAny>>,
        on_event: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let policy = PolicyArguments {
            expire_after,
            urls_expire_after,
            allowable_codes,
            allowable_methods,
            match_headers,
            ignored_parameters,
            partition_by_headers,
            stale_if_error,
            stale_while_revalidate,
            always_revalidate,
            read_only,
            shared,
            partition_by_cookies,
            origin,
            max_body,
        };
        let policy = policy.into_policy()?;
        fork::register(py)?;
        let on_tamper = settings::on_tamper(on_tamper)?;
        let events = Arc::<EventQueue>::default();
        let url = store::url(path).map_err(|error| raised(&error))?;
        let (keyring, registry) = settings::keys(key, &url, &events).map_err(|error| raised(&error))?;
        let settings =
            Settings { url, keyring, registry, namespace, policy, on_tamper, max_bytes, memory, events };
        Ok(Self(Arc::new(Shared::open(py, settings, clock, on_event)?)))
    }

    /// Looks a request up.
    ///
    /// Returns a `Reply` to give to the caller, a `Ticket` for a request to the origin, or None if
    /// the request is not valid HTTP: send it unchanged, without the cache.
    ///
    /// Args:
    ///     method: The method.
    ///     url: The URL.
    ///     headers: The headers, as pairs of bytes.
    ///     body: The body; None if it is a stream.
    ///     options: Options of this request.
    ///     transport: How the client reaches the origin, if not in the default way. Requests that
    ///         differ in it share no entries.
    #[pyo3(signature = (method, url, headers, body=NO_BODY, options=None, transport=None))]
    #[expect(clippy::too_many_arguments, reason = "Python names them")]
    fn ask(
        &self,
        py: Python<'_>,
        method: &str,
        url: &str,
        headers: &Bound<'_, PyAny>,
        body: Option<&[u8]>,
        options: Option<&Bound<'_, PyDict>>,
        transport: Option<PyRef<'_, Transport>>,
    ) -> PyResult<AskResult> {
        let Some(mut request) = http_parts::request_parts(method, url, headers)? else {
            return Ok(AskResult::Invalid(None));
        };
        let mut transport = transport.map(|transport| transport.0.clone());
        if let Some(options) = options {
            request.extensions.insert(options::request_options(options, &mut transport)?);
        }
        if let Some(transport) = transport {
            transport.add_to(&mut request.extensions);
        }
        let opened = self.0.opened(py)?;
        let cache = opened.get().ok_or_else(wrong_process)?;
        let answer = self.0.poll_or_wait(py, pin!(cache.ask(request, RequestBody::of(body))))?;
        let answer = answer.map_err(|error| raised(&error));
        self.0.deliver_events(py);
        Ok(match answer? {
            Answer::Hit(reply) | Answer::Refuse(reply) => AskResult::Reply(Reply::new(&self.0, reply, None)),
            Answer::Refresh(reply, ticket) => {
                let ticket = Py::new(py, Ticket::new(&self.0, &opened, ticket))?;
                AskResult::Reply(Reply::new(&self.0, reply, Some(ticket)))
            }
            Answer::Send(ticket) => AskResult::Ticket(Ticket::new(&self.0, &opened, ticket)),
        })
    }

    /// Removes all entries of the store.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        let opened = self.0.opened(py)?;
        let cache = opened.get().ok_or_else(wrong_process)?;
        let cleared = self.0.without_gil(py, || wait(cache.clear()))?;
        cleared.map_err(|error| raised(&error))
    }

    /// Writes pending changes to the store. The cache can still be used afterwards.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let opened = self.0.opened(py)?;
        let cache = opened.get().ok_or_else(wrong_process)?;
        let closed = self.0.without_gil(py, || wait(cache.close()))?;
        closed.map_err(|error| raised(&error))
    }

    fn __repr__(&self) -> String {
        let url = &self.0.settings.url;
        match url.path() {
            Some(path) => format!("<Cache {}>", path.display()),
            None if url.medium() == Medium::Memory => "<Cache in memory>".into(),
            None => format!("<Cache {url}>"),
        }
    }
}
