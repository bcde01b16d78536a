//! What goes wrong with a request, and how the client hears of it: a status, one line of text, and for the origin's faults a
//! `Proxy-Status` (RFC 9209). Never a URL, a header or an address.

use crate::serve::hops::ALLOWED;
use crate::serve::pace::Stalled;
use crate::serve::reach::Barred;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::LengthLimitError;
use lacre::FramingError;
use std::error::Error as StdError;
use std::{fmt, io};

/// Why a request is not answered by the cache or the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The request cannot be understood.
    BadRequest,
    /// The request is not for an origin that this proxy answers for.
    NotForUs,
    /// The request leads to where this proxy shows metrics.
    OwnAddress,
    /// The request leads to an address that a forward proxy does not connect to.
    NotPublic,
    /// CONNECT, which a cache has no use for.
    NoTunnels,
    /// The header section is longer than allowed.
    LongHeader,
    /// The header section has more lines than allowed.
    ManyLines,
    /// The request's URL is longer than any may be.
    LongTarget,
    /// The request's body is not what its header says, or breaks off.
    BadBody,
    /// The request's body has a transfer coding that is not undone here.
    UnknownCoding,
    /// The request expects what this proxy cannot promise.
    Expectation,
    /// The request has been here before.
    Loop,
    /// The body is longer than allowed.
    TooLarge,
    /// The client stopped sending.
    SlowClient,
    /// Nobody listens where the origin should be.
    Refused,
    /// The origin cannot be connected to: its name is unknown, or there is no way there.
    Unreachable,
    /// The origin's certificate is not trusted, or it does not speak TLS.
    BadTls,
    /// No connection to the origin came about in time.
    ConnectTimeout,
    /// The origin did not answer in time.
    AnswerTimeout,
    /// The origin hung up, or sent what is not HTTP.
    BadAnswer,
    /// The origin's header section is longer than allowed, or has more lines.
    LongAnswer,
    /// The origin's header contradicts itself about the length of the body.
    AnswerLength,
    /// The origin's body has a transfer coding that is not undone here.
    AnswerCoding,
    /// The cache failed, where that is an error.
    Cache,
}

