//! The names under which secrets usually travel.

/// What a name is when names are compared: without case, `-` and `_`.
pub(super) fn folded(name: &[u8]) -> impl DoubleEndedIterator<Item = u8> {
    name.iter().filter(|byte| !b"-_".contains(byte)).map(u8::to_ascii_lowercase)
}

/// Whether values under `name` are usually secret.
pub(super) fn is_usual(name: &[u8]) -> bool {
    USUAL.binary_search_by(|usual| usual.bytes().cmp(folded(name))).is_ok()
        || (ENDINGS.iter().any(|ending| ends_with(name, ending))
            && !HARMLESS.iter().any(|ending| ends_with(name, ending)))
}

fn ends_with(name: &[u8], ending: &str) -> bool {
    ending.bytes().rev().eq(folded(name).rev().take(ending.len()))
}

/// Whole names, folded, in ascending order. Together with [`ENDINGS`] they are, by kind:
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
pub(super) const USUAL: [&str; 21] = [
    "accesskeyid", "assertion", "auth", "awsaccesskeyid", "bearer", "clientassertion", "codeverifier",
    "googleaccessid", "hmac", "jwt", "otp", "phpsessid", "pwd", "samlresponse", "session", "setcookie2",
    "sid", "sig", "xauth", "xauthkey", "xcsrf",
];

/// What the names of secrets end in, folded: `X-Gitlab-Token` and `dbPassword` are as secret as `token` and `password`.
#[rustfmt::skip]
pub(super) const ENDINGS: [&str; 18] = [
    "accesskey", "apikey", "appkey", "authorization", "cookie", "credential", "credentials", "passphrase", "passwd",
    "password", "privatekey", "secret", "secretkey", "sessionid", "sessionkey", "signature", "subscriptionkey", "token",
];

/// What ends like a secret and is none: where the next page of a list begins.
const HARMLESS: [&str; 4] = ["continuationtoken", "nexttoken", "pagetoken", "synctoken"];
