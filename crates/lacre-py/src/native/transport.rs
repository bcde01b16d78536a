//! `Transport`: how a Python client reaches origins.

use pyo3::prelude::*;

/// How a client reaches origins. It is part of the key of stored responses.
///
/// By default, a client connects to the host of the URL, trusts the certificates that it trusts by
/// default, and shows none. Each method returns a changed copy. TLS settings affect `https` keys
/// only, a proxy `http` keys only.
///
/// Args:
///     environment: Whether `SSL_CERT_FILE` and `SSL_CERT_DIR` name the trusted certificates.
#[pyclass(frozen, module = "lacre._lacre")]
pub(crate) struct Transport(pub(super) lacre::Transport);

#[pymethods]
impl Transport {
    #[new]
    #[pyo3(signature = (*, environment=false))]
    fn new(environment: bool) -> Self {
        Self(if environment { lacre::config::transport().no_proxy() } else { lacre::Transport::standard() })
    }

    /// Turns off the verification of certificates, wholly or in part.
    fn unverified(&self) -> Self {
        Self(self.0.clone().unverified())
    }

    /// Sets the trusted certificates.
    ///
    /// Args:
    ///     roots: Certificates in PEM, or names for them.
    fn roots(&self, roots: Vec<Vec<u8>>) -> Self {
        Self(self.0.clone().roots(roots))
    }

    /// Sets the client certificate.
    ///
    /// Args:
    ///     pem: The certificate in PEM. A private key in it is ignored.
    fn client_certificate(&self, pem: &[u8]) -> Self {
        Self(self.0.clone().client_certificate_pem(pem))
    }

    /// Sets the name that certificates are verified for, instead of the host of the URL.
    ///
    /// Args:
    ///     name: The host name.
    fn verified_name(&self, name: &str) -> Self {
        Self(self.0.clone().verified_name(name))
    }

    /// Sets the proxy.
    ///
    /// Args:
    ///     url: The URL of the proxy, without credentials.
    fn proxy(&self, url: &str) -> Self {
        Self(self.0.clone().proxy(url))
    }

    /// Sets where connections go, instead of the host of the URL.
    ///
    /// Args:
    ///     route: A name for the route, such as `unix:/run/app.sock`.
    fn route(&self, route: &str) -> Self {
        Self(self.0.clone().route(route))
    }

    /// Adds an input that the driver cannot inspect, such as an `SSLContext`.
    ///
    /// Args:
    ///     id: An identifier that stands for the input.
    fn unseen_input(&self, id: &str) -> Self {
        Self(self.0.clone().unseen(id))
    }

    fn __repr__(&self) -> String {
        format!("<{:?}>", self.0)
    }
}
