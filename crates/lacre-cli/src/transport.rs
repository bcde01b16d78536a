//! The network options of `get`: time limits, a proxy, certificates and credentials. Responses of
//! different transports are stored apart ([decision
//! 16](../../../docs/decisions/0016-transport-is-part-of-the-key.md)).

use crate::exit::{Exit, Failure, root_cause};
use crate::netrc;
use crate::network_error;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use lacre::{Cache, Expire, Transport};
use lacre_reqwest::ClientBuilder;
use reqwest::{Certificate, Proxy, Url};
use reqwest_middleware::ClientWithMiddleware;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The default limit for opening a connection, and for silence on it.
const DEFAULT_LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Network options")]
#[group(skip)]
pub(crate) struct Args {
    /// Limit for the whole request, from the cache lookup to the last byte: `5`, `0.5`, `1m30s`
    /// [default: none, but 30 s of silence]
    #[arg(long, value_name = "DURATION", value_parser = limit)]
    timeout: Option<Duration>,
    /// Limit for opening a connection [default: 30]
    #[arg(long, value_name = "DURATION", value_parser = limit)]
    connect_timeout: Option<Duration>,
    /// How many redirects to follow; with 0, a redirect is the result
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    max_redirects: usize,
    /// Request a compressed response and decompress it; the store keeps the compressed bytes
    #[arg(long)]
    compressed: bool,
    /// Send requests through this proxy: `http://`, `https://` or `socks5://HOST:PORT` [default:
    /// HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY]
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
    /// Trust only the certificates in this PEM file
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    cacert: Option<PathBuf>,
    /// Present this client certificate: a PEM file with the private key, unless --cert-key names
    /// the key's file
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
    /// PEM file with the private key of --cert
    #[arg(long, value_name = "FILE", requires = "cert")]
    cert_key: Option<PathBuf>,
    /// Do not verify the origin's certificate. Anyone on the network path can then answer; such
    /// responses are stored apart from all others
    #[arg(short = 'k', long)]
    insecure: bool,
    /// Read the user and password for the host from ~/.netrc, or from the file that NETRC names
    #[arg(long)]
    netrc: bool,
    /// Read them from this netrc file instead
    #[arg(long, value_name = "FILE")]
    netrc_file: Option<PathBuf>,
}

impl Args {
    /// Builds the client. The transport says which roots verify origins, which client certificate
    /// they see and which proxy is used: the cache keeps responses of different transports apart.
    pub(crate) fn client(&self, cache: Cache) -> Result<(ClientWithMiddleware, Transport), Failure> {
        let mut builder = ClientBuilder::new(cache)
            .connect_timeout(self.connect_timeout.unwrap_or(DEFAULT_LIMIT))
            .read_timeout(DEFAULT_LIMIT)
            .redirects(self.max_redirects);
        if !self.compressed {
            builder = builder.no_compression();
        }
        if let Some(limit) = self.timeout {
            builder = builder.timeout(limit);
        }
        if let Some(url) = &self.proxy {
            builder = builder.proxy(proxy(url)?);
        }
        if let Some(path) = &self.cacert {
            let pem = read("--cacert", path)?;
            builder = match Certificate::from_pem_bundle(&pem) {
                Ok(roots) if !roots.is_empty() => builder.root_certificates(&pem),
                _ => return Err(invalid_roots(path)),
            }
            .map_err(|_| invalid_roots(path))?;
        }
        if let Some((path, pem)) = self.identity_pem()? {
            builder = builder.client_certificate(&pem).map_err(|_| invalid_identity(&path))?;
        }
        if self.insecure {
            builder = builder.danger_accept_invalid_certificates();
        }
        let transport = builder.transport();
        let client = builder.build().map_err(|error| {
            Failure::new(Exit::Failed, format!("cannot set up the HTTP client: {}", root_cause(&error)))
                .with_hint("SSL_CERT_FILE and SSL_CERT_DIR, if set, must name PEM certificates")
        })?;
        Ok((network_error::record_network_errors(client), transport))
    }

    pub(crate) const fn time_limit(&self) -> Option<Duration> {
        self.timeout
    }

    /// The path of --cert, and its certificate and key in PEM.
    fn identity_pem(&self) -> Result<Option<(PathBuf, Vec<u8>)>, Failure> {
        let Some(path) = &self.cert else { return Ok(None) };
        let mut pem = read("--cert", path)?;
        if let Some(key) = &self.cert_key {
            pem.push(b'\n');
            pem.extend(read("--cert-key", key)?);
        }
        Ok(Some((path.clone(), pem)))
    }

