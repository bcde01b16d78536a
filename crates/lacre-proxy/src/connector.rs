//! [`Connector`]: opens connections to origins, to allowed addresses only.

use crate::allowed_targets::{AllowedTargets, host_and_port};
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use std::error::Error as StdError;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use std::vec;
use tokio::net::{TcpStream, lookup_host};
use tower_service::Service;

/// Opens connections to the hosts of URLs, if [`AllowedTargets`] permits it.
#[derive(Clone)]
pub(crate) struct Connector {
    allowed: AllowedTargets,
    connect_timeout: Duration,
}

type BoxError = Box<dyn StdError + Send + Sync>;

impl Connector {
    pub(crate) fn new(allowed: AllowedTargets, connect_timeout: Duration) -> Self {
        Self { allowed, connect_timeout }
    }

    async fn connect(self, url: Uri) -> Result<TokioIo<TcpStream>, BoxError> {
        let (host, port) = host_and_port(&url).ok_or("the URL has no host")?;
        let addresses = self.allowed.filter(lookup_host((host, port)).await?)?;
        // The addresses that were checked are connected to; the name is not resolved again.
        let mut tcp = HttpConnector::new_with_resolver(Resolved(addresses));
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(self.connect_timeout));
        tcp.enforce_http(false);
        Ok(tcp.call(url).await?)
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        Box::pin(self.clone().connect(url))
    }
}

/// A resolver that returns the addresses of a name that is already resolved.
#[derive(Clone)]
struct Resolved(Vec<SocketAddr>);

impl Service<Name> for Resolved {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = Ready<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        ready(Ok(self.0.clone().into_iter()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allowed_targets::{Denied, OwnAddresses, Users};
    use std::net::{IpAddr, Ipv4Addr};

    #[tokio::test]
    async fn the_addresses_of_a_name_are_checked_with_its_port_before_the_proxy_connects() {
        let own = OwnAddresses {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            admin: Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 9090)),
        };
        let connector = |users| {
            let allowed = AllowedTargets::of_forward_proxy(own, users, Vec::new());
            Connector::new(allowed, Duration::from_secs(30))
        };
        for (users, target, expected) in [
            (Users::ThisMachine, "http://localhost:9090/metrics", Denied::Admin),
            (Users::Others, "http://localhost:1/", Denied::NotPublic),
        ] {
            let error = connector(users).call(target.parse().unwrap()).await.unwrap_err();
            assert_eq!(error.downcast_ref(), Some(&expected), "{target}");
        }
    }
}
