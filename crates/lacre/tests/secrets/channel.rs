//! One way for a secret to get in, as `channels.json` says it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Request, Response, StatusCode};
use lacre::RequestOptions;
use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    channels: Vec<Channel>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Channel {
    pub(crate) id: String,
    #[serde(default, rename = "comment")]
    _comment: String,
    pub(crate) side: Side,
    /// Whether requests with another secret must not share the answer.
    #[serde(default = "yes")]
    pub(crate) apart: bool,
    #[serde(default = "plain_path")]
    path: String,
    #[serde(default)]
    userinfo: Option<String>,
    #[serde(default)]
    headers: Vec<(String, String)>,
    #[serde(default)]
    pub(crate) body: Option<String>,
    #[serde(default)]
    partition: Option<String>,
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    response_headers: Vec<(String, String)>,
    #[serde(default)]
    response_body: Option<String>,
    /// How many bytes come before an echo.
    #[serde(default)]
    pad: usize,
}

/// Where the secret is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Side {
    Request,
    ResponseHeaders,
    ResponseBody,
}

fn yes() -> bool {
    true
}

fn plain_path() -> String {
    "/a".to_owned()
}

fn ok() -> u16 {
    200
}

impl Channel {
    pub(crate) fn all() -> Vec<Self> {
        serde_json::from_str::<File>(include_str!("channels.json")).unwrap().channels
    }

    /// A secret of its own, by which the channel is known wherever it turns up.
    pub(crate) fn secret(&self) -> String {
        self.derived("alice")
    }

    pub(crate) fn another_secret(&self) -> String {
        self.derived("bob")
    }

    /// 36 letters and digits, so that it fits where tokens have that length.
    fn derived(&self, of: &str) -> String {
        const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let mut state = format!("{of} {}", self.id).bytes().fold(0xcbf2_9ce4_8422_2325_u64, step);
        let mut letter = || {
            state = step(state, 1);
            char::from(LETTERS[(state >> 33) as usize % LETTERS.len()])
        };
        let random: String = (0..35).map(|_| letter()).collect();
        format!("7{random}")
    }

    pub(crate) fn request(&self, secret: &str) -> Request<Vec<u8>> {
        let userinfo =
            self.userinfo.iter().map(|userinfo| format!("{}@", filled(userinfo, secret))).collect::<String>();
        let uri = format!("http://{userinfo}example.com{}", filled(&self.path, secret));
        let method = if self.body.is_some() { "POST" } else { "GET" };
        let body = self.body.as_ref().map(|body| filled(body, secret).into_bytes()).unwrap_or_default();
        // Channels must not share an answer even where nothing else that counts tells them apart.
        let mut request = Request::builder().method(method).uri(uri).header("x-channel", &self.id);
        for (name, value) in &self.headers {
            request = request.header(name, filled(value, secret));
        }
        let mut request = request.body(body).unwrap();
        if let Some(partition) = &self.partition {
            request.extensions_mut().insert(RequestOptions::new().partition(filled(partition, secret)));
        }
        request
    }

    /// What the origin answers: unless the channel says otherwise, all of the request, in several
    /// forms.
    pub(crate) fn response(&self, request: &Request<Vec<u8>>, secret: &str) -> Response<Vec<u8>> {
        let said = format!(
            "{} {} {:?} {}",
            request.method(),
            request.uri(),
            request.headers(),
            String::from_utf8_lossy(request.body())
        );
        let body = match &self.response_body {
            Some(body) => filled(body, secret),
            None if self.side == Side::Request => {
                let hex: String = said.bytes().map(|byte| format!("{byte:02x}")).collect();
                format!("{}echo of {said} {} {hex}", ".".repeat(self.pad), STANDARD.encode(&said))
            }
            None => "plain".to_owned(),
        };
        let mut response = Response::builder().status(StatusCode::from_u16(self.status).unwrap());
        for (name, value) in &self.response_headers {
            response = response.header(name, filled(value, secret));
        }
        response
            .header("cache-control", "max-age=60")
            .header("etag", "\"1\"")
            .body(body.into_bytes())
            .unwrap()
    }
}

fn step(state: u64, byte: u8) -> u64 {
    (state ^ u64::from(byte)).wrapping_mul(0x5851_f42d_4c95_7f2d).rotate_left(23)
}

fn filled(template: &str, secret: &str) -> String {
    template
        .replace("{base64 of user:secret}", &STANDARD.encode(format!("user:{secret}")))
        .replace("{secret}", secret)
}
