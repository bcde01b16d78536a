//! The identity of a request (docs/format.md §5): an injective encoding of everything that
//! distinguishes two requests, and its digest.
//!
//! RFC 9111 §2: the primary key of a cache is at least the method and the target URI. §4.1 adds the
//! headers that `Vary` names. The user's policy adds credentials, bodies and further headers.
//!
//! An identity may contain secrets, because only its keyed digest leaves this module. The caller
//! supplies the digest; no key is stored here.

use crate::credentials::{credential_headers, userinfo};
use crate::key::{Digest, Key};
use crate::policy::{MatchHeaders, Partition, Policy, QueryOrder, Scope};
use crate::redact::{REDACTED, multipart};
use crate::target::{Target, origin};
use crate::{RequestOptions, Transport, vary};
use http::{HeaderMap, HeaderName, Method, Uri, header, request};
use std::borrow::Cow;

/// Request headers that some servers use to select another resource. They are part of the identity
/// even if `Vary` does not name them.
const ROUTING: [&str; 12] = [
    "forwarded",
    "x-host",
    "x-http-host-override",
    "x-original-host",
    "x-original-path",
    "x-original-uri",
    "x-original-url",
    "x-override-url",
    "x-rewrite-uri",
    "x-rewrite-url",
    "x-url-scheme",
    "front-end-https",
];

/// Prefix of further headers of that kind: host, port, prefix, proto and scheme.
const ROUTING_PREFIX: &str = "x-forwarded-";

/// The client's address. A shared cache leaves it out, because each client has its own.
const CLIENT_ADDRESS: &str = "x-forwarded-for";

/// The same header in RFC 7239. Its `for` and `by` parameters are addresses.
const FORWARDED: &str = "forwarded";

/// Headers that describe the connection or the use of caches. [`MatchHeaders::All`] leaves them
/// out.
const NOT_MATCHED: [HeaderName; 12] = [
    header::CACHE_CONTROL,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::HOST,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::PRAGMA,
    header::RANGE,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

mod tag {
    pub(super) const METHOD: u8 = 0x01;
    pub(super) const AUTHORITY: u8 = 0x02;
    pub(super) const PATH: u8 = 0x03;
    pub(super) const QUERY: u8 = 0x04;
    pub(super) const BODY: u8 = 0x05;
    pub(super) const HEADER: u8 = 0x06;
    pub(super) const CREDENTIAL: u8 = 0x07;
    pub(super) const PARTITION: u8 = 0x08;
    pub(super) const CUSTOM: u8 = 0x09;
    pub(super) const VARIANT: u8 = 0x0A;
    pub(super) const RANGE: u8 = 0x0B;
    pub(super) const LANGUAGE: u8 = 0x0C;
    pub(super) const MULTIPART: u8 = 0x0D;
    pub(super) const TRANSPORT: u8 = 0x0E;
}

/// Whether the `Cookie` header is part of the identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CookieUse {
    Included,
    LeftOut,
}

/// Computes the row key of a request from its method, target URI, body and matched headers, its
/// credentials, and its transport. For HEAD, `method` may be GET.
#[expect(clippy::too_many_arguments, reason = "each argument is a part of the identity or selects one")]
pub(crate) fn request_key(
    policy: &Policy,
    digest: &dyn Digest,
    method: &Method,
    target: &Target,
    request: &request::Parts,
    body: &[u8],
    options: &RequestOptions,
    cookie: CookieUse,
) -> Key {
    let mut identity = Identity::new(b"lacre/v1/request");
    let uri = &target.uri;
    if let Some(key_fn) = &policy.key_fn {
        identity.field(tag::CUSTOM, key_fn(request, body).as_bytes());
    } else {
        identity.field(tag::METHOD, method.as_str().as_bytes());
        identity.url(policy, uri);
        identity.body(policy, &request.headers, body);
        identity.matched_headers(policy, &request.headers);
    }
    if policy.partition == Partition::Credentials {
        identity.credentials(policy, uri, &request.headers, cookie);
        if policy.key_fn.is_some() {
            identity.secret_parameters(policy, uri, &request.headers, body);
        }
    }
    if let Some(partition) = &options.partition {
        identity.field(tag::PARTITION, partition.as_bytes());
    }
    identity.transport(policy, target, request.extensions.get());
    Key::from_bytes(digest.digest(&identity.0))
}

