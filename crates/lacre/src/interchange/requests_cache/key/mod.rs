//! The cache keys of requests-cache 1.3.
//!
//! These keys are not safe: their parts are not delimited, so different requests can have the same
//! key. lacre's own store never uses them.

mod body;
mod query;
mod url;

pub use self::url::normalize_url;

use super::response::Request;
use blake2b_simd::Params;
use lacre_core::MatchHeaders;
use std::borrow::Cow;

/// The settings of a requests-cache session that its keys depend on. The defaults are those of
/// requests-cache, except for [`ignored_parameters`](Self::ignored_parameters).
#[derive(Clone, Debug)]
pub struct KeySettings {
    /// Names whose values count as `REDACTED`. requests-cache's default is [`IGNORED_PARAMETERS`];
    /// here it is empty.
    pub ignored_parameters: Vec<String>,
    /// The member of a JSON body in which names are ignored, instead of the root.
    pub content_root_key: Option<String>,
    /// Headers that are part of the key.
    pub match_headers: MatchHeaders,
    /// Whether the server's certificate is verified.
    pub verification: Verification,
    /// The serializer's `str()`.
    pub serializer: String,
}

/// The names that requests-cache ignores by default.
pub const IGNORED_PARAMETERS: [&str; 9] = [
    "Authorization",
    "Proxy-Authorization",
    "X-API-Key",
    "X-Auth-Token",
    "X-API-Token",
    "X-Access-Token",
    "access_token",
    "api_key",
    "apikey",
];

/// Whether the server's certificate is verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verification {
    /// It is verified.
    #[default]
    On,
    /// It is not verified: `verify=False`.
    Off,
}

impl Default for KeySettings {
    fn default() -> Self {
        Self {
            ignored_parameters: Vec::new(),
            content_root_key: None,
            match_headers: MatchHeaders::None,
            verification: Verification::On,
            serializer: "SerializerPipeline(name=pickle, n_stages=2)".to_owned(),
        }
    }
}

/// The key of a request: 16 hexadecimal digits.
#[must_use]
pub fn cache_key(request: &Request, settings: &KeySettings) -> String {
    let mut digest = Params::new().hash_length(8).to_state();
    let ignored = &settings.ignored_parameters;
    digest.update(request.method.to_uppercase().as_bytes());
    digest.update(normalize_url(&request.url, ignored).as_bytes());
    digest.update(&body::normalized(request, ignored, settings.content_root_key.as_deref()));
    if settings.verification == Verification::On {
        digest.update(b"True");
    }
    for (name, value) in matched_headers(request, settings) {
        digest.update(format!("{name}={value}").as_bytes());
    }
    digest.update(settings.serializer.as_bytes());
    digest.finalize().to_hex().to_string()
}

/// The matched headers by lower-case name, sorted.
fn matched_headers<'a>(request: &'a Request, settings: &KeySettings) -> Vec<(String, Cow<'a, str>)> {
    let counts = |name: &str| match &settings.match_headers {
        MatchHeaders::None => false,
        MatchHeaders::All => true,
        MatchHeaders::Only(names) => names.iter().any(|wanted| name.eq_ignore_ascii_case(wanted.as_str())),
    };
    let headers = request.headers.iter().filter(|(name, _)| counts(name));
    let mut matched: Vec<_> = headers
        .map(|(name, value)| {
            let is_ignored = settings.ignored_parameters.contains(name);
            (name.to_lowercase(), if is_ignored { REDACTED.into() } else { normalized_header(value) })
        })
        .collect();
    matched.sort();
    matched
}

const REDACTED: &str = "REDACTED";

/// The members of a list in lower case, sorted.
fn normalized_header(value: &str) -> Cow<'_, str> {
    if !value.contains(',') {
        return value.into();
    }
    let lower = value.to_lowercase();
    let mut members: Vec<&str> =
        lower.split(',').map(str::trim).filter(|member| !member.is_empty()).collect();
    members.sort_unstable();
    members.join(", ").into()
}
