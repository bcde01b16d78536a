//! The identity of a request (docs/format.md §5): an injective encoding of what makes two requests the same, and its digest.
//!
//! Secrets may be part of an identity, since only its keyed digest leaves this module. The digest is the caller's: no key lives here.

use crate::policy::{CookieKeys, MatchHeaders, Partition, Policy, QueryOrder, Scope};
use crate::redact::{REDACTED, holds_key, multipart, tells_who};
use crate::target::Target;
use crate::{RequestOptions, Transport, vary};
use http::{HeaderMap, HeaderName, Method, Uri, header, request};
use std::borrow::Cow;
use std::fmt;

/// The row key: a keyed digest of a request's identity. It is all that a store gets to see of a request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key([u8; 32]);

impl Key {
    /// The key with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// All 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// 64 hexadecimal digits; `{:.8}` gives the first eight, as listings show them.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(64).min(64);
        for index in 0..digits {
            let byte = self.0[index / 2];
            let nibble = if index % 2 == 0 { byte >> 4 } else { byte & 15 };
            write!(f, "{nibble:x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self:.8}…)")
    }
}

/// A keyed digest: 32 bytes that nobody without its key can compute or guess from.
pub trait Digest: Send + Sync {
    /// The digest of an identity.
    fn digest(&self, identity: &[u8]) -> [u8; 32];
}

impl<F: Fn(&[u8]) -> [u8; 32] + Send + Sync> Digest for F {
    fn digest(&self, identity: &[u8]) -> [u8; 32] {
        self(identity)
    }
}

/// Request headers that some servers let change which resource is meant. They tell requests apart whatever Vary says.
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

/// And all that begin like this: host, port, prefix, proto, scheme …
const ROUTING_PREFIX: &str = "x-forwarded-";

/// Between users, the addresses that a request came through say who asks, not what for: every client has its own.
const ROUTE: &str = "x-forwarded-for";

/// The same in the words of RFC 7239, whose `for` and `by` are such addresses.
const FORWARDED: &str = "forwarded";

/// Headers that say how a message travels or how caches treat it, not what is asked for; "match all headers" leaves them out.
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

/// Whether the `Cookie` of a request is part of its identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cookie {
    Counts,
    LeftOut,
}

impl Cookie {
    /// Whether answers to this request may lie under a key without its cookie, too: in a private cache, where the user does not match by it.
    pub(crate) fn may_be_left_out(policy: &Policy, headers: &HeaderMap) -> bool {
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
}

/// The key of a request: what is asked (`method`, which for HEAD may be GET, target URI, body, matched headers), on whose behalf, and over
/// which transport.
#[expect(clippy::too_many_arguments, reason = "each is a part of what tells requests apart, or says how")]
pub(crate) fn request_key(
    policy: &Policy,
    digest: &dyn Digest,
    method: &Method,
    target: &Target,
    request: &request::Parts,
    body: &[u8],
    options: &RequestOptions,
    cookie: Cookie,
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
    Key(digest.digest(&identity.0))
}

/// What lies under the key of a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Facet<'a> {
    /// A whole response.
    Whole,
    /// The part that a request with this `Range` was answered with.
    Part(&'a [u8]),
    /// The way to the part that was stored last.
    LatestPart,
    /// The way to a whole response in this language, whatever `Accept-Language` it was an answer to.
    Language(&'a [u8]),
}

/// The key of the variant of `request` that `headers` select among those that vary by `names`, or of a facet of it.
pub(crate) fn variant_key(
    digest: &dyn Digest,
    request: &Key,
    names: &[HeaderName],
    headers: &HeaderMap,
    facet: Facet<'_>,
) -> Key {
    let mut identity = Identity::new(b"lacre/v1/variant");
    identity.part(&request.0);
    let any_language = matches!(facet, Facet::Language(_));
    for name in names.iter().filter(|name| !any_language || **name != header::ACCEPT_LANGUAGE) {
        let value = vary::normalised(headers, name);
        let mut field = Vec::with_capacity(64);
        prefixed(&mut field, name.as_str().as_bytes());
        field.push(u8::from(value.is_some()));
        if let Some(value) = value {
            prefixed(&mut field, &value);
        }
        identity.field(tag::VARIANT, &field);
    }
    match facet {
        Facet::Whole => {}
        Facet::Part(range) => identity.field(tag::RANGE, range),
        Facet::LatestPart => identity.field(tag::RANGE, b""),
        Facet::Language(language) => identity.field(tag::LANGUAGE, language),
    }
    Key(digest.digest(&identity.0))
}

struct Identity(Vec<u8>);

fn prefixed(out: &mut Vec<u8>, value: &[u8]) {
    // Nothing that reaches an identity is near 4 GiB; were it so, saturating keeps the encoding from wrapping around.
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
            self.field(tag::QUERY, normalised_query(policy, query).as_bytes());
        }
    }

