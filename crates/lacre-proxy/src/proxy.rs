//! [`Proxy`]: a proxy that listens, and the [`Handle`] that ends or reloads it.

use crate::access_log::AccessLog;
use crate::admin;
use crate::allowed_targets::{AllowedTargets, OwnAddresses, Users};
use crate::config::{Config, Limits};
use crate::current_front::CurrentFront;
use crate::error::Error;
use crate::front::Settings;
use crate::listen::{self, Phase};
use crate::metrics::Metrics;
use crate::target::Route;
use crate::via::Via;
use lacre::Cache;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A callback for a connection that cannot be accepted.
pub type OnAcceptError = Arc<dyn Fn(&io::Error) + Send + Sync>;

/// What an operator learns of a proxy. The default counts requests and logs nothing.
#[derive(Clone, Default)]
pub struct Monitoring {
    /// The log with a line for each request.
    pub access_log: AccessLog,
    /// The counters that the address for operators shows.
    pub metrics: Arc<Metrics>,
    /// Is called when no connection can be accepted, for example because too many files are open.
    pub on_accept_error: Option<OnAcceptError>,
}

impl fmt::Debug for Monitoring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitoring").finish_non_exhaustive()
    }
}

/// A proxy that listens. [`run`](Self::run) answers requests.
pub struct Proxy {
    listener: TcpListener,
    admin: Option<TcpListener>,
    address: SocketAddr,
    admin_address: Option<SocketAddr>,
    limits: Limits,
    on_accept_error: OnAcceptError,
    handle: Handle,
}

impl Proxy {
    /// Listens on the addresses of `config`, to answer from `cache`. Connections wait until
    /// [`run`](Self::run).
    ///
    /// # Errors
    /// An address cannot be listened on, or it would expose the proxy or its metrics beyond this
    /// machine without a `danger_` setting that allows it; or the system's certificates cannot be
    /// used.
    pub async fn bind(config: Config, cache: Cache, monitoring: Monitoring) -> Result<Self, Error> {
        config.check_exposure()?;
        let (listener, address) = listen_on(config.listen).await?;
        let (admin, admin_address) = match config.admin {
            Some(admin) => {
                let (listener, address) = listen_on(admin).await?;
                (Some(listener), Some(address))
            }
            None => (None, None),
        };
        let limits = config.limits;
        let settings = Settings {
            allowed_targets: allowed_targets(&config, OwnAddresses { listen: address, admin: admin_address }),
            route: config.route,
            trusted_proxies: config.trusted_proxies,
            preserve_host: config.preserve_host,
            via: Via::new(),
            limits,
        };
        let Monitoring { access_log, metrics, on_accept_error } = monitoring;
        let current = Arc::new(CurrentFront::new(settings, cache, access_log, metrics)?);
        let handle = Handle { current, phase: Arc::new(watch::Sender::new(Phase::Serving)) };
        let on_accept_error = on_accept_error.unwrap_or_else(|| Arc::new(|_| {}));
        Ok(Self { listener, admin, address, admin_address, limits, on_accept_error, handle })
    }

    /// The address for clients.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address that shows metrics.
    #[must_use]
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// The handle that ends or reloads this proxy.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Answers requests until [`Handle::shutdown`], then until the requests in progress have ended,
    /// and closes the cache.
    ///
    /// # Errors
    /// The requests in progress did not end in time, [`Handle::abort`] cut them off, or the cache
    /// cannot be closed.
    pub async fn run(self) -> Result<(), Error> {
        let Self { listener, admin, limits, on_accept_error, handle, .. } = self;
        let mut admin_task = JoinSet::new();
        if let Some(admin) = admin {
            admin_task.spawn(admin::serve(admin, Arc::clone(&handle.current)));
        }
        let phase = handle.phase.subscribe();
        listen::serve(listener, Arc::clone(&handle.current), limits, phase, &*on_accept_error).await?;
        handle.current.front().cache().close().await.map_err(Error::Cache)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("address", &self.address)
            .field("admin_address", &self.admin_address)
            .finish_non_exhaustive()
    }
}

/// Ends or reloads a proxy. Clones control the same proxy.
#[derive(Clone)]
pub struct Handle {
    current: Arc<CurrentFront>,
    phase: Arc<watch::Sender<Phase>>,
}

impl Handle {
    /// Stops accepting connections and closes those that wait for their clients. Requests in
    /// progress may end within [`Limits::drain_timeout`].
    pub fn shutdown(&self) {
        self.phase.send_if_modified(|phase| {
            let serving = *phase == Phase::Serving;
            if serving {
                *phase = Phase::Draining;
            }
            serving
        });
    }

    /// Ends the proxy at once, and cuts off the requests in progress.
    pub fn abort(&self) {
        self.phase.send_replace(Phase::Aborted);
    }

    /// Answers new requests from `cache`, and reads the system's certificates anew. Requests in
    /// progress are not affected.
    ///
    /// # Errors
    /// The certificates cannot be used. The proxy then goes on as before.
    pub fn reload(&self, cache: Cache) -> Result<(), Error> {
        self.current.replace(cache)
    }

    /// Reopens the file of the access log after it was moved away.
    ///
    /// # Errors
    /// The file cannot be opened. The proxy then goes on with the old one.
    pub fn reopen_access_log(&self) -> Result<(), Error> {
        self.current.access_log().reopen()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

async fn listen_on(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound.await.map_err(|source| Error::Listen { address, source })
}

/// The addresses that a proxy may connect to: the upstream of a reverse proxy was chosen by the
/// operator, the targets of a forward proxy by its users.
fn allowed_targets(config: &Config, own: OwnAddresses) -> AllowedTargets {
    match config.route {
        Route::Reverse(_) => AllowedTargets::all(),
        Route::Forward => {
            let users = if config.is_for_this_machine() { Users::ThisMachine } else { Users::Others };
            AllowedTargets::of_forward_proxy(own, users, config.danger_allowed_targets.clone())
        }
    }
}