impl Fault {
    const fn describe(self) -> (StatusCode, &'static str, Option<&'static str>) {
        match self {
            Self::BadRequest => (StatusCode::BAD_REQUEST, "the request is not valid HTTP", None),
            Self::NotForUs => (
                StatusCode::BAD_REQUEST,
                "this proxy takes requests with an http:// URL; https goes to the origin itself",
                None,
            ),
            Self::OwnAddress => (
                StatusCode::FORBIDDEN,
                "this proxy does not connect to its own addresses",
                Some("destination_ip_prohibited"),
            ),
            Self::NotPublic => (
                StatusCode::FORBIDDEN,
                "this proxy does not connect to this address, which is not public; \
                 its operator can allow the network: --danger-allow-target CIDR",
                Some("destination_ip_prohibited"),
            ),
            Self::NoTunnels => (StatusCode::METHOD_NOT_ALLOWED, "this proxy makes no tunnels", None),
            Self::LongHeader => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "the header has more bytes or lines than this proxy allows (--max-header, --max-header-lines)",
                None,
            ),
            Self::ManyLines => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "the header has more lines than this proxy allows (--max-header-lines)",
                None,
            ),
            Self::LongTarget => (StatusCode::URI_TOO_LONG, "the URL is longer than this proxy allows", None),
            Self::BadBody => (
                StatusCode::BAD_REQUEST,
                "the request's body ended early, or is not framed as its header says",
                None,
            ),
            Self::UnknownCoding => {
                (StatusCode::NOT_IMPLEMENTED, "this proxy undoes no transfer coding but chunked", None)
            }
            Self::Expectation => {
                (StatusCode::EXPECTATION_FAILED, "this proxy meets no expectation but 100-continue", None)
            }
            Self::Loop => (
                StatusCode::LOOP_DETECTED,
                "the request came back to this proxy: its way to the origin is a loop",
                Some("proxy_loop_detected"),
            ),
            Self::TooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, "the body is longer than this proxy allows", None)
            }
            Self::SlowClient => (StatusCode::REQUEST_TIMEOUT, "the body did not come in time", None),
            Self::Refused => {
                (StatusCode::BAD_GATEWAY, "the origin refuses connections", Some("connection_refused"))
            }
            Self::Unreachable => {
                (StatusCode::BAD_GATEWAY, "the origin cannot be reached", Some("destination_unavailable"))
            }
            Self::BadTls => {
                (StatusCode::BAD_GATEWAY, "the origin's TLS cannot be trusted", Some("tls_protocol_error"))
            }
            Self::ConnectTimeout => (
                StatusCode::GATEWAY_TIMEOUT,
                "the origin cannot be reached in time",
                Some("connection_timeout"),
            ),
            Self::AnswerTimeout => (
                StatusCode::GATEWAY_TIMEOUT,
                "the origin did not answer in time",
                Some("http_response_timeout"),
            ),
            Self::BadAnswer => {
                (StatusCode::BAD_GATEWAY, "the origin did not answer properly", Some("connection_terminated"))
            }
            Self::LongAnswer => (
                StatusCode::BAD_GATEWAY,
                "the origin's header is longer than this proxy allows (--max-header, --max-header-lines)",
                Some("http_response_header_section_size"),
            ),
            Self::AnswerLength => (
                StatusCode::BAD_GATEWAY,
                "the origin's Content-Length is not one number",
                Some("http_protocol_error"),
            ),
            Self::AnswerCoding => (
                StatusCode::BAD_GATEWAY,
                "the origin's body has a transfer coding that this proxy does not undo",
                Some("http_response_transfer_coding"),
            ),
            Self::Cache => (StatusCode::INTERNAL_SERVER_ERROR, "the cache failed", None),
        }
    }

    /// Its status.
    pub(crate) const fn status(self) -> StatusCode {
        self.describe().0
    }

    /// The fault that hyper found in the head of a request, which it has answered by itself. `None`: it found something else.
    pub(crate) fn of_head(error: &(dyn StdError + 'static)) -> Option<Self> {
        find(error, |cause| {
            let error = cause.downcast_ref::<hyper::Error>().filter(|error| error.is_parse())?;
            Some(if error.is_parse_too_large() { Self::LongHeader } else { Self::BadRequest })
        })
    }

    /// Whether what follows on the connection may be no request: a tunnel's beginning, or the rest of a body.
    const fn ends_the_connection(self) -> bool {
        matches!(
            self,
            Self::BadRequest | Self::NoTunnels | Self::BadBody | Self::UnknownCoding | Self::SlowClient
        )
    }

    /// One line about it.
    pub(crate) const fn text(self) -> &'static str {
        self.describe().1
    }

    /// What the client gets.
    pub(crate) fn response(self) -> Response<String> {
        let (status, text, proxy_status) = self.describe();
        let mut response = Response::new(format!("{text}\n"));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.ends_the_connection() {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if self == Self::NoTunnels {
            // RFC 9110 §15.5.6
            headers.insert(header::ALLOW, ALLOWED);
        }
        let proxy_status = proxy_status.map(|error| HeaderValue::try_from(format!("lacre; error={error}")));
        if let Some(Ok(value)) = proxy_status {
            headers.insert(HeaderName::from_static("proxy-status"), value);
        }
        response
    }

    /// The fault behind a client's body that broke off, where `error` tells of one.
    pub(crate) fn of_upload(error: &(dyn StdError + 'static)) -> Option<Self> {
        find(error, |cause| {
            if cause.is::<LengthLimitError>() {
                Some(Self::TooLarge)
            } else if cause.is::<BrokenUpload>() {
                Some(Self::BadBody)
            } else {
                cause.is::<Stalled>().then_some(Self::SlowClient)
            }
        })
    }

    /// The fault behind a request that could not be sent, or was not answered.
    pub(crate) fn of_exchange(error: &hyper_util::client::legacy::Error) -> Self {
        if let Some(fault) = Self::of_upload(error) {
            return fault;
        }
        if !error.is_connect() {
            let too_long = |cause: &(dyn StdError + 'static)| {
                cause.downcast_ref::<hyper::Error>()?.is_parse_too_large().then_some(Self::LongAnswer)
            };
            return find(error, too_long).unwrap_or(Self::BadAnswer);
        }
        if let Some(barred) = find(error, |cause| cause.downcast_ref::<Barred>().copied()) {
            return barred.into();
        }
        let found = find(error, |cause| match cause.downcast_ref::<io::Error>()?.kind() {
            io::ErrorKind::ConnectionRefused => Some(Self::Refused),
            io::ErrorKind::TimedOut => Some(Self::ConnectTimeout),
            // So tokio-rustls wraps whatever rustls says.
            io::ErrorKind::InvalidData => Some(Self::BadTls),
            _ => None,
        });
        found.unwrap_or(Self::Unreachable)
    }
}

impl From<Barred> for Fault {
    fn from(barred: Barred) -> Self {
        match barred {
            Barred::Loop => Self::Loop,
            Barred::Admin => Self::OwnAddress,
            Barred::NotPublic => Self::NotPublic,
        }
    }
}

fn find<T>(
    error: &(dyn StdError + 'static),
    judge: impl Fn(&(dyn StdError + 'static)) -> Option<T>,
) -> Option<T> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(found) = judge(cause) {
            return Some(found);
        }
        // What an IO error wraps is not its source, which is that of what it wraps.
        let wrapped = cause.downcast_ref().and_then(io::Error::get_ref);
        next = wrapped.map(|wrapped| wrapped as _).or_else(|| cause.source());
    }
    None
}

impl From<FramingError> for Fault {
    /// The fault of an origin.
    fn from(misframed: FramingError) -> Self {
        match misframed {
            FramingError::TransferCoding => Self::AnswerCoding,
            _ => Self::AnswerLength,
        }
    }
}

/// A client's body that did not come as its header said. It marks the error of a body as the client's fault, not the origin's.
#[derive(Debug)]
pub(crate) struct BrokenUpload(hyper::Error);

impl BrokenUpload {
    pub(crate) fn new(error: hyper::Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for BrokenUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the client's body broke off")
    }
}

impl StdError for BrokenUpload {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl StdError for Fault {}