/// The record behind a variant key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VariantKind<'a> {
    /// A complete response.
    Whole,
    /// The part that answered a request with this `Range`.
    Part(&'a [u8]),
    /// An alias of the part that was stored last.
    LatestPart,
    /// An alias of a complete response in this language, for any `Accept-Language`.
    Language(&'a [u8]),
}

/// Computes the key of a variant of `request` (RFC 9111 §4.1): `headers` are the request's, `names`
/// are the headers that the responses vary by.
pub(crate) fn variant_key(
    digest: &dyn Digest,
    request: &Key,
    names: &[HeaderName],
    headers: &HeaderMap,
    kind: VariantKind<'_>,
) -> Key {
    let mut identity = Identity::new(b"lacre/v1/variant");
    identity.part(request.as_bytes());
    let any_language = matches!(kind, VariantKind::Language(_));
    for name in names.iter().filter(|name| !any_language || **name != header::ACCEPT_LANGUAGE) {
        let value = vary::normalized(headers, name);
        let mut field = Vec::with_capacity(64);
        prefixed(&mut field, name.as_str().as_bytes());
        field.push(u8::from(value.is_some()));
        if let Some(value) = value {
            prefixed(&mut field, &value);
        }
        identity.field(tag::VARIANT, &field);
    }
    match kind {
        VariantKind::Whole => {}
        VariantKind::Part(range) => identity.field(tag::RANGE, range),
        VariantKind::LatestPart => identity.field(tag::RANGE, b""),
        VariantKind::Language(language) => identity.field(tag::LANGUAGE, language),
    }
    Key::from_bytes(digest.digest(&identity.0))
}

struct Identity(Vec<u8>);

fn prefixed(out: &mut Vec<u8>, value: &[u8]) {
    // Nothing in an identity is near 4 GiB. Saturating keeps the encoding from wrapping around.
    out.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(value);
}

impl Identity {
    fn new(label: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(label);
        Self(bytes)
    }

    fn part(&mut self, value: &[u8]) {
        prefixed(&mut self.0, value);
    }

    fn field(&mut self, tag: u8, value: &[u8]) {
        self.0.push(tag);
        self.part(value);
    }

    fn header(&mut self, tag: u8, name: &str, value: &[u8]) {
        self.0.push(tag);
        let length = 8 + name.len() + value.len();
        self.0.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        self.part(name.as_bytes());
        self.part(value);
    }

    fn url(&mut self, policy: &Policy, uri: &Uri) {
        self.field(tag::AUTHORITY, origin(uri).as_bytes());
        let path = uri.path();
        self.field(tag::PATH, if path.is_empty() { b"/" } else { path.as_bytes() });
        if let Some(query) = uri.query() {
            self.field(tag::QUERY, normalized_query(policy, query).as_bytes());
        }
    }

    fn body(&mut self, policy: &Policy, headers: &HeaderMap, body: &[u8]) {
        if !body.is_empty() {
            let content_type = headers.get(header::CONTENT_TYPE);
            let normalized = policy.ignored.body(content_type, body);
            match multipart::parts(content_type, &normalized) {
                // The boundary differs from request to request.
                Some(parts) => {
                    let mut digest = blake3::Hasher::new();
                    for part in parts {
                        digest.update(&(part.len() as u64).to_be_bytes()).update(part);
                    }
                    self.field(tag::MULTIPART, digest.finalize().as_bytes());
                }
                None => self.field(tag::BODY, blake3::hash(&normalized).as_bytes()),
            }
        }
    }

    fn matched_headers(&mut self, policy: &Policy, headers: &HeaderMap) {
        let mut matched: Vec<&HeaderName> = match &policy.match_headers {
            MatchHeaders::None => Vec::new(),
            MatchHeaders::All => headers.keys().filter(|name| !NOT_MATCHED.contains(name)).collect(),
            MatchHeaders::Only(names) => names.iter().filter(|name| headers.contains_key(*name)).collect(),
        };
        matched.extend(headers.keys().filter(|name| is_routing(policy, name)));
        matched.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        matched.dedup();
        for name in matched {
            let value = vary::normalized(headers, name);
            let value = match name.as_str() {
                FORWARDED if policy.scope == Scope::Shared => value.and_then(|value| without_nodes(&value)),
                _ => value,
            };
            match value {
                Some(_) if policy.ignored.matches(name.as_str()) => {
                    self.header(tag::HEADER, name.as_str(), REDACTED.as_bytes());
                }
                Some(value) => self.header(tag::HEADER, name.as_str(), &value),
                None => {}
            }
        }
    }

    fn credentials(&mut self, policy: &Policy, uri: &Uri, headers: &HeaderMap, cookie: CookieUse) {
        if let Some(userinfo) = userinfo(uri) {
            self.header(tag::CREDENTIAL, ":userinfo", userinfo.as_bytes());
        }
        let counts = |name: &HeaderName| cookie == CookieUse::Included || name != header::COOKIE;
        let mut names: Vec<&HeaderName> =
            credential_headers(policy, headers).filter(|name| counts(name)).collect();
        names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        for name in names {
            if let Some(value) = vary::normalized(headers, name) {
                self.header(tag::CREDENTIAL, name.as_str(), &value);
            }
        }
    }

    /// Adds the credentials in query and body. Called if query and body are not part of the
    /// identity.
    fn secret_parameters(&mut self, policy: &Policy, uri: &Uri, headers: &HeaderMap, body: &[u8]) {
        let query = policy.ignored.query(uri.query().unwrap_or_default());
        self.secrets(":query", policy.redactor.secrets_of_query(&query));
        let content_type = headers.get(header::CONTENT_TYPE);
        let body = policy.ignored.body(content_type, body);
        self.secrets(":body", policy.redactor.secrets_of_body(content_type, &body));
    }

    /// Adds the transport, if it is not the standard one.
    fn transport(&mut self, policy: &Policy, target: &Target, transport: Option<&Transport>) {
        if let Some(sent_to) = &target.sent_to {
            self.header(tag::TRANSPORT, "authority", sent_to.as_bytes());
        }
        let credentials = policy.partition == Partition::Credentials;
        for (name, value) in
            transport.iter().flat_map(|transport| transport.fields(target.is_https(), credentials))
        {
            self.header(tag::TRANSPORT, name, value);
        }
    }

    fn secrets<'a>(&mut self, name: &str, values: impl Iterator<Item = &'a [u8]>) {
        let mut all = Vec::new();
        values.for_each(|value| prefixed(&mut all, value));
        if !all.is_empty() {
            self.header(tag::CREDENTIAL, name, &all);
        }
    }
}

