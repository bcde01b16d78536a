//! The directives of the origin that apply to this cache: `CDN-Cache-Control` or `Cache-Control`
//! and `Expires`, or none of them if the user's policy ignores the origin.

use crate::policy::{OriginHeaders, Policy, Scope};
use crate::{ResponseDirectives, targeted};
use http::HeaderMap;

/// The directives of a response, as far as the policy takes them into account.
pub(crate) struct OriginDirectives {
    pub(crate) directives: ResponseDirectives,
    pub(crate) expires: Expires,
}

/// Whether `Expires` counts.
#[derive(PartialEq, Eq)]
pub(crate) enum Expires {
    Used,
    /// The response has directives for caches like this one, which replace `Expires`
    /// (RFC 9213 §2.2).
    Overridden,
}

impl OriginDirectives {
    /// Reads the headers of a response. A shared cache prefers `CDN-Cache-Control` (RFC 9213 §2.2).
    pub(crate) fn of(policy: &Policy, headers: &HeaderMap) -> Self {
        let targeted = match (policy.origin_headers, policy.scope) {
            (OriginHeaders::Ignored, _) => Some(ResponseDirectives::default()),
            (OriginHeaders::Obeyed | OriginHeaders::First, Scope::Shared) => targeted::parse(headers),
            (OriginHeaders::Obeyed | OriginHeaders::First, Scope::Private) => None,
        };
        match targeted {
            Some(directives) => Self { directives, expires: Expires::Overridden },
            None => Self { directives: ResponseDirectives::parse(headers), expires: Expires::Used },
        }
    }
}