    fn body(&mut self, policy: &Policy, headers: &HeaderMap, body: &[u8]) {
        if !body.is_empty() {
            let content_type = headers.get(header::CONTENT_TYPE);
            let normalised = policy.ignored.body(content_type, body);
            match multipart::parts(content_type, &normalised) {
                // Its boundary is another one each time.
                Some(parts) => {
                    let mut digest = blake3::Hasher::new();
                    for part in parts {
                        digest.update(&(part.len() as u64).to_be_bytes()).update(part);
                    }
                    self.field(tag::MULTIPART, digest.finalize().as_bytes());
                }
                None => self.field(tag::BODY, blake3::hash(&normalised).as_bytes()),
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
            let value = vary::normalised(headers, name);
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

    fn credentials(&mut self, policy: &Policy, uri: &Uri, headers: &HeaderMap, cookie: Cookie) {
        if let Some(userinfo) = userinfo(uri) {
            self.header(tag::CREDENTIAL, ":userinfo", userinfo.as_bytes());
        }
        let counts = |name: &HeaderName| cookie == Cookie::Counts || name != header::COOKIE;
        let mut names: Vec<&HeaderName> = credentials(policy, headers).filter(|name| counts(name)).collect();
        names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        for name in names {
            if let Some(value) = vary::normalised(headers, name) {
                self.header(tag::CREDENTIAL, name.as_str(), &value);
            }
        }
    }

    /// The credentials in query and body, where these are not part of the identity themselves.
    fn secret_parameters(&mut self, policy: &Policy, uri: &Uri, headers: &HeaderMap, body: &[u8]) {
        let query = policy.ignored.query(uri.query().unwrap_or_default());
        self.secrets(":query", policy.redactor.secrets_of_query(&query));
        let content_type = headers.get(header::CONTENT_TYPE);
        let body = policy.ignored.body(content_type, body);
        self.secrets(":body", policy.redactor.secrets_of_body(content_type, &body));
    }

    /// The way that the request goes, where it is not the usual one.
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

/// A header that tells on whose behalf a request is made: one of the listed names, one that the user added, or one that the user wants hidden
/// but not ignored.
pub(crate) fn is_credential(policy: &Policy, name: &HeaderName) -> bool {
    if NEVER_CREDENTIALS.contains(name) {
        return false;
    }
    let name = name.as_str();
    holds_key(name)
        || tells_who(name)
        || policy.principals.matches(name)
        || (policy.redactor.matches(name) && !policy.ignored.matches(name))
}

/// What almost every request has, to be done with it soon.
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

/// DPoP (RFC 9449) proves that a token is the sender's own, anew for each request; beside the token it tells nobody apart.
const PROOF: HeaderName = HeaderName::from_static("dpop");

/// The headers that tell on whose behalf a request is made.
fn credentials<'a>(policy: &'a Policy, headers: &'a HeaderMap) -> impl Iterator<Item = &'a HeaderName> {
    let has_token = headers.contains_key(header::AUTHORIZATION);
    headers.keys().filter(move |name| is_credential(policy, name) && !(has_token && **name == PROOF))
}

/// Whether a request is made on nobody's behalf: nothing in its identity keeps its answer from others.
pub(crate) fn is_anonymous(policy: &Policy, request: &request::Parts, options: &RequestOptions) -> bool {
    let query = policy.ignored.query(request.uri.query().unwrap_or_default());
    options.partition.is_none()
        && userinfo(&request.uri).is_none()
        && !request.extensions.get().is_some_and(Transport::shows_client)
        && credentials(policy, &request.headers).next().is_none()
        && policy.redactor.secrets_of_query(&query).next().is_none()
}

fn is_routing(policy: &Policy, name: &HeaderName) -> bool {
    let name = name.as_str();
    ROUTING.contains(&name)
        || (name.starts_with(ROUTING_PREFIX) && (name != ROUTE || policy.scope == Scope::Private))
}

/// What `Forwarded` says besides the addresses that a request came through; `None`: nothing.
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

/// `scheme://host[:port]`, lower case, without userinfo and without the scheme's own port (RFC 9110 §4.2.3).
pub(crate) fn origin(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or("http");
    let mut origin = [scheme, "://", uri.host().unwrap_or("")].concat();
    origin.make_ascii_lowercase();
    match uri.port_u16() {
        None => {}
        Some(80) if scheme.eq_ignore_ascii_case("http") => {}
        Some(443) if scheme.eq_ignore_ascii_case("https") => {}
        Some(port) => origin.push_str(&format!(":{port}")),
    }
    origin
}

fn userinfo(uri: &Uri) -> Option<&str> {
    uri.authority()?.as_str().rsplit_once('@').map(|(userinfo, _)| userinfo)
}

fn normalised_query<'a>(policy: &Policy, query: &'a str) -> Cow<'a, str> {
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
mod tests {
    use super::*;
    use http::Request;

    fn key(policy: &Policy, request: Request<&str>) -> Key {
        let (parts, body) = request.into_parts();
        let digest = |identity: &[u8]| *blake3::hash(identity).as_bytes();
        request_key(
            policy,
            &digest,
            &parts.method,
            &Target::of(&parts).unwrap(),
            &parts,
            body.as_bytes(),
            &RequestOptions::new(),
            Cookie::Counts,
        )
    }

    fn get(uri: &str) -> Request<&'static str> {
        Request::get(uri).body("").unwrap()
    }

    fn with(uri: &str, name: &str, value: &str) -> Request<&'static str> {
        Request::get(uri).header(name, value).body("").unwrap()
    }

    #[test]
    fn equivalent_urls_share_a_key() {
        let policy = Policy::rfc9111();
        let expected = key(&policy, get("http://example.com/a?b"));
        for same in ["http://EXAMPLE.com/a?b", "HTTP://example.com:80/a?b", "http://example.com:80/a?b"] {
            assert_eq!(key(&policy, get(same)), expected, "{same}");
        }
    }

    #[test]
    fn p26_different_requests_never_share_a_key() {
        let policy = Policy::rfc9111().methods([Method::GET, Method::POST]);
        let post = |uri: &str, body: &'static str| Request::post(uri).body(body).unwrap();
        let requests = vec![
            get("http://example.com/"),
            get("https://example.com/"),
            get("http://example.com:8080/"),
            get("http://example.com/?"),
            get("http://example.com/?a"),
            get("http://example.com/?a="),
            get("http://example.com/?a=1&b=2"),
            get("http://example.com/?b=2&a=1"),
            get("http://example.com/a"),
            post("http://example.com/?a=1", "&b=2"),
            post("http://example.com/?a=1&b=2", ""),
            post("http://example.com/", "[1,2]"),
            post("http://example.com/", "[2,1]"),
            with("http://example.com/", "authorization", "Bearer 1"),
            with("http://example.com/", "authorization", "Bearer 2"),
            with("http://example.com/", "cookie", "Bearer 1"),
            with("http://example.com/", "x-api-key", "1"),
            get("http://user:pass@example.com/"),
            with("http://example.com/", "x-forwarded-host", "evil.example"),
            with("http://example.com/", "x-original-url", "/admin"),
        ];
        let keys: std::collections::HashSet<Key> =
            requests.iter().map(|request| key(&policy, request.clone())).collect();
        assert_eq!(keys.len(), requests.len());
    }

    #[test]
    fn an_ignored_parameter_tells_with_from_without_and_nothing_more() {
        let policy = Policy::rfc9111().ignored_parameters(["Nonce"]);
        assert_eq!(key(&policy, get("http://h/?nonce=1")), key(&policy, get("http://h/?nonce=2")));
        assert_ne!(key(&policy, get("http://h/?nonce=1")), key(&policy, get("http://h/")));
    }

    #[test]
    fn ignoring_a_credential_header_does_not_merge_its_users() {
        let policy = Policy::rfc9111().ignored_parameters(["Authorization"]);
        let of = |value| key(&policy, with("http://h/", "authorization", value));
        assert_ne!(of("a"), of("b"));
        let shared = policy.clone().danger_share_across_credentials();
        assert_eq!(
            key(&shared, with("http://h/", "authorization", "a")),
            key(&shared, with("http://h/", "authorization", "b"))
        );
    }

    #[test]
    fn ignoring_a_credential_parameter_does_not_merge_its_users() {
        let policy = Policy::rfc9111().methods([Method::POST]).ignored_parameters(["api_key", "password"]);
        let query = |value: &str| get(&format!("http://h/?api_key={value}"));
        assert_ne!(key(&policy, query("a")), key(&policy, query("b")));
        let form = |body: &'static str| {
            Request::post("http://h/")
                .header("content-type", "application/x-www-form-urlencoded")
                .body(body)
                .unwrap()
        };
        assert_ne!(key(&policy, form("password=a")), key(&policy, form("password=b")));
        let shared = policy.danger_share_across_credentials();
        assert_eq!(key(&shared, query("a")), key(&shared, query("b")));
        assert_eq!(key(&shared, form("password=a")), key(&shared, form("password=b")));
    }

