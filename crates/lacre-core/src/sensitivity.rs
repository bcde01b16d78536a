//! The sensitivity of an exchange: whether its record may stay readable. Also the `Debug` forms of
//! requests and responses, which show neither queries nor header values.

use crate::Redactor;
use crate::policy::{Partition, Policy, Scope};
use http::{HeaderMap, request, response};
use std::fmt;

/// Whether a record of an exchange may stay readable.
///
/// It matters only for suites that authenticate and do not encrypt (decision 5). An encrypting
/// suite hides every record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sensitivity {
    /// It may: the request and the header section of the response contain no secret.
    #[default]
    Public,
    /// It must be encrypted. The response contains a secret, or the request does, and a body may
    /// repeat the request in any form.
    Sensitive,
}

impl Sensitivity {
    pub(crate) fn sensitive_if(found: bool) -> Self {
        if found { Self::Sensitive } else { Self::Public }
    }

    pub(crate) fn of_body(policy: &Policy, headers: &HeaderMap, body: &[u8]) -> Self {
        Self::sensitive_if(policy.redactor.may_find_in_body(headers, body))
    }

    pub(crate) fn of_request(policy: &Policy, request: &request::Parts) -> Self {
        let redactor = &policy.redactor;
        Self::sensitive_if(
            redactor.finds_in_url(&request.uri.to_string()) || redactor.finds_in_headers(&request.headers),
        )
    }

    pub(crate) fn of_response(policy: &Policy, headers: &HeaderMap) -> Self {
        Self::sensitive_if(policy.redactor.finds_in_headers(headers))
    }
}

/// Whether a cookie that a response sets for an anonymous client could reach other clients. All
/// anonymous clients share one partition.
pub(crate) fn cookies_would_cross(policy: &Policy) -> bool {
    policy.scope == Scope::Shared && policy.partition == Partition::Credentials
}

/// The `Debug` form of a header section: its names.
pub(crate) struct HeaderNames<'a>(pub(crate) &'a HeaderMap);

impl fmt::Debug for HeaderNames<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

/// The `Debug` form of a URL: scheme, host and path. Userinfo, path parameters, query, fragment and
/// likely secrets are left out.
pub(crate) struct RedactedUrl<'a>(pub(crate) &'a str);

impl fmt::Debug for RedactedUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = &*Redactor::default().url(self.0);
        let plain = url.find(['?', '#', ';']).map_or(url, |end| &url[..end]);
        let (scheme, rest) = plain.split_once("//").unwrap_or(("", plain));
        let host = rest.find('/').unwrap_or(rest.len());
        let at = rest[..host].rfind('@').map_or(0, |at| at + 1);
        write!(f, "{scheme}{}{}", if rest.len() < plain.len() { "//" } else { "" }, &rest[at..])
    }
}

pub(crate) struct RequestDebug<'a>(pub(crate) &'a request::Parts);

impl fmt::Debug for RequestDebug<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(request) = self;
        f.debug_struct("Request")
            .field("method", &request.method)
            .field("url", &RedactedUrl(&request.uri.to_string()))
            .field("headers", &HeaderNames(&request.headers))
            .finish_non_exhaustive()
    }
}

pub(crate) struct ResponseDebug<'a>(pub(crate) &'a response::Parts);

impl fmt::Debug for ResponseDebug<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(response) = self;
        f.debug_struct("Response")
            .field("status", &response.status)
            .field("headers", &HeaderNames(&response.headers))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_url_has_no_userinfo_and_parameters() {
        for (url, shown) in [
            ("https://u:p@h:1/a/b;c=1?d#e", "https://h:1/a/b"),
            ("https://h", "https://h"),
            ("/a@b?c", "/a@b"),
            ("https://u@h", "https://h"),
            ("", ""),
        ] {
            assert_eq!(format!("{:?}", RedactedUrl(url)), shown);
        }
    }
}
