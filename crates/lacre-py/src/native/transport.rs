//! `Transport`: how a client of Python reaches origins, as its driver says it.

use pyo3::prelude::*;

/// The usual way, or that of the environment.
#[pyclass(frozen, module = "lacre._lacre")]
pub(crate) struct Transport(pub(super) lacre::Transport);

#[pymethods]
impl Transport {
    /// `environment`: the certificates that `SSL_CERT_FILE` and `SSL_CERT_DIR` name count.
    #[new]
    #[pyo3(signature = (*, environment=false))]
    fn new(environment: bool) -> Self {
        Self(if environment { lacre::config::transport().no_proxy() } else { lacre::Transport::standard() })
    }

    /// Certificates are not verified, or not all that belongs to it.
    fn unverified(&self) -> Self {
        Self(self.0.clone().unverified())
    }

    /// Certificates are verified against these.
    fn roots(&self, roots: Vec<Vec<u8>>) -> Self {
        Self(self.0.clone().roots(roots))
    }

    /// The client shows this certificate, in PEM; a private key beside it does not count.
    fn client_certificate(&self, pem: &[u8]) -> Self {
        Self(self.0.clone().client_certificate_pem(pem))
    }

    /// Certificates are verified for this name, not for the host of the URL.
    fn verified_name(&self, name: &str) -> Self {
        Self(self.0.clone().verified_name(name))
    }

    /// Requests go through this proxy.
    fn proxy(&self, url: &str) -> Self {
        Self(self.0.clone().proxy(url))
    }

    /// Requests go this way, not to the host of the URL.
    fn way(&self, way: &str) -> Self {
        Self(self.0.clone().route(way))
    }

    /// There is more that the driver cannot see, for which `id` stands.
    fn unseen(&self, id: &str) -> Self {
        Self(self.0.clone().unseen(id))
    }

    fn __repr__(&self) -> String {
        format!("<{:?}>", self.0)
    }
}