    #[test]
    fn the_boundary_of_a_form_of_several_parts_tells_nothing() {
        let policy = Policy::rfc9111().methods([Method::POST]);
        let form = |boundary: &str, content: &str| {
            let part = format!("content-disposition: form-data; name=\"a\"\r\n\r\n{content}");
            let body = format!("--{boundary}\r\n{part}\r\n--{boundary}\r\n{part}\r\n--{boundary}--\r\n");
            let content_type = format!("multipart/form-data; boundary={boundary}");
            let request = Request::post("http://h/").header("content-type", content_type);
            let (head, ()) = request.body(()).unwrap().into_parts();
            let (digest, options) = (|bytes: &[u8]| *blake3::hash(bytes).as_bytes(), RequestOptions::new());
            request_key(
                &policy,
                &digest,
                &Method::POST,
                &Target::of(&head).unwrap(),
                &head,
                body.as_bytes(),
                &options,
                Cookie::Counts,
            )
        };
        assert_eq!(form("a1b2", "text"), form("c3d4e5", "text"));
        assert_ne!(form("a1b2", "text"), form("a1b2", "txet"));
        assert_ne!(form("a1b2", "text"), form("a1b2", "text\r\n--c3d4e5\r\ntext"));
    }

    #[test]
    fn a_header_that_is_redacted_but_not_ignored_tells_requests_apart() {
        let policy = Policy::rfc9111().redact(["X-Session"]);
        let of = |value| key(&policy, with("http://h/", "x-session", value));
        assert_ne!(of("a"), of("b"));
    }

