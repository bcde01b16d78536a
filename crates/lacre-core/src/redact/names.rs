//! The usual names of secrets and identities.

/// Folds a name for comparison: lower case, without `-` and `_`.
pub(super) fn folded(name: &[u8]) -> impl DoubleEndedIterator<Item = u8> {
    name.iter().filter(|byte| !b"-_".contains(byte)).map(u8::to_ascii_lowercase)
}

/// Whether values under `name`, in a header or a parameter, are usually secret.
pub(super) fn is_usual(name: &[u8]) -> bool {
    let end = Tail::of(name);
    USUAL.binary_search_by(|usual| usual.as_bytes().cmp(end.bytes())).is_ok()
        || (end.is_among(&ENDINGS) && !end.is_among(&HARMLESS))
}

/// Whether a header with this name usually contains a secret. More names are secret in headers than
/// in parameters: `X-Functions-Key` is an API key, `?sort_key=` is not.
pub(crate) fn names_secret_header(name: &str) -> bool {
    let end = Tail::of(name.as_bytes());
    (end.is_among(&HEADER_ENDINGS) && !end.is_among(&HARMLESS_HEADERS)) || is_usual(name.as_bytes())
}

/// Whether a header with this name identifies the requester without being secret: an identity that
/// a proxy asserts, a client certificate that it forwards (RFC 9440), a tenant or an account.
/// Requesters with other values get other answers.
pub(crate) fn names_identity(name: &str) -> bool {
    let name = name.as_bytes();
    let begins = |prefix: &&str| folded(name).take(prefix.len()).eq(prefix.bytes());
    let end = Tail::of(name);
    (end.is_among(&IDENTITIES) && !end.is_among(&NO_IDENTITIES)) || IDENTITY_PREFIXES.iter().any(begins)
}

/// The end of a folded name.
struct Tail {
    buffer: [u8; TAIL_LEN],
    start: usize,
}

impl Tail {
    fn of(name: &[u8]) -> Self {
        let (mut buffer, mut start) = ([0; TAIL_LEN], TAIL_LEN);
        for (slot, byte) in buffer.iter_mut().rev().zip(folded(name).rev()) {
            *slot = byte;
            start -= 1;
        }
        Self { buffer, start }
    }

    fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    fn is_among(&self, endings: &[&str]) -> bool {
        let (bytes, last) = (self.bytes(), self.buffer[TAIL_LEN - 1]);
        endings
            .iter()
            .any(|ending| ending.as_bytes().last() == Some(&last) && bytes.ends_with(ending.as_bytes()))
    }
}

/// A length that exceeds every name below. The end of a longer name decides.
pub(super) const TAIL_LEN: usize = 24;

/// Complete names, folded, ascending. Together with [`ENDINGS`] they cover:
///
/// - credentials and cookies of HTTP: `Authorization`, `Proxy-Authorization`, `Cookie`,
///   `Set-Cookie`;
/// - API keys in headers and parameters, also under the names of large services;
/// - OAuth, OpenID Connect and SAML: tokens, assertions, client secrets, code verifiers;
/// - passwords, one-time codes and private keys in forms and JSON;
/// - sessions and their CSRF tokens;
/// - signed URLs of object stores: the signature grants access.
///
/// Words that are usually harmless (`key`, `code`, `state`, `pin`) are not listed. The user can add
/// them.
#[rustfmt::skip]
pub(super) const USUAL: [&str; 23] = [
    "accesskeyid", "auth", "awsaccesskeyid", "bearer", "codeverifier", "dpop", "googleaccessid", "hmac", "jwt", "otp",
    "phpsessid", "pwd", "samlresponse", "session", "setcookie2", "sid", "sig", "xauth", "xauthkey", "xcsrf", "xhoneycombteam",
    "xjfrogartapi", "xwsse",
];

/// Endings of secret names, folded: `X-Gitlab-Token` and `dbPassword` are as secret as `token` and
/// `password`.
#[rustfmt::skip]
pub(super) const ENDINGS: [&str; 21] = [
    "accesskey", "apikey", "appkey", "assertion", "authorization", "cookie", "credential", "credentials", "functionskey", "masterkey",
    "passphrase", "passwd", "password", "privatekey", "secret", "secretkey", "sessionid", "sessionkey", "signature",
    "subscriptionkey", "token",
];

/// Harmless names with such an ending: page tokens of lists, and
/// `Access-Control-Allow-Credentials`.
pub(super) const HARMLESS: [&str; 5] =
    ["allowcredentials", "continuationtoken", "nexttoken", "pagetoken", "synctoken"];

/// Endings of secret header names, besides [`ENDINGS`].
#[rustfmt::skip]
const HEADER_ENDINGS: [&str; 9] = [
    "auth", "bearer", "jwt", "key", "oidcdata", "otp", "passcode", "principal", "session",
];

/// Harmless header names with such an ending. Some have a new value in each request and would
/// separate all requests.
#[rustfmt::skip]
const HARMLESS_HEADERS: [&str; 15] = [
    "cachekey", "correlationkey", "dedupkey", "deduplicationkey", "idempotencykey", "messagekey", "objectkey", "partitionkey",
    "primarykey", "requestkey", "routingkey", "surrogatekey", "tracekey", "websocketkey", "xkey",
];

/// Endings of header names with identities.
#[rustfmt::skip]
const IDENTITIES: [&str; 47] = [
    "account", "accountid", "accountname", "appid", "applicationid", "clientcert", "clientcertchain", "clientcertificate", "clientdn",
    "clientid", "companyid", "consumerid", "consumerusername", "credentialidentifier", "customerid", "deviceid", "email", "groups",
    "identity", "login", "memberid", "merchantid", "org", "organisation", "organisationid", "organization", "organizationid", "orgid",
    "principalid", "principalname", "project", "projectid", "remotegroup", "remotename", "roles", "subject", "team", "teamid", "tenant", "tenantid",
    "tenantname", "user", "userid", "userinfo", "username", "workspace", "workspaceid",
];

/// Header names with such an ending that identify no one.
const NO_IDENTITIES: [&str; 1] = ["secfetchuser"];

/// Prefixes of header names with identities.
#[rustfmt::skip]
const IDENTITY_PREFIXES: [&str; 18] = [
    "cfaccess", "impersonate", "sslclient", "stripecontext", "tailscaleuser", "xamznmtls", "xamznoidc", "xappengineuser", "xauthentik",
    "xauthrequest", "xclientcert", "xgoogauthenticated", "xmsclientprincipal", "xpomerium", "xremoteextra", "xsslclient",
    "xtlsclient", "xvaultnamespace",
];

/// The lists for headers only.
#[cfg(test)]
pub(super) const HEADER_LISTS: [&[&str]; 4] =
    [&HEADER_ENDINGS, &HARMLESS_HEADERS, &IDENTITIES, &IDENTITY_PREFIXES];
