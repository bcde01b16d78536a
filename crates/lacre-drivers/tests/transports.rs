//! A response of one transport is never served over another (decision 16).
//!
//! Transports differ in certificate verification, roots, client certificates, sockets, resolved
//! addresses and proxies. A client whose settings a driver cannot see has a transport of its own.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use http::Request;
use lacre::{Cache, Policy, Transport};
use lacre_drivers::{Origin, cache, fresh};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use tokio::runtime::Runtime;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// A certificate and its key, in PEM.
fn identity(name: &str) -> String {
    let own = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    format!("{}{}", own.cert.pem(), own.signing_key.serialize_pem())
}

/// An origin with a self-signed certificate. Its response names the client certificate.
struct Https {
    address: SocketAddr,
    certificate: String,
    clients: [String; 2],
    requests: Arc<AtomicUsize>,
}

impl Https {
    fn start() -> Self {
        let (own, clients) = (identity("localhost"), [identity("alice"), identity("bob")]);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let known: Vec<CertificateDer<'_>> = clients
            .iter()
            .map(|pem| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().into_owned())
            .collect();
        let mut roots = RootCertStore::empty();
        known.iter().for_each(|certificate| roots.add(certificate.clone()).unwrap());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.allow_unauthenticated().build().unwrap())
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(own.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(own.as_bytes()).unwrap(),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let (config, counted) = (Arc::new(config), Arc::clone(&requests));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (config, counted, known) = (Arc::clone(&config), Arc::clone(&counted), known.clone());
                thread::spawn(move || respond(stream, config, &known, &counted));
            }
        });
        Self { address, certificate: own, clients, requests }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}/", self.address.port())
    }

    /// The number of requests so far.
    fn request_count(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// Sends one response and closes the connection. Ignores a failed handshake: the client reports it.
fn respond(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    known: &[CertificateDer<'_>],
    requests: &AtomicUsize,
) {
    let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    requests.fetch_add(1, Ordering::SeqCst);
    let shown = stream.conn.peer_certificates().and_then(<[_]>::first);
    let who = match known.iter().position(|one| Some(one) == shown) {
        Some(0) => "alice",
        Some(_) => "bob",
        None => "nobody",
    };
    let head = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\nconnection: close";
    let _ = write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{who}", who.len());
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

/// The body of the response, or the error.
type Fetched = Result<String, String>;

fn by_reqwest(url: &str, client: &reqwest_middleware::ClientWithMiddleware) -> Fetched {
    RUNTIME.block_on(async {
        let response = client.get(url).send().await.map_err(|error| error.to_string())?;
        response.text().await.map_err(|error| error.to_string())
    })
}

fn reqwest_builder(cache: &Cache) -> lacre_reqwest::ClientBuilder {
    lacre_reqwest::ClientBuilder::new(cache.clone()).no_proxy()
}

fn by_ureq(url: &str, agent: &ureq::Agent) -> Fetched {
    let response = agent.get(url).call().map_err(|error| error.to_string())?;
    response.into_body().read_to_string().map_err(|error| error.to_string())
}

/// An agent with this TLS configuration.
fn ureq_agent(cache: &Cache, tls: &TlsConfig) -> ureq::Agent {
    let tls = tls.clone();
    let builder = lacre_ureq::AgentBuilder::new(cache.clone()).proxy(None);
    builder.danger_configure(move |config| config.tls_config(tls.clone())).build()
}

fn tls(set: impl FnOnce(TlsBuilder) -> TlsBuilder) -> TlsConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    set(TlsConfig::builder().unversioned_rustls_crypto_provider(provider)).build()
}

type TlsBuilder = ureq::tls::TlsConfigBuilder;

fn root_of(https: &Https) -> RootCerts {
    RootCerts::new_with_certs(&[Certificate::from_pem(https.certificate.as_bytes()).unwrap()])
}

fn new_cache() -> Cache {
    cache(Policy::rfc9111()).0
}

#[test]
fn unverified_responses_of_reqwest_are_not_served_to_verifying_clients() {
    let (https, cache) = (Https::start(), new_cache());
    let strict = reqwest_builder(&cache).build().unwrap();
    let lax = || reqwest_builder(&cache).danger_accept_invalid_certificates().build().unwrap();
    by_reqwest(&https.url(), &strict).unwrap_err();
    for _ in 0..2 {
        assert_eq!(by_reqwest(&https.url(), &lax()).unwrap(), "nobody");
    }
    assert_eq!(https.request_count(), 1, "clients that do not verify share it");
    by_reqwest(&https.url(), &strict).unwrap_err();
    // A client that trusts this root verifies, too.
    let trusting = reqwest_builder(&cache).root_certificates(https.certificate.as_bytes()).unwrap().build();
    assert_eq!(by_reqwest(&https.url(), &trusting.unwrap()).unwrap(), "nobody");
    assert_eq!(https.request_count(), 2);
    by_reqwest(&https.url(), &strict).unwrap_err();
}

#[test]
fn responses_of_a_configured_reqwest_client_are_not_shared() {
    let (https, cache) = (Https::start(), new_cache());
    let configured = || {
        let lax = |transport: reqwest::ClientBuilder| transport.tls_danger_accept_invalid_certs(true);
        reqwest_builder(&cache).danger_configure(lax)
    };
    let one = configured().build().unwrap();
    for _ in 0..2 {
        by_reqwest(&https.url(), &one).unwrap();
    }
    assert_eq!(https.request_count(), 1, "the same client");
    by_reqwest(&https.url(), &configured().build().unwrap()).unwrap();
    assert_eq!(https.request_count(), 2, "another client whose settings cannot be seen");
    by_reqwest(&https.url(), &reqwest_builder(&cache).build().unwrap()).unwrap_err();
    let named = || configured().danger_assume_transport(Transport::standard().named("lax")).build().unwrap();
    for _ in 0..2 {
        by_reqwest(&https.url(), &named()).unwrap();
    }
    assert_eq!(https.request_count(), 3, "clients with the same name share it");
}

#[test]
fn responses_of_a_client_built_elsewhere_are_not_shared() {
    let (https, cache) = (Https::start(), new_cache());
    let lax = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).no_proxy().build().unwrap();
    let around = |middleware| reqwest_middleware::ClientBuilder::new(lax.clone()).with(middleware).build();
    let opaque = || lacre_reqwest::CacheMiddleware::danger_assume_no_hidden_credentials(cache.clone());
    let client = around(opaque());
    for _ in 0..2 {
        by_reqwest(&https.url(), &client).unwrap();
    }
    assert_eq!(https.request_count(), 1);
    by_reqwest(&https.url(), &reqwest_builder(&cache).build().unwrap()).unwrap_err();
    let declared = || around(opaque().danger_assume_transport(Transport::standard().unverified()));
    by_reqwest(&https.url(), &declared()).unwrap();
    let lax = reqwest_builder(&cache).danger_accept_invalid_certificates().build().unwrap();
    by_reqwest(&https.url(), &lax).unwrap();
    assert_eq!(https.request_count(), 2, "clients with equal declared transports share it");
}

#[test]
fn reqwest_clients_with_different_client_certificates_share_nothing() {
    let (https, cache) = (Https::start(), new_cache());
    let client = |who: Option<usize>| {
        let builder = reqwest_builder(&cache).root_certificates(https.certificate.as_bytes()).unwrap();
        let builder = match who {
            Some(who) => builder.client_certificate(https.clients[who].as_bytes()).unwrap(),
            None => builder,
        };
        builder.build().unwrap()
    };
    for _ in 0..2 {
        for (who, expected) in [(Some(0), "alice"), (Some(1), "bob"), (None, "nobody")] {
            assert_eq!(by_reqwest(&https.url(), &client(who)).unwrap(), expected);
        }
    }
    assert_eq!(https.request_count(), 3);
}

#[test]
fn responses_from_a_resolved_address_are_not_served_to_others() {
    let here = Origin::start(|_| fresh("here"));
    let cache = new_cache();
    let address: SocketAddr = here.url("").strip_prefix("http://").unwrap().parse().unwrap();
    let url = format!("http://localhost:{}/", address.port());
    let staging = reqwest_builder(&cache).resolve("localhost", address).build().unwrap();
    for _ in 0..2 {
        assert_eq!(by_reqwest(&url, &staging).unwrap(), "here");
    }
    assert_eq!(here.request_count(), 1);
    by_reqwest(&url, &reqwest_builder(&cache).build().unwrap()).unwrap();
    assert_eq!(here.request_count(), 2);
    let elsewhere = reqwest_builder(&cache).unix_socket("/nowhere/app.sock").build().unwrap();
    by_reqwest(&here.url("/"), &reqwest_builder(&cache).build().unwrap()).unwrap();
    by_reqwest(&here.url("/"), &elsewhere).unwrap_err();
}

#[test]
fn proxied_responses_of_reqwest_are_not_served_without_the_proxy() {
    let proxy = Origin::start(|_| fresh("forged"));
    let cache = new_cache();
    let nowhere = format!("http://{}/", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let proxied = || {
        lacre_reqwest::ClientBuilder::new(cache.clone()).proxy(reqwest::Proxy::all(proxy.url("")).unwrap())
    };
    for _ in 0..2 {
        assert_eq!(by_reqwest(&nowhere, &proxied().build().unwrap()).unwrap(), "forged");
    }
    assert_eq!(proxy.request_count(), 1);
    by_reqwest(&nowhere, &reqwest_builder(&cache).build().unwrap()).unwrap_err();
}

#[test]
fn unverified_responses_of_ureq_are_not_served_to_verifying_agents() {
    let (https, cache) = (Https::start(), new_cache());
    let strict = lacre_ureq::AgentBuilder::new(cache.clone()).proxy(None).build();
    let lax = ureq_agent(&cache, &tls(|tls| tls.disable_verification(true)));
    by_ureq(&https.url(), &strict).unwrap_err();
    for _ in 0..2 {
        assert_eq!(by_ureq(&https.url(), &lax).unwrap(), "nobody");
    }
    assert_eq!(https.request_count(), 1);
    by_ureq(&https.url(), &strict).unwrap_err();
    let trusting = || ureq_agent(&cache, &tls(|tls| tls.root_certs(root_of(&https))));
    for _ in 0..2 {
        by_ureq(&https.url(), &trusting()).unwrap();
    }
    assert_eq!(https.request_count(), 2);
    by_ureq(&https.url(), &strict).unwrap_err();
}

#[test]
fn an_unverified_single_request_of_ureq_shares_nothing_with_its_agent() {
    let (https, cache) = (Https::start(), new_cache());
    let strict = lacre_ureq::AgentBuilder::new(cache).proxy(None).build();
    let lax = || {
        let tls = tls(|tls| tls.disable_verification(true));
        let response = strict.get(https.url()).config().tls_config(tls).build().call().unwrap();
        response.into_body().read_to_string().unwrap()
    };
    assert_eq!((lax(), lax()), ("nobody".to_owned(), "nobody".to_owned()));
    assert_eq!(https.request_count(), 1);
    by_ureq(&https.url(), &strict).unwrap_err();
}

#[test]
fn ureq_agents_with_different_client_certificates_share_nothing() {
    let (https, cache) = (Https::start(), new_cache());
    let agent = |who: Option<usize>| {
        let client = who.map(|who| {
            let pem = https.clients[who].as_bytes();
            ClientCert::new_with_certs(
                &[Certificate::from_pem(pem).unwrap()],
                PrivateKey::from_pem(pem).unwrap(),
            )
        });
        ureq_agent(&cache, &tls(|tls| tls.root_certs(root_of(&https)).client_cert(client)))
    };
    for _ in 0..2 {
        for (who, expected) in [(Some(0), "alice"), (Some(1), "bob"), (None, "nobody")] {
            assert_eq!(by_ureq(&https.url(), &agent(who)).unwrap(), expected);
        }
    }
    assert_eq!(https.request_count(), 3);
}

#[test]
fn responses_of_an_agent_built_elsewhere_are_not_shared() {
    let (https, cache) = (Https::start(), new_cache());
    let opaque = || lacre_ureq::CacheMiddleware::danger_assume_no_hidden_credentials(cache.clone());
    let agent = |middleware| {
        let tls = tls(|tls| tls.disable_verification(true));
        ureq::Agent::config_builder().tls_config(tls).proxy(None).middleware(middleware).build().new_agent()
    };
    let one = agent(opaque());
    for _ in 0..2 {
        by_ureq(&https.url(), &one).unwrap();
    }
    assert_eq!(https.request_count(), 1);
    by_ureq(&https.url(), &lacre_ureq::AgentBuilder::new(cache.clone()).proxy(None).build()).unwrap_err();
    by_ureq(&https.url(), &agent(opaque())).unwrap();
    assert_eq!(https.request_count(), 2);
}

/// A service with one response to every request.
#[derive(Clone)]
struct Returns(&'static str);

impl<B> tower_service::Service<Request<B>> for Returns {
    type Response = http::Response<http_body_util::Full<bytes::Bytes>>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        let fresh = http::Response::builder().header("cache-control", "max-age=60");
        std::future::ready(Ok(fresh.body(self.0.into()).unwrap()))
    }
}

fn by_tower(url: &str, layer: &lacre_tower::CacheLayer, body: &'static str) -> String {
    use http_body_util::BodyExt;
    use tower_layer::Layer;
    use tower_service::Service;

    RUNTIME.block_on(async {
        let request = Request::get(url).body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
        let response = layer.layer(Returns(body)).call(request).await.unwrap();
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    })
}

#[test]
fn layers_share_https_responses_only_with_equal_declared_transports() {
    let cache = new_cache();
    let layer = || lacre_tower::CacheLayer::new(cache.clone());
    let (lax, strict) = (layer(), layer());
    assert_eq!(by_tower("https://site.example/", &lax, "forged"), "forged");
    assert_eq!(by_tower("https://site.example/", &lax, "another"), "forged");
    assert_eq!(by_tower("https://site.example/", &strict, "true"), "true");
    assert_eq!(by_tower("http://site.example/", &lax, "by http"), "by http");
    assert_eq!(by_tower("http://site.example/", &strict, "another"), "by http");
    let standard = || layer().danger_assume_transport(Transport::standard());
    assert_eq!(by_tower("https://site.example/", &standard(), "standard"), "standard");
    assert_eq!(by_tower("https://site.example/", &standard(), "another"), "standard");
}
