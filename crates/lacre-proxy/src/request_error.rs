//! [`RequestError`]: why a request is not answered by the cache or the origin.
//!
//! The client gets a status, one line of text and, for errors of the origin, a `Proxy-Status`
//! (RFC 9209). The text never contains a URL, a header or an address.

use crate::allowed_targets::Denied;
use crate::headers::ALLOWED_METHODS;
use crate::idle_timeout::Stalled;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::LengthLimitError;
use lacre::FramingError;
use std::error::Error as StdError;
use std::{fmt, io};

/// Why a request is not answered by the cache or the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestError {
    /// The request is not valid HTTP.
    BadRequest,
    /// A forward proxy got a request without an `http` URL.
    NotHttpUrl,
    /// The target is the address of this proxy that shows metrics.
    OwnAddress,
    /// The target is an address that a forward proxy does not connect to.
    TargetNotPublic,
    /// The method is CONNECT, which a cache cannot answer.
    ConnectMethod,
    /// The header section is longer than allowed.
    HeaderTooLong,
    /// The header section has more lines than allowed.
    TooManyHeaderLines,
    /// The URL is longer than hyper allows.
    UriTooLong,
    /// The body contradicts its header, or breaks off.
    BadBody,
    /// The body has another transfer coding than chunked.
    UnknownTransferCoding,
    /// The request has another expectation than 100-continue.
    UnknownExpectation,
    /// The request has passed this proxy before.
    Loop,
    /// The body is longer than allowed.
    BodyTooLong,
    /// The client stopped sending the body.
    UploadTimeout,
    /// The origin refuses connections.
    ConnectionRefused,
    /// The name of the origin is unknown, or there is no route to it.
    OriginUnreachable,
    /// The certificate of the origin is not trusted, or it does not speak TLS.
    TlsFailed,
    /// The connection to the origin was not established in time.
    ConnectTimeout,
    /// The origin did not answer in time.
    ResponseTimeout,
    /// The origin closed the connection, or its response is not valid HTTP.
    BadResponse,
    /// The header section of the response is longer than allowed, or has more lines.
    ResponseHeaderTooLong,
    /// The length of the response's body is contradictory.
    ResponseLength,
    /// The response has another transfer coding than chunked.
    ResponseTransferCoding,
    /// The cache failed, and may not be bypassed.
    CacheFailed,
}

