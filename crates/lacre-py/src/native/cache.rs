//! `Cache`: what is asked before the network.

use super::clock;
use super::events::Events;
use super::fork::{self, detached};
use super::heads;
use super::here::Here;
use super::options::{self, Lifetime};
use super::place::{self, PlaceGiven};
use super::reply::Reply;
use super::settings::{self, KeyGiven, PolicyGiven, Settings, StaleGiven};
use super::ticket::Ticket;
use super::transport::Transport;
use crate::error::raised;
use crate::key::Matched;
use lacre::{Answer, RequestBody, wait};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// A private cache by RFC 9111, sealed: `path` is a file of its own, by default that of the command line; `:memory:` is none.
#[pyclass(frozen, module = "lacre._lacre")]
pub(crate) struct Cache(Arc<Shared>);

/// What a cache and all that came of it share.
pub(super) struct Shared {
    settings: Settings,
    /// Opened anew in a forked child.
    opened: Mutex<Opened>,
    clock: Option<Py<PyAny>>,
    listener: Option<Py<PyAny>>,
}

/// The cache in the process that opened it.
pub(super) type Opened = Arc<Here<lacre::Cache>>;

/// What is answered to a request; `None`: it is none that HTTP knows.
#[derive(IntoPyObject)]
pub(super) enum Answered {
    Reply(Reply),
    Ticket(Ticket),
    Unknown(Option<()>),
}

const NO_BODY: &[u8] = &[];

#[pymethods]
impl Cache {
    #[new]
    #[pyo3(signature = (path=None, *, key=None, namespace=String::new(), expire_after=None, urls_expire_after=None, allowable_codes=None,
        allowable_methods=None, match_headers=Matched::Every(false), ignored_parameters=Vec::new(), partition_by_headers=Vec::new(),
        stale_if_error=None, stale_while_revalidate=None, always_revalidate=false, read_only=false, shared=false, partition_by_cookies=false,
        origin=None, max_body=None, max_bytes=None, memory=0, on_tamper="refetch", clock=None, on_event=None))]
    #[expect(clippy::too_many_arguments, reason = "Python names them")]
    fn new(
        py: Python<'_>,
        path: Option<PlaceGiven>,
        key: Option<KeyGiven<'_>>,
        namespace: String,
        expire_after: Option<Lifetime>,
        urls_expire_after: Option<Bound<'_, PyAny>>,
        allowable_codes: Option<Vec<u16>>,
        allowable_methods: Option<Vec<String>>,
        match_headers: Matched,
        ignored_parameters: Vec<String>,
        partition_by_headers: Vec<String>,
        stale_if_error: Option<StaleGiven>,
        stale_while_revalidate: Option<StaleGiven>,
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
        let policy = PolicyGiven {
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
        let policy = policy.read()?;
        fork::register(py)?;
        let on_tamper = settings::on_tamper(on_tamper)?;
        let events = Arc::<Events>::default();
        let location = place::location(path).map_err(|error| raised(&error))?;
        let (keyring, registry) = settings::keys(key, &location, &events).map_err(|error| raised(&error))?;
        let settings =
            Settings { location, keyring, registry, namespace, policy, on_tamper, max_bytes, memory, events };
        let opened = detached(py, || settings.open()).map_err(|error| raised(&error))?;
        let opened = Mutex::new(Arc::new(Here::new(opened)));
        let shared = Shared { settings, opened, clock, listener: on_event };
        shared.tell(py);
        Ok(Self(Arc::new(shared)))
    }

    /// What to do with a request: a `Reply` to give, or a `Ticket` for the network; `None`: send it as it is, and ask no more. `headers` are
    /// pairs of bytes; `body` is `None` where it is a stream.
    /// `transport` is how the client reaches the origin.
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
    ) -> PyResult<Answered> {
        let Some(mut request) = heads::request(method, url, headers)? else {
            return Ok(Answered::Unknown(None));
        };
        let mut transport = transport.map(|transport| transport.0.clone());
        if let Some(wishes) = options {
            request.extensions.insert(options::read(wishes, &mut transport)?);
        }
        if let Some(transport) = transport {
            transport.add_to(&mut request.extensions);
        }
        let opened = self.0.opened(py)?;
        let cache = opened.get().ok_or_else(elsewhere)?;
        let answer = self.0.now_or_later(py, pin!(cache.ask(request, RequestBody::of(body))))?;
        let answer = answer.map_err(|error| raised(&error));
        self.0.tell(py);
        Ok(match answer? {
            Answer::Hit(reply) | Answer::Refuse(reply) => Answered::Reply(Reply::new(&self.0, reply, None)),
            Answer::Refresh(reply, ticket) => {
                let ticket = Py::new(py, Ticket::new(&self.0, &opened, ticket))?;
                Answered::Reply(Reply::new(&self.0, reply, Some(ticket)))
            }
            Answer::Send(ticket) => Answered::Ticket(Ticket::new(&self.0, &opened, ticket)),
        })
    }

    /// Removes everything, and says so to the file.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        let opened = self.0.opened(py)?;
        let cache = opened.get().ok_or_else(elsewhere)?;
        let cleared = self.0.detached(py, || wait(cache.clear()))?;
        cleared.map_err(|error| raised(&error))
    }

    /// Writes out what is pending. The cache can be used again.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let opened = self.0.opened(py)?;
        let cache = opened.get().ok_or_else(elsewhere)?;
        let closed = self.0.detached(py, || wait(cache.close()))?;
        closed.map_err(|error| raised(&error))
    }

    fn __repr__(&self) -> String {
        match self.0.settings.location.path() {
            None => "<Cache in memory>".into(),
            Some(path) => format!("<Cache {}>", path.display()),
        }
    }
}

impl Shared {
    fn opened(&self, py: Python<'_>) -> PyResult<Opened> {
        let opened = || self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let current = Arc::clone(&opened());
        if current.get().is_some() {
            return Ok(current);
        }
        let anew = detached(py, || self.settings.open()).map_err(|error| raised(&error))?;
        let anew = Arc::new(Here::new(anew));
        let mut opened = opened();
        if opened.get().is_none() {
            *opened = Arc::clone(&anew);
        }
        Ok(Arc::clone(&opened))
    }

    /// Does what may wait or write, without the GIL, at the caller's time.
    pub(super) fn detached<T: Send>(&self, py: Python<'_>, work: impl FnOnce() -> T + Send) -> PyResult<T> {
        let now = clock::ask(py, self.clock.as_ref())?;
        let done = detached(py, || clock::at(now, work));
        self.tell(py);
        Ok(done)
    }

    /// What answers at once, as a lookup does; and where it has to wait, for the lock of another process, that happens without the GIL.
    fn now_or_later<T: Send>(
        &self,
        py: Python<'_>,
        mut work: Pin<&mut (impl Future<Output = T> + Send)>,
    ) -> PyResult<T> {
        let now = clock::ask(py, self.clock.as_ref())?;
        let first = || work.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        match clock::at(now, first) {
            Poll::Ready(done) => Ok(done),
            Poll::Pending => Ok(detached(py, || clock::at(now, || wait(work)))),
        }
    }

    fn tell(&self, py: Python<'_>) {
        self.settings.events.tell(py, self.listener.as_ref());
    }
}

/// A forked child has what belongs to its parent.
pub(super) fn elsewhere() -> PyErr {
    pyo3::exceptions::PyRuntimeError::new_err(
        "this belongs to the process that it was forked from; ask again",
    )
}