fn is_routing(policy: &Policy, name: &HeaderName) -> bool {
    let name = name.as_str();
    ROUTING.contains(&name)
        || (name.starts_with(ROUTING_PREFIX) && (name != CLIENT_ADDRESS || policy.scope == Scope::Private))
}

/// Removes the addresses from `Forwarded`. `None` if nothing else is left.
fn without_nodes(value: &[u8]) -> Option<Vec<u8>> {
    let tells = |pair: &&[u8]| {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
        !pair.is_empty() && !name.eq_ignore_ascii_case(b"for") && !name.eq_ignore_ascii_case(b"by")
    };
    let elements = vary::split_outside_quotes(value, b',').map(|element| {
        let pairs: Vec<_> = vary::split_outside_quotes(element, b';').filter(tells).collect();
        pairs.join(&b';')
    });
    let elements: Vec<_> = elements.filter(|element| !element.is_empty()).collect();
    (!elements.is_empty()).then(|| elements.join(&b", "[..]))
}

fn normalized_query<'a>(policy: &Policy, query: &'a str) -> Cow<'a, str> {
    let query = policy.ignored.query(query);
    match policy.query_order {
        QueryOrder::Significant => query,
        QueryOrder::Sorted => {
            let mut parameters: Vec<&str> = query.split('&').collect();
            parameters.sort_unstable();
            Cow::Owned(parameters.join("&"))
        }
    }
}

#[cfg(test)]
mod tests;
