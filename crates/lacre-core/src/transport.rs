//! The transport of a request, as far as it decides which peer can have answered: TLS verification,
//! client certificates, proxies and routes (decision 16).

use http::Extensions;
use std::fmt;
use std::sync::Arc;

/// The way in which a client reaches origins, if it is not the standard one.
///
/// The standard transport connects to the host of the URL, accepts the certificates that the
/// platform or the client trusts by default, and presents no client certificate. Requests with
/// different transports never share an answer. TLS settings apply only to `https` URLs.
///
/// A driver adds the transport to the [extensions of each request](Self::add_to). It marks settings
/// that it cannot inspect as [`unseen`](Self::unseen).
///
/// ```
/// # use lacre_core::Transport;
/// let transport = Transport::standard().unverified();
/// let mut request = http::Request::get("https://example.com/").body(()).unwrap();
/// transport.add_to(request.extensions_mut());
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Transport(Option<Arc<Parts>>);

#[derive(Clone, Default, PartialEq, Eq)]
struct Parts {
    certificates: Option<Vec<u8>>,
    client_certificate: Option<[u8; 32]>,
    name: Option<String>,
    proxy: Option<String>,
    tls: Option<String>,
    unseen: Option<String>,
    route: Option<Vec<u8>>,
}

impl Transport {
    /// The standard transport.
    pub const fn standard() -> Self {
        Self(None)
    }

    /// Whether this is the standard transport.
    pub fn is_standard(&self) -> bool {
        self.0.is_none()
    }

    /// Certificates are not verified, or not completely, for example without names or dates.
    #[must_use]
    pub fn unverified(self) -> Self {
        self.with(|parts| parts.certificates = Some(b"unverified".to_vec()))
    }

    /// Certificates are verified against these roots, instead of or besides the default ones. Pass
    /// certificates, bundles, or names of them. Equal bytes are equal roots.
    #[must_use]
    pub fn roots<I: IntoIterator<Item: AsRef<[u8]>>>(self, roots: I) -> Self {
        let digest = digest(roots);
        self.with(|parts| parts.certificates = Some([&b"roots:"[..], &digest].concat()))
    }

    /// The client presents this certificate. Pass the chain without its key, or a name of it.
    #[must_use]
    pub fn client_certificate<I: IntoIterator<Item: AsRef<[u8]>>>(self, chain: I) -> Self {
        let digest = digest(chain);
        self.with(|parts| parts.client_certificate = Some(digest))
    }

    /// The same from PEM. Private keys and other sections are ignored.
    #[must_use]
    pub fn client_certificate_pem(self, pem: &[u8]) -> Self {
        let mut certificates = Vec::new();
        let mut rest = pem;
        while let Some(start) = find(rest, BEGIN_CERTIFICATE) {
            let length = find(&rest[start..], END_CERTIFICATE).unwrap_or(rest.len() - start);
            certificates.push(&rest[start..start + length]);
            rest = &rest[start + length..];
        }
        if certificates.is_empty() {
            self.client_certificate([pem])
        } else {
            self.client_certificate(certificates)
        }
    }

    /// Certificates are verified for this name instead of the host of the URL.
    #[must_use]
    pub fn verified_name(self, name: impl Into<String>) -> Self {
        self.with(|parts| parts.name = Some(name.into()))
    }

    /// Requests go through this proxy. It applies to `http` URLs, whose answers a proxy can forge.
    /// Pass it without credentials.
    #[must_use]
    pub fn proxy(self, proxy: impl Into<String>) -> Self {
        self.with(|parts| parts.proxy = Some(proxy.into()))
    }

    /// Requests go through no proxy.
    #[must_use]
    pub fn no_proxy(mut self) -> Self {
        let Some(mut parts) = self.0.take() else { return self };
        Arc::make_mut(&mut parts).proxy = None;
        Self((*parts != Parts::default()).then_some(parts))
    }

    /// Requests take this route instead of a connection to the host of the URL: a Unix socket, a
    /// fixed address, a server in this process, a mock. Equal texts are equal routes; several add
    /// up.
    #[must_use]
    pub fn route(self, route: impl AsRef<str>) -> Self {
        self.with(|parts| parts.add_route(route.as_ref()))
    }

    /// The driver cannot inspect all settings. `id` identifies them and must be unique to this
    /// client.
    #[must_use]
    pub fn unseen(self, id: impl AsRef<str>) -> Self {
        self.with(|parts| parts.unseen = Some(["own:", id.as_ref()].concat()))
    }

    /// The driver can inspect the route, but not the TLS settings.
    #[must_use]
    pub fn unseen_tls(self, id: impl AsRef<str>) -> Self {
        self.with(|parts| parts.tls = Some(id.as_ref().to_owned()))
    }

    /// Names the settings that the driver cannot inspect. Clients with the same name share answers
    /// with each other only. It replaces [`unseen`](Self::unseen) and
    /// [`unseen_tls`](Self::unseen_tls), but not inspected settings.
    #[must_use]
    pub fn named(self, name: impl AsRef<str>) -> Self {
        self.with(|parts| {
            parts.tls = None;
            parts.unseen = Some(["named:", name.as_ref()].concat());
        })
    }

    /// Adds the transport to the extensions of a request, where the cache reads it.
    pub fn add_to(&self, extensions: &mut Extensions) {
        if !self.is_standard() {
            extensions.insert(self.clone());
        }
    }

