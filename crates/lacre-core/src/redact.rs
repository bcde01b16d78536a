//! Taking secrets out of requests and responses by the names they go under.
//!
//! What is redacted is for people, or stands for "any value" where the user wants one ignored; it must never tell
//! requests apart. All that is not secret stays byte for byte. The work is linear in the input, without recursion.

mod json;
mod multipart;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode;
use std::borrow::Cow;
use std::ops::Range;

/// What stands in place of a redacted value.
pub(crate) const REDACTED: &str = "REDACTED";

/// A set of names whose values are secret.
///
/// Names compare without regard to case, `-` and `_`: `X-API-Key`, `x_api_key` and `xApiKey` are one. In a name with
/// brackets or dots, such as `user[password]`, each part counts.
#[derive(Clone, Debug)]
pub struct Redactor {
    usual: &'static [&'static str],
    added: Vec<Vec<u8>>,
}

impl Default for Redactor {
    /// The usual names of secrets.
    fn default() -> Self {
        Self { usual: &USUAL, added: Vec::new() }
    }
}

impl Redactor {
    /// No name at all.
    pub fn none() -> Self {
        Self { usual: &[], added: Vec::new() }
    }

    /// Adds a name.
    pub fn add(&mut self, name: &str) {
        self.added.push(folded(name.as_bytes()).collect());
    }

    /// Whether values under `name` are secret.
    pub fn matches(&self, name: &str) -> bool {
        self.is_secret(name.as_bytes())
    }

    /// Whether `name` is one of the usual names, not one that was added: its value says who asks.
    pub fn is_credential(&self, name: &str) -> bool {
        self.is_usual(name.as_bytes())
    }

    /// A URL without userinfo and without the secrets in its query and fragment.
    pub fn url(&self, url: &str) -> String {
        text(&replace(url.as_bytes(), &self.in_url(url.as_bytes()), REDACTED))
    }

    /// A query, without its `?`, without the secrets in it.
    pub fn query<'a>(&self, query: &'a str) -> Cow<'a, str> {
        match replace(query.as_bytes(), &self.in_parameters(query.as_bytes(), b"&"), REDACTED) {
            Cow::Borrowed(_) => Cow::Borrowed(query),
            redacted => Cow::Owned(text(&redacted)),
        }
    }

    /// Headers without secrets: in values, in cookies, in the URLs of `Location`, `Content-Location`, `Referer` and
    /// `Link`. Names and the order of repeated fields stay.
    pub fn headers(&self, headers: &HeaderMap) -> HeaderMap {
        headers.iter().map(|(name, value)| (name.clone(), self.header(name, value))).collect()
    }

    /// A body without secrets: a form, JSON at any depth, or multipart, as `content_type` says; any other is unchanged.
    pub fn body<'a>(&self, content_type: Option<&HeaderValue>, body: &'a [u8]) -> Cow<'a, [u8]> {
        let Some(content_type) = content_type.and_then(|value| value.to_str().ok()) else {
            return Cow::Borrowed(body);
        };
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let is_secret = |name: &[u8]| self.is_secret(name);
        match essence.as_str() {
            "application/x-www-form-urlencoded" => replace(body, &self.in_parameters(body, b"&"), REDACTED),
            "multipart/form-data" => {
                replace(body, &multipart::secrets(content_type, body, is_secret), REDACTED)
            }
            essence if essence.ends_with("json") => {
                replace(body, &json::secrets(body, is_secret), "\"REDACTED\"")
            }
            _ => Cow::Borrowed(body),
        }
    }

    fn header(&self, name: &HeaderName, value: &HeaderValue) -> HeaderValue {
        let bytes = value.as_bytes();
        let secrets = match *name {
            header::COOKIE => self.in_cookies(name, bytes, usize::MAX),
            // What follows the first pair are attributes.
            header::SET_COOKIE => self.in_cookies(name, bytes, 1),
            _ if self.matches(name.as_str()) => return HeaderValue::from_static(REDACTED),
            header::LOCATION | header::CONTENT_LOCATION | header::REFERER => self.in_url(bytes),
            header::LINK => self.in_links(bytes),
            _ => Vec::new(),
        };
        HeaderValue::from_bytes(&replace(bytes, &secrets, REDACTED))
            .unwrap_or_else(|_| HeaderValue::from_static(REDACTED))
    }

    fn in_url(&self, url: &[u8]) -> Vec<Range<usize>> {
        let base = position(url, 0, b"?#");
        let mut secrets: Vec<_> = userinfo(&url[..base]).into_iter().collect();
        // A fragment may hold parameters, and so may a URL that is the value of one.
        secrets.extend(shifted(self.in_parameters(&url[base..], b"?#&"), base));
        secrets
    }

    fn in_links(&self, links: &[u8]) -> Vec<Range<usize>> {
        let mut secrets = Vec::new();
        let mut at = position(links, 0, b"<");
        while at < links.len() {
            let end = position(links, at, b">");
            secrets.extend(shifted(self.in_url(&links[at..end]), at));
            at = position(links, end, b"<");
        }
        secrets
    }

    /// `name=value` pairs between `separators`; names may be percent-encoded.
    fn in_parameters(&self, text: &[u8], separators: &[u8]) -> Vec<Range<usize>> {
        pieces(text, separators)
            .filter_map(|piece| {
                let equals = position(&text[..piece.end], piece.start, b"=");
                let name = Cow::from(percent_decode(&text[piece.start..equals]));
                (equals < piece.end && self.is_secret(&name)).then_some(equals + 1..piece.end)
            })
            .collect()
    }

    /// The values of the first `count` cookies: all where the header itself is secret, else those of secret names.
    fn in_cookies(&self, header: &HeaderName, text: &[u8], count: usize) -> Vec<Range<usize>> {
        let all = self.matches(header.as_str());
        pieces(text, b";")
            .take(count)
            .filter_map(|piece| {
                let equals = position(&text[..piece.end], piece.start, b"=");
                let name = text[piece.start..equals].trim_ascii();
                // Without a name, the whole is the value.
                let value = if equals == piece.end { piece.start } else { equals + 1 };
                (all || self.is_secret(name)).then_some(value..piece.end)
            })
            .collect()
    }

    fn is_secret(&self, name: &[u8]) -> bool {
        let known = |part: &[u8]| {
            self.is_usual(part) || self.added.iter().any(|added| folded(part).eq(added.iter().copied()))
        };
        known(name) || name.split(|byte| b"[].".contains(byte)).any(|part| !part.is_empty() && known(part))
    }

    fn is_usual(&self, name: &[u8]) -> bool {
        self.usual.binary_search_by(|usual| usual.bytes().cmp(folded(name))).is_ok()
    }
}