    /// `Authorization` from the netrc file, if a flag names one and it has an entry for the host.
    pub(crate) fn credentials(&self, url: &Url) -> Result<Option<HeaderValue>, Failure> {
        let path = match &self.netrc_file {
            Some(path) => path.clone(),
            None if self.netrc => netrc::path().filter(|path| path.exists()).ok_or_else(|| {
                Failure::new(
                    Exit::Failed,
                    "--netrc: no netrc file exists, neither the one that NETRC names nor ~/.netrc",
                )
                .with_hint(
                    "write `machine HOST login USER password PASSWORD` into ~/.netrc, or leave out --netrc",
                )
            })?,
            None => return Ok(None),
        };
        let text = String::from_utf8(read("--netrc", &path)?).map_err(drop);
        let host = url.host_str().unwrap_or_default();
        let found = text.and_then(|text| netrc::login(&text, host)).map_err(|()| {
            Failure::usage(format!("the netrc file {} has a syntax error", path.display()))
                .with_hint("write each entry as `machine HOST login USER password PASSWORD`")
        })?;
        let Some(found) = found else { return Ok(None) };
        let basic = STANDARD.encode(format!("{}:{}", found.user, found.password));
        let mut value = HeaderValue::try_from(format!("Basic {basic}")).map_err(|_| {
            Failure::new(Exit::Failed, "the user or password in the netrc file cannot be sent in a header")
        })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

fn proxy(url: &str) -> Result<Proxy, Failure> {
    let hint = "write http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT";
    let url = Url::parse(url).map_err(|error| Failure::usage(format!("--proxy: {error}")).with_hint(hint))?;
    if !matches!(url.scheme(), "http" | "https" | "socks4" | "socks4a" | "socks5" | "socks5h")
        || !url.has_host()
    {
        return Err(Failure::usage(format!("--proxy: a URL with `{}:` does not name a proxy", url.scheme()))
            .with_hint(hint));
    }
    if url.password().is_some() {
        return Err(Failure::usage("--proxy: every user of this machine can read a password in an argument")
            .with_hint("set the whole URL in the environment variable ALL_PROXY instead"));
    }
    Proxy::all(url)
        .map_err(|error| Failure::usage(format!("--proxy: {}", root_cause(&error))).with_hint(hint))
}

fn invalid_roots(path: &Path) -> Failure {
    Failure::usage(format!("--cacert: {} contains no PEM certificate", path.display()))
        .with_hint("a PEM certificate begins with -----BEGIN CERTIFICATE-----")
}

fn invalid_identity(path: &Path) -> Failure {
    Failure::usage(format!("--cert: {} contains no PEM certificate with a private key", path.display()))
        .with_hint("name the key's file with --cert-key; decrypt an encrypted key with `openssl pkey`")
}

fn read(flag: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        Failure::new(Exit::Failed, format!("{flag}: cannot read {}: {error}", path.display()))
    })
}

/// Parses a limit above zero: seconds, with or without a fraction, or a duration such as `1m30s`.
fn limit(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().map(Duration::try_from_secs_f64);
    match seconds.unwrap_or_else(|| match text.parse() {
        Ok(Expire::After(duration)) => Ok(duration),
        _ => Ok(Duration::ZERO),
    }) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("expected seconds above zero, such as 5 or 0.5, or a duration such as 1m30s".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_limit_is_seconds_or_a_duration_above_zero() {
        for (text, millis) in [("5", 5000), ("0.5", 500), ("1m30s", 90_000), ("250ms", 250)] {
            assert_eq!(limit(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["0", "-1", "nan", "1e400", "never", "soon", ""] {
            assert!(limit(text).is_err(), "{text}");
        }
    }

    #[test]
    fn proxy_has_a_scheme_and_a_host_and_no_password() {
        for url in
            ["http://127.0.0.1:8080", "https://proxy.test", "socks5h://localhost:1080", "http://user@h:1"]
        {
            assert!(proxy(url).is_ok(), "{url}");
        }
        for url in ["ftp://h", "proxy.test:8080", "http://", "http://user:secret@h:1"] {
            let message = proxy(url).unwrap_err().message.unwrap();
            assert!(message.contains("--proxy") && !message.contains("secret"), "{url}: {message}");
        }
    }
}
