//! The way to the network, as flags describe it: time limits, a proxy, certificates and credentials.

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

/// How long a connection may take, and the network be silent, where no flag says otherwise.
const DEFAULT_LIMIT: Duration = Duration::from_secs(30);

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "The way to the origin")]
#[group(skip)]
pub(crate) struct Args {
    /// How long all of it may take, from the first lookup to the last byte: `5`, `0.5`, `1m30s` [default: no limit, but 30 s of silence]
    #[arg(long, value_name = "DURATION", value_parser = limit)]
    timeout: Option<Duration>,
    /// How long a connection may take to come about [default: 30]
    #[arg(long, value_name = "DURATION", value_parser = limit)]
    connect_timeout: Option<Duration>,
    /// How many redirects are followed; with 0, a redirect is the answer
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    max_redirects: usize,
    /// Ask for a compressed response, and decompress it; what is stored stays as it came
    #[arg(long)]
    compressed: bool,
    /// Send requests through this proxy: `http://`, `https://` or `socks5://HOST:PORT` [default: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY,
    /// NO_PROXY]
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
    /// Trust the certificates in this PEM file, and no others
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    cacert: Option<PathBuf>,
    /// Show the origin this client certificate: a PEM file, with its private key unless --cert-key names another
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
    /// The PEM file with the private key of --cert
    #[arg(long, value_name = "FILE", requires = "cert")]
    cert_key: Option<PathBuf>,
    /// Do not verify the origin's certificate. Whoever sits in between can answer; such answers are kept apart from all others
    #[arg(short = 'k', long)]
    insecure: bool,
    /// Take the user and password for the host from ~/.netrc, or the file that NETRC names
    #[arg(long)]
    netrc: bool,
    /// The same from this file
    #[arg(long, value_name = "FILE")]
    netrc_file: Option<PathBuf>,
}

impl Args {
    /// A client whose every header the cache sees, and how it reaches origins: what they were verified against, and whom they saw.
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
            Failure::new(Exit::Failed, format!("cannot set up a client: {}", root_cause(&error))).with_hint(
                "SSL_CERT_FILE and SSL_CERT_DIR, where they are set, must name certificates in PEM",
            )
        })?;
        Ok((network_error::record_network_errors(client), transport))
    }

    pub(crate) const fn time_limit(&self) -> Option<Duration> {
        self.timeout
    }

    /// The file of the certificate, and the certificate with its key.
    fn identity_pem(&self) -> Result<Option<(PathBuf, Vec<u8>)>, Failure> {
        let Some(path) = &self.cert else { return Ok(None) };
        let mut pem = read("--cert", path)?;
        if let Some(key) = &self.cert_key {
            pem.push(b'\n');
            pem.extend(read("--cert-key", key)?);
        }
        Ok(Some((path.clone(), pem)))
    }

    /// `Authorization` from a netrc file, where one is to be read and knows the host.
    pub(crate) fn credentials(&self, url: &Url) -> Result<Option<HeaderValue>, Failure> {
        let path = match &self.netrc_file {
            Some(path) => path.clone(),
            None if self.netrc => netrc::path().filter(|path| path.exists()).ok_or_else(|| {
                Failure::new(Exit::Failed, "there is no netrc file: neither NETRC nor ~/.netrc names one").with_hint(
                    "write `machine HOST login USER password PASSWORD` into ~/.netrc, or leave out --netrc",
                )
            })?,
            None => return Ok(None),
        };
        let text = String::from_utf8(read("--netrc", &path)?).map_err(drop);
        let host = url.host_str().unwrap_or_default();
        let found = text.and_then(|text| netrc::login(&text, host)).map_err(|()| {
            Failure::usage(format!("the netrc file {} is not written as one", path.display()))
                .with_hint("a line reads `machine HOST login USER password PASSWORD`")
        })?;
        let Some(found) = found else { return Ok(None) };
        let basic = STANDARD.encode(format!("{}:{}", found.user, found.password));
        let mut value = HeaderValue::try_from(format!("Basic {basic}")).map_err(|_| {
            Failure::new(Exit::Failed, "the netrc file names no credentials that can be sent")
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
        return Err(Failure::usage(format!("--proxy: `{}:` names no proxy", url.scheme())).with_hint(hint));
    }
    if url.password().is_some() {
        return Err(Failure::usage(
            "--proxy: a password in an argument can be seen by everybody on this machine",
        )
        .with_hint("put the whole URL into the environment variable ALL_PROXY instead"));
    }
    Proxy::all(url)
        .map_err(|error| Failure::usage(format!("--proxy: {}", root_cause(&error))).with_hint(hint))
}

fn invalid_roots(path: &Path) -> Failure {
    Failure::usage(format!("--cacert: {} holds no certificate in PEM", path.display()))
        .with_hint("a certificate in PEM begins with -----BEGIN CERTIFICATE-----")
}

fn invalid_identity(path: &Path) -> Failure {
    Failure::usage(format!("--cert: {} holds no certificate with a private key in PEM", path.display()))
        .with_hint("--cert-key names the file of the key; an encrypted key is decrypted by `openssl pkey`")
}

fn read(flag: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        Failure::new(Exit::Failed, format!("{flag}: cannot read {}: {error}", path.display()))
    })
}

/// Seconds, which may have a fraction, or a duration such as `1m30s`; more than nothing.
fn limit(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().map(Duration::try_from_secs_f64);
    match seconds.unwrap_or_else(|| match text.parse() {
        Ok(Expire::After(duration)) => Ok(duration),
        _ => Ok(Duration::ZERO),
    }) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("write seconds, such as 5 or 0.5, or a duration such as 1m30s".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_limit_is_a_number_of_seconds_or_a_duration() {
        for (text, millis) in [("5", 5000), ("0.5", 500), ("1m30s", 90_000), ("250ms", 250)] {
            assert_eq!(limit(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["0", "-1", "nan", "1e400", "never", "soon", ""] {
            assert!(limit(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_proxy_is_named_by_scheme_and_host_and_never_with_a_password() {
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