/// The usual names of secrets, folded, in ascending order. They are, by kind:
///
/// - what HTTP itself carries credentials in, and cookies: `Authorization`, `Proxy-Authorization`, `Cookie`, `Set-Cookie`;
/// - keys of APIs, as headers and as parameters, and the same under the names that large services use;
/// - what OAuth, OpenID Connect and SAML hand over: tokens, assertions, client secrets, code verifiers;
/// - passwords, one-time codes and private keys in forms and JSON;
/// - sessions and the tokens against request forgery that are bound to them;
/// - signed URLs of object stores: whoever has the signature has the object.
///
/// Words that are more often harmless (`key`, `code`, `state`, `pin`) are left to the user to add.
#[rustfmt::skip]
const USUAL: [&str; 74] = [
    "accesskey", "accesskeyid", "accesstoken", "apikey", "apisecret", "apitoken", "appsecret", "assertion", "auth",
    "authorization", "authtoken", "awsaccesskeyid", "bearer", "bearertoken", "cfaccessclientsecret",
    "clientassertion", "clientsecret", "codeverifier", "cookie", "credential", "credentials", "csrftoken",
    "deploytoken", "googleaccessid", "hmac", "idtoken", "jobtoken", "jsessionid", "jwt", "oauthsignature",
    "oauthtoken", "oauthtokensecret", "ocpapimsubscriptionkey", "otp", "passphrase", "passwd", "password",
    "phpsessid", "privatekey", "privatetoken", "proxyauthorization", "pwd", "refreshtoken", "samlresponse", "secret",
    "secretaccesskey", "secretkey", "securitytoken", "session", "sessionid", "sessiontoken", "setcookie", "sid",
    "sig", "signature", "subscriptionkey", "token", "usertoken", "xaccesstoken", "xamzcredential",
    "xamzsecuritytoken", "xamzsignature", "xapikey", "xapitoken", "xauth", "xauthkey", "xauthtoken", "xcsrftoken",
    "xgoogapikey", "xgoogcredential", "xgoogsignature", "xsrftoken", "xvaulttoken", "xxsrftoken",
];

/// `name` as names are compared.
fn folded(name: &[u8]) -> impl Iterator<Item = u8> {
    name.iter().filter(|byte| !b"-_".contains(byte)).map(u8::to_ascii_lowercase)
}

/// `text` with each of `secrets`, which ascend and do not overlap, replaced.
fn replace<'a>(text: &'a [u8], secrets: &[Range<usize>], with: &str) -> Cow<'a, [u8]> {
    if secrets.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut replaced = Vec::with_capacity(text.len());
    let mut at = 0;
    for secret in secrets {
        replaced.extend_from_slice(&text[at..secret.start]);
        replaced.extend_from_slice(with.as_bytes());
        at = secret.end;
    }
    replaced.extend_from_slice(&text[at..]);
    Cow::Owned(replaced)
}

/// Where the userinfo of a URL lies, given what comes before its query.
fn userinfo(base: &[u8]) -> Option<Range<usize>> {
    let start = base.windows(2).position(|pair| pair == b"//")? + 2;
    let authority = &base[start..position(base, start, b"/")];
    let at = authority.iter().rposition(|byte| *byte == b'@')?;
    Some(start..start + at)
}

/// Where the pieces of `text` between `separators` lie.
fn pieces(text: &[u8], separators: &[u8]) -> impl Iterator<Item = Range<usize>> {
    text.split(|byte| separators.contains(byte)).scan(0, |at, piece| {
        let start = *at;
        *at += piece.len() + 1;
        Some(start..start + piece.len())
    })
}

/// Where in `text`, from `start` on, the first of `bytes` is; its end where there is none.
fn position(text: &[u8], start: usize, bytes: &[u8]) -> usize {
    text[start..].iter().position(|byte| bytes.contains(byte)).map_or(text.len(), |found| start + found)
}

fn shifted(secrets: Vec<Range<usize>>, by: usize) -> impl Iterator<Item = Range<usize>> {
    secrets.into_iter().map(move |secret| secret.start + by..secret.end + by)
}

/// The text that is left when ASCII has replaced parts of a text.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests;
