//! The names under which secrets usually travel.

/// What a name is when names are compared: without case, `-` and `_`.
pub(super) fn folded(name: &[u8]) -> impl DoubleEndedIterator<Item = u8> {
    name.iter().filter(|byte| !b"-_".contains(byte)).map(u8::to_ascii_lowercase)
}

/// Whether values under `name`, of a header or a parameter, are usually secret.
pub(super) fn is_usual(name: &[u8]) -> bool {
    let end = Tail::of(name);
    USUAL.binary_search_by(|usual| usual.as_bytes().cmp(end.bytes())).is_ok()
        || (end.is_among(&ENDINGS) && !end.is_among(&HARMLESS))
}

/// Whether a header of this name usually holds a secret. More names of headers than of parameters do: `X-Functions-Key` is a key of an API,
/// `?sort_key=` is none.
pub(crate) fn names_secret_header(name: &str) -> bool {
    let end = Tail::of(name.as_bytes());
    (end.is_among(&HEADER_ENDINGS) && !end.is_among(&HARMLESS_HEADERS)) || is_usual(name.as_bytes())
}

/// Whether a header of this name tells on whose behalf a request is made without being a secret: an identity that a proxy vouches for, a client
/// certificate that it passes on (RFC 9440), a tenant or an account. Anybody may read the value; whoever is meant by another one gets
/// another answer.
pub(crate) fn names_identity(name: &str) -> bool {
    let name = name.as_bytes();
    let begins = |prefix: &&str| folded(name).take(prefix.len()).eq(prefix.bytes());
    let end = Tail::of(name);
    (end.is_among(&IDENTITIES) && !end.is_among(&NO_IDENTITIES)) || IDENTITY_PREFIXES.iter().any(begins)
}

/// The end of a folded name.
struct Tail {
    room: [u8; TAIL_LEN],
    start: usize,
}

impl Tail {
    fn of(name: &[u8]) -> Self {
        let (mut room, mut start) = ([0; TAIL_LEN], TAIL_LEN);
        for (place, byte) in room.iter_mut().rev().zip(folded(name).rev()) {
            *place = byte;
            start -= 1;
        }
        Self { room, start }
    }

    fn bytes(&self) -> &[u8] {
        &self.room[self.start..]
    }

    fn is_among(&self, endings: &[&str]) -> bool {
        let (bytes, last) = (self.bytes(), self.room[TAIL_LEN - 1]);
        endings
            .iter()
            .any(|ending| ending.as_bytes().last() == Some(&last) && bytes.ends_with(ending.as_bytes()))
    }
}

/// More bytes than any of the names below has: of what is longer, the end decides.
pub(super) const TAIL_LEN: usize = 24;

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
pub(super) const USUAL: [&str; 23] = [
    "accesskeyid", "auth", "awsaccesskeyid", "bearer", "codeverifier", "dpop", "googleaccessid", "hmac", "jwt", "otp",
    "phpsessid", "pwd", "samlresponse", "session", "setcookie2", "sid", "sig", "xauth", "xauthkey", "xcsrf", "xhoneycombteam",
    "xjfrogartapi", "xwsse",
];

/// What the names of secrets end in, folded: `X-Gitlab-Token` and `dbPassword` are as secret as `token` and `password`.
#[rustfmt::skip]
pub(super) const ENDINGS: [&str; 21] = [
    "accesskey", "apikey", "appkey", "assertion", "authorization", "cookie", "credential", "credentials", "functionskey", "masterkey",
    "passphrase", "passwd", "password", "privatekey", "secret", "secretkey", "sessionid", "sessionkey", "signature",
    "subscriptionkey", "token",
];

/// What ends like a secret and is none: where the next page of a list begins, and whether a page of another origin may send cookies
/// (`Access-Control-Allow-Credentials`).
pub(super) const HARMLESS: [&str; 5] =
    ["allowcredentials", "continuationtoken", "nexttoken", "pagetoken", "synctoken"];

/// What the names of headers with secrets end in, besides [`ENDINGS`].
#[rustfmt::skip]
const HEADER_ENDINGS: [&str; 9] = [
    "auth", "bearer", "jwt", "key", "oidcdata", "otp", "passcode", "principal", "session",
];

/// Headers that end like those and hold no secret. Some are of one request only, and would keep every request apart.
#[rustfmt::skip]
const HARMLESS_HEADERS: [&str; 15] = [
    "cachekey", "correlationkey", "dedupkey", "deduplicationkey", "idempotencykey", "messagekey", "objectkey", "partitionkey",
    "primarykey", "requestkey", "routingkey", "surrogatekey", "tracekey", "websocketkey", "xkey",
];

/// What the names of headers with identities end in.
#[rustfmt::skip]
const IDENTITIES: [&str; 47] = [
    "account", "accountid", "accountname", "appid", "applicationid", "clientcert", "clientcertchain", "clientcertificate", "clientdn",
    "clientid", "companyid", "consumerid", "consumerusername", "credentialidentifier", "customerid", "deviceid", "email", "groups",
    "identity", "login", "memberid", "merchantid", "org", "organisation", "organisationid", "organization", "organizationid", "orgid",
    "principalid", "principalname", "project", "projectid", "remotegroup", "remotename", "roles", "subject", "team", "teamid", "tenant", "tenantid",
    "tenantname", "user", "userid", "userinfo", "username", "workspace", "workspaceid",
];

/// Headers that end like those and tell of nobody.
const NO_IDENTITIES: [&str; 1] = ["secfetchuser"];

/// What the names of headers with identities begin with.
#[rustfmt::skip]
const IDENTITY_PREFIXES: [&str; 18] = [
    "cfaccess", "impersonate", "sslclient", "stripecontext", "tailscaleuser", "xamznmtls", "xamznoidc", "xappengineuser", "xauthentik",
    "xauthrequest", "xclientcert", "xgoogauthenticated", "xmsclientprincipal", "xpomerium", "xremoteextra", "xsslclient",
    "xtlsclient", "xvaultnamespace",
];

/// The lists that are only for headers.
#[cfg(test)]
pub(super) const HEADER_LISTS: [&[&str]; 4] =
    [&HEADER_ENDINGS, &HARMLESS_HEADERS, &IDENTITIES, &IDENTITY_PREFIXES];