    #[test]
    fn headers_tell_requests_apart_where_the_user_says_so_but_for_those_of_the_connection() {
        let of = |policy: &Policy, name, value| key(policy, with("http://h/", name, value));
        let all = Policy::rfc9111().match_headers(MatchHeaders::All);
        assert_ne!(of(&all, "accept", "a"), of(&all, "accept", "b"));
        assert_eq!(of(&all, "connection", "a"), of(&all, "connection", "b"));
        let ignored = all.ignored_parameters(["Accept"]);
        assert_eq!(of(&ignored, "accept", "a"), of(&ignored, "accept", "b"));
        assert_ne!(of(&ignored, "accept", "a"), key(&ignored, get("http://h/")));
    }

    #[test]
    fn sorted_queries_share_a_key_where_the_user_says_so() {
        let policy = Policy::rfc9111().query_order(QueryOrder::Sorted);
        assert_eq!(key(&policy, get("http://h/?a=1&b=2")), key(&policy, get("http://h/?b=2&a=1")));
    }

    #[test]
    fn a_callers_own_key_replaces_the_url_but_not_the_partition() {
        let policy = Policy::rfc9111().key_fn(|parts, _| parts.uri.path().to_owned());
        assert_eq!(key(&policy, get("http://a/x")), key(&policy, get("http://b/x")));
        assert_ne!(key(&policy, get("http://a/x")), key(&policy, with("http://a/x", "cookie", "s=1")));
        assert_ne!(key(&policy, get("http://a/x?api_key=1")), key(&policy, get("http://a/x?api_key=2")));
        assert_eq!(key(&policy, get("http://a/x?page=1")), key(&policy, get("http://a/x?page=2")));
        let json =
            |body| Request::post("http://a/x").header("content-type", "application/json").body(body).unwrap();
        assert_ne!(key(&policy, json(r#"[{"token":"1"}]"#)), key(&policy, json(r#"[{"token":"2"}]"#)));
        assert_eq!(key(&policy, json(r#"[{"page":"1"}]"#)), key(&policy, json(r#"[{"page":"2"}]"#)));
    }

    #[test]
    fn between_users_the_addresses_of_clients_do_not_tell_requests_apart() {
        let of = |policy: &Policy, value| key(policy, with("http://h/", "x-forwarded-for", value));
        let (private, shared) = (Policy::rfc9111(), Policy::rfc9111().shared());
        assert_ne!(of(&private, "127.0.0.1"), of(&private, "192.0.2.1"));
        assert_eq!(of(&shared, "127.0.0.1"), of(&shared, "192.0.2.1"));
        let of = |value| key(&shared, with("http://h/", "forwarded", value));
        assert_eq!(
            of("for=192.0.2.1;proto=https;host=a"),
            of("For=\"[2001:db8::1]\";proto=https;host=a, by=_x")
        );
        assert_eq!(of("for=192.0.2.1"), key(&shared, get("http://h/")));
        for other in ["for=192.0.2.1;proto=http;host=a", "proto=https;host=b", "for=\"x;proto=https;host=a\""]
        {
            assert_ne!(of("proto=https;host=a"), of(other), "{other}");
        }
    }
}
