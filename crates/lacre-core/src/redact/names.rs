//! The names under which secrets usually travel.

/// What a name is when names are compared: without case, `-` and `_`.
pub(super) fn folded(name: &[u8]) -> impl DoubleEndedIterator<Item = u8> {
    name.iter().filter(|byte| !b"-_".contains(byte)).map(u8::to_ascii_lowercase)
}

/// Whether values under `name` are usually secret.
pub(super) fn is_usual(name: &[u8]) -> bool {
    let (mut end, mut start) = ([0; LONGER], LONGER);
    for (place, byte) in end.iter_mut().rev().zip(folded(name).rev()) {
        *place = byte;
        start -= 1;
    }
    let end = &end[start..];
    USUAL.binary_search_by(|usual| usual.as_bytes().cmp(end)).is_ok()
        || (ENDINGS.iter().any(|ending| end.ends_with(ending.as_bytes()))
            && !HARMLESS.iter().any(|ending| end.ends_with(ending.as_bytes())))
}

/// More bytes than any of the names below has: of what is longer, the end decides.
pub(super) const LONGER: usize = 24;

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

/// What ends like a secret and is none: where the next page of a list begins, and whether a page of another origin may send cookies
/// (`Access-Control-Allow-Credentials`).
pub(super) const HARMLESS: [&str; 5] =
    ["allowcredentials", "continuationtoken", "nexttoken", "pagetoken", "synctoken"];