impl RequestError {
    /// The status, the text for the client, and the error type for `Proxy-Status` (RFC 9209 §2.3).
    const fn describe(self) -> (StatusCode, &'static str, Option<&'static str>) {
        match self {
            Self::BadRequest => (StatusCode::BAD_REQUEST, "the request is not valid HTTP", None),
            Self::NotHttpUrl => (
                StatusCode::BAD_REQUEST,
                "this proxy accepts requests for http:// URLs only; \
                 send requests for https:// URLs to the origin itself",
                None,
            ),
            Self::OwnAddress => (
                StatusCode::FORBIDDEN,
                "this proxy does not connect to its own addresses",
                Some("destination_ip_prohibited"),
            ),
            Self::TargetNotPublic => (
                StatusCode::FORBIDDEN,
                "this proxy does not connect to this address, which is not public; \
                 its operator can allow the network: --danger-allow-target CIDR",
                Some("destination_ip_prohibited"),
            ),
            Self::ConnectMethod => {
                (StatusCode::METHOD_NOT_ALLOWED, "this proxy does not open tunnels (CONNECT)", None)
            }
            Self::HeaderTooLong => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "the header has more bytes or lines than this proxy allows (--max-header, --max-header-lines)",
                None,
            ),
            Self::TooManyHeaderLines => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "the header has more lines than this proxy allows (--max-header-lines)",
                None,
            ),
            Self::UriTooLong => (StatusCode::URI_TOO_LONG, "the URL is longer than this proxy allows", None),
            Self::BadBody => (
                StatusCode::BAD_REQUEST,
                "the request's body ended early, or its framing contradicts the header",
                None,
            ),
            Self::UnknownTransferCoding => {
                (StatusCode::NOT_IMPLEMENTED, "this proxy decodes no transfer coding but chunked", None)
            }
            Self::UnknownExpectation => {
                (StatusCode::EXPECTATION_FAILED, "this proxy meets no expectation but 100-continue", None)
            }
            Self::Loop => (
                StatusCode::LOOP_DETECTED,
                "the request came back to this proxy: its route to the origin is a loop",
                Some("proxy_loop_detected"),
            ),
            Self::BodyTooLong => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body is longer than this proxy allows (--max-upload)",
                None,
            ),
            Self::UploadTimeout => (StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time", None),
            Self::ConnectionRefused => {
                (StatusCode::BAD_GATEWAY, "the origin refuses connections", Some("connection_refused"))
            }
            Self::OriginUnreachable => {
                (StatusCode::BAD_GATEWAY, "the origin cannot be reached", Some("destination_unavailable"))
            }
            Self::TlsFailed => (
                StatusCode::BAD_GATEWAY,
                "the TLS connection to the origin failed, or its certificate is not trusted",
                Some("tls_protocol_error"),
            ),
            Self::ConnectTimeout => (
                StatusCode::GATEWAY_TIMEOUT,
                "the connection to the origin was not established in time",
                Some("connection_timeout"),
            ),
            Self::ResponseTimeout => (
                StatusCode::GATEWAY_TIMEOUT,
                "the origin did not answer in time",
                Some("http_response_timeout"),
            ),
            Self::BadResponse => (
                StatusCode::BAD_GATEWAY,
                "the origin closed the connection, or its response is not valid HTTP",
                Some("connection_terminated"),
            ),
            Self::ResponseHeaderTooLong => (
                StatusCode::BAD_GATEWAY,
                "the origin's header is longer than this proxy allows (--max-header, --max-header-lines)",
                Some("http_response_header_section_size"),
            ),
            Self::ResponseLength => (
                StatusCode::BAD_GATEWAY,
                "the origin's Content-Length is not one number",
                Some("http_protocol_error"),
            ),
            Self::ResponseTransferCoding => (
                StatusCode::BAD_GATEWAY,
                "the origin's body has a transfer coding that this proxy does not decode",
                Some("http_response_transfer_coding"),
            ),
            Self::CacheFailed => (StatusCode::INTERNAL_SERVER_ERROR, "the cache failed", None),
        }
    }

    /// The status of the response.
    pub(crate) const fn status(self) -> StatusCode {
        self.describe().0
    }

    /// The error that hyper found in the head of a request, and answered itself. `None` if the
    /// error is of another kind.
    pub(crate) fn of_request_head(error: &(dyn StdError + 'static)) -> Option<Self> {
        find_cause(error, |cause| {
            let error = cause.downcast_ref::<hyper::Error>().filter(|error| error.is_parse())?;
            Some(if error.is_parse_too_large() { Self::HeaderTooLong } else { Self::BadRequest })
        })
    }

    /// Whether the next bytes on the connection may not be a request, but the rest of a body or the
    /// content of a tunnel.
    const fn ends_connection(self) -> bool {
        matches!(
            self,
            Self::BadRequest
                | Self::ConnectMethod
                | Self::BadBody
                | Self::UnknownTransferCoding
                | Self::UploadTimeout
        )
    }

    /// One line of text for the client and the access log.
    pub(crate) const fn text(self) -> &'static str {
        self.describe().1
    }

    /// The response for the client.
    pub(crate) fn response(self) -> Response<String> {
        let (status, text, proxy_status) = self.describe();
        let mut response = Response::new(format!("{text}\n"));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.ends_connection() {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if self == Self::ConnectMethod {
            // RFC 9110 §15.5.6: a 405 response lists the allowed methods.
            headers.insert(header::ALLOW, ALLOWED_METHODS);
        }
        let proxy_status = proxy_status.map(|error| HeaderValue::try_from(format!("lacre; error={error}")));
        if let Some(Ok(value)) = proxy_status {
            headers.insert(HeaderName::from_static("proxy-status"), value);
        }
        response
    }

    /// The error of a client's body, if `error` was caused by one.
    pub(crate) fn of_upload(error: &(dyn StdError + 'static)) -> Option<Self> {
        find_cause(error, |cause| {
            if cause.is::<LengthLimitError>() {
                Some(Self::BodyTooLong)
            } else if cause.is::<BrokenUpload>() {
                Some(Self::BadBody)
            } else {
                cause.is::<Stalled>().then_some(Self::UploadTimeout)
            }
        })
    }

    /// The error of a request that could not be sent, or was not answered.
    pub(crate) fn of_exchange(error: &hyper_util::client::legacy::Error) -> Self {
        if let Some(error) = Self::of_upload(error) {
            return error;
        }
        if !error.is_connect() {
            let too_long = |cause: &(dyn StdError + 'static)| {
                let error = cause.downcast_ref::<hyper::Error>()?;
                error.is_parse_too_large().then_some(Self::ResponseHeaderTooLong)
            };
            return find_cause(error, too_long).unwrap_or(Self::BadResponse);
        }
        if let Some(denied) = find_cause(error, |cause| cause.downcast_ref::<Denied>().copied()) {
            return denied.into();
        }
        let found = find_cause(error, |cause| match cause.downcast_ref::<io::Error>()?.kind() {
            io::ErrorKind::ConnectionRefused => Some(Self::ConnectionRefused),
            io::ErrorKind::TimedOut => Some(Self::ConnectTimeout),
            // tokio-rustls wraps every error of rustls in this kind.
            io::ErrorKind::InvalidData => Some(Self::TlsFailed),
            _ => None,
        });
        found.unwrap_or(Self::OriginUnreachable)
    }
}

impl From<Denied> for RequestError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Loop => Self::Loop,
            Denied::Admin => Self::OwnAddress,
            Denied::NotPublic => Self::TargetNotPublic,
        }
    }
}

/// The first result of `inspect` among an error and its causes.
fn find_cause<T>(
    error: &(dyn StdError + 'static),
    inspect: impl Fn(&(dyn StdError + 'static)) -> Option<T>,
) -> Option<T> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(found) = inspect(cause) {
            return Some(found);
        }
        // The source of an IO error is the source of the error that it wraps, which would be
        // skipped.
        let wrapped = cause.downcast_ref().and_then(io::Error::get_ref);
        next = wrapped.map(|wrapped| wrapped as _).or_else(|| cause.source());
    }
    None
}

impl From<FramingError> for RequestError {
    /// The error of a response whose body has no clear length.
    fn from(error: FramingError) -> Self {
        match error {
            FramingError::TransferCoding => Self::ResponseTransferCoding,
            _ => Self::ResponseLength,
        }
    }
}

/// An error of a client's body. The type marks it as the client's, not the origin's.
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

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl StdError for RequestError {}
