//! Credentials of a request: the headers and URL parts that identify the requester, and the rules
//! for partitioning a cache by them (decision 15).

use crate::policy::{CookieKeys, MatchHeaders, Partition, Policy, Scope};
use crate::redact::{names_identity, names_secret_header};
use crate::{RequestOptions, Transport};
use http::{HeaderMap, HeaderName, Uri, header, request};

/// Frequent headers that are never credentials. They are checked first, for speed.
const NEVER_CREDENTIALS: [HeaderName; 8] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::CACHE_CONTROL,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::HOST,
    header::USER_AGENT,
];

/// DPoP (RFC 9449) proves possession of a token, with a new value for each request. Next to a token
/// it does not identify anyone else.
const PROOF: HeaderName = HeaderName::from_static("dpop");

impl Policy {
    /// Whether requests that differ in this header never share an answer, because the header
    /// identifies the requester.
    pub fn partitions_by_header(&self, name: &HeaderName) -> bool {
        self.partition == Partition::Credentials && is_credential(self, name)
    }

    /// Whether the `Cookie` among these request headers is part of the request's key regardless of
    /// the response.
    pub fn keys_by_cookie(&self, headers: &HeaderMap) -> bool {
        !may_leave_cookie_out(self, headers)
    }
}

/// Whether a header identifies the requester: a known name of a credential or an identity, a name
/// that the user added, or a redacted name that is not ignored.
fn is_credential(policy: &Policy, name: &HeaderName) -> bool {
    if NEVER_CREDENTIALS.contains(name) {
        return false;
    }
    let name = name.as_str();
    names_secret_header(name)
        || names_identity(name)
        || policy.principals.matches(name)
        || (policy.redactor.matches(name) && !policy.ignored.matches(name))
}

/// The headers of a request that identify the requester.
pub(crate) fn credential_headers<'a>(
    policy: &'a Policy,
    headers: &'a HeaderMap,
) -> impl Iterator<Item = &'a HeaderName> {
    let has_token = headers.contains_key(header::AUTHORIZATION);
    headers.keys().filter(move |name| is_credential(policy, name) && !(has_token && **name == PROOF))
}

/// Whether a request is anonymous: nothing in its identity separates its requester from others.
pub(crate) fn is_anonymous(policy: &Policy, request: &request::Parts, options: &RequestOptions) -> bool {
    let query = policy.ignored.query(request.uri.query().unwrap_or_default());
    options.partition.is_none()
        && userinfo(&request.uri).is_none()
        && !request.extensions.get().is_some_and(Transport::shows_client)
        && credential_headers(policy, &request.headers).next().is_none()
        && policy.redactor.secrets_of_query(&query).next().is_none()
}

/// Whether the answers to this request may be stored under a key without its cookie as well: in a
/// private cache, unless the user matches by cookie.
pub(crate) fn may_leave_cookie_out(policy: &Policy, headers: &HeaderMap) -> bool {
    let matched = match &policy.match_headers {
        MatchHeaders::None => false,
        MatchHeaders::All => true,
        MatchHeaders::Only(names) => names.contains(&header::COOKIE),
    };
    policy.scope == Scope::Private
        && policy.partition == Partition::Credentials
        && policy.cookie_keys == CookieKeys::WithoutLifetime
        && headers.contains_key(header::COOKIE)
        && !matched
}

/// The `user:password` part of a URI's authority.
pub(crate) fn userinfo(uri: &Uri) -> Option<&str> {
    uri.authority()?.as_str().rsplit_once('@').map(|(userinfo, _)| userinfo)
}