    /// The fields that the request key includes (docs/format.md §5), with names in ascending order.
    pub(crate) fn fields(
        &self,
        is_https: bool,
        credentials: bool,
    ) -> impl Iterator<Item = (&'static str, &[u8])> {
        let parts = self.0.as_deref();
        let tls = parts.filter(|_| is_https);
        let client = tls.filter(|_| credentials).and_then(|parts| parts.client_certificate.as_ref());
        let proxy = parts.filter(|_| !is_https).and_then(|parts| parts.proxy.as_ref());
        [
            ("certificates", tls.and_then(|parts| parts.certificates.as_deref())),
            ("client-certificate", client.map(|digest| &digest[..])),
            ("name", tls.and_then(|parts| parts.name.as_ref()).map(String::as_bytes)),
            ("proxy", proxy.map(String::as_bytes)),
            ("tls", tls.and_then(|parts| parts.tls.as_ref()).map(String::as_bytes)),
            ("unseen", parts.and_then(|parts| parts.unseen.as_ref()).map(String::as_bytes)),
            ("way", parts.and_then(|parts| parts.route.as_deref())),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }

    /// Whether the transport identifies the client.
    pub(crate) fn shows_client(&self) -> bool {
        self.0.as_ref().is_some_and(|parts| parts.client_certificate.is_some())
    }

    fn with(self, change: impl FnOnce(&mut Parts)) -> Self {
        let mut parts = self.0.unwrap_or_default();
        change(Arc::make_mut(&mut parts));
        Self(Some(parts))
    }
}

impl Parts {
    fn add_route(&mut self, route: &str) {
        let all = self.route.get_or_insert_default();
        all.extend_from_slice(&u32::try_from(route.len()).unwrap_or(u32::MAX).to_be_bytes());
        all.extend_from_slice(route.as_bytes());
    }
}

/// Shows which settings are not standard, but not their values: paths and names may identify a
/// user.
impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(parts) = &self.0 else { return f.write_str("Transport(usual)") };
        f.debug_struct("Transport")
            .field("certificates", &parts.certificates.is_some())
            .field("client_certificate", &parts.client_certificate.is_some())
            .field("name", &parts.name.is_some())
            .field("proxy", &parts.proxy.is_some())
            .field("unseen", &(parts.tls.is_some() || parts.unseen.is_some()))
            .field("route", &parts.route.is_some())
            .finish()
    }
}

const BEGIN_CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";
const END_CERTIFICATE: &[u8] = b"-----END CERTIFICATE-----";

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|part| part == what)
}

fn digest<I: IntoIterator<Item: AsRef<[u8]>>>(parts: I) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        let part = part.as_ref();
        hasher.update(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes()).update(part);
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Transports that all differ from each other.
    fn all() -> Vec<Transport> {
        let standard = Transport::standard;
        vec![
            standard(),
            standard().unverified(),
            standard().roots([b"a"]),
            standard().roots([b"ab"]),
            standard().roots([b"a", b"b"]),
            standard().client_certificate([b"a"]),
            standard().client_certificate([b"b"]),
            standard().verified_name("a"),
            standard().route("a"),
            standard().route("a").route("b"),
            standard().route("ab"),
            standard().unseen("a"),
            standard().unseen("b"),
            standard().unseen_tls("a"),
            standard().named("a"),
            standard().unverified().named("a"),
            standard().unseen("named:a"),
            standard().unverified().unseen("a"),
        ]
    }

    #[test]
    fn transports_that_differ_have_different_fields() {
        let fields = |transport: &Transport| {
            transport.fields(true, true).map(|(name, value)| (name, value.to_vec())).collect::<Vec<_>>()
        };
        let all = all();
        for (index, one) in all.iter().enumerate() {
            let names: Vec<_> = fields(one).into_iter().map(|(name, _)| name).collect();
            assert!(names.is_sorted(), "{names:?}");
            for other in &all[..index] {
                assert_ne!(fields(one), fields(other), "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn a_client_certificate_in_pem_counts_without_its_key() {
        let pem = |key: &str, certificate: &str| {
            let certificate =
                format!("-----BEGIN CERTIFICATE-----\n{certificate}\n-----END CERTIFICATE-----\n");
            format!(
                "-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n{certificate}{certificate}"
            )
        };
        let of =
            |key, certificate| Transport::standard().client_certificate_pem(pem(key, certificate).as_bytes());
        assert!(of("1", "a") == of("2", "a"));
        assert!(of("1", "a") != of("1", "b"));
        let der = |bytes: &[u8]| Transport::standard().client_certificate_pem(bytes);
        assert!(der(b"\x30\x01") != der(b"\x30\x02"));
    }

    #[test]
    fn tls_counts_for_https_and_a_proxy_for_http() {
        let names = |transport: &Transport, is_https| {
            transport.fields(is_https, true).map(|(name, _)| name).collect::<Vec<_>>()
        };
        let transport = Transport::standard()
            .unverified()
            .client_certificate([b"c"])
            .verified_name("n")
            .proxy("p")
            .route("w");
        assert_eq!(names(&transport, true), ["certificates", "client-certificate", "name", "way"]);
        assert_eq!(names(&transport, false), ["proxy", "way"]);
    }

    #[test]
    fn name_replaces_unseen_settings() {
        let standard = Transport::standard;
        assert!(standard().unseen("1").unseen_tls("2").named("a") == standard().named("a"));
        assert!(standard().unverified().named("a") != standard().named("a"));
    }

    #[test]
    fn transport_debug_shows_no_values() {
        let shown = format!(
            "{:?}",
            Transport::standard().roots([b"hidden"]).route("hidden").proxy("hidden").named("hidden")
        );
        assert!(!shown.contains("hidden"), "{shown}");
    }
}
