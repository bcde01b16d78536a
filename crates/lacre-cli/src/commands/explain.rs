//! `lacre explain`: explains why a request would hit or miss. It sends nothing and stores nothing.

use crate::cache_result;
use crate::exit::{Exit, Failure};
use crate::global_options::GlobalOptions;
use crate::output::{FAINT, Output};
use crate::store_options;
use crate::{format, request as request_options};
use http::{HeaderName, Uri, header, request};
use lacre::{
    Answer, Builder, Cache, CacheInfo, Detail, Key, OnTamper, Policy, RequestBody, RequestOptions, Stored,
    Transport,
};
use reqwest::Request;
use serde_json::{Value, json};

pub(crate) fn run(
    args: &request_options::Args,
    global: &GlobalOptions,
    output: Output,
) -> Result<(), Failure> {
    // A bad record must stay in place: explaining changes nothing.
    let build = |builder: Builder| builder.policy(args.policy()).on_tamper(OnTamper::FailClosed).build();
    let (cache, store_exists) = match store_options::open_to_read(global, output)? {
        Some(builder) => (build(builder)?, true),
        None => (build(store_options::in_memory(global, output)?)?, false),
    };
    let (client, transport) = args.transport.client(cache.clone())?;
    let (request, options) = args.build(&client)?;
    let mut explanation = lacre::wait(Explanation::of(&cache, &request, &options, &transport))?;
    if !store_exists {
        // This key is derived from an ephemeral key, so it would never match again.
        explanation.info.key = None;
    }
    if output.is_json() {
        return output.print_objects("lacre/explain/v1", [explanation.to_json()]);
    }
    output.print(explanation.to_text())
}

/// Explains on stderr, for `get --explain`.
pub(crate) async fn to_stderr(
    cache: &Cache,
    request: &Request,
    options: &RequestOptions,
    transport: &Transport,
    output: Output,
) -> Result<(), Failure> {
    let explanation = Explanation::of(cache, request, options, transport).await?;
    output.status("lacre/explain/v1", explanation.to_text(), explanation.to_json())
}

struct Explanation {
    info: CacheInfo,
    /// The stored response for the request, if any.
    stored: Option<(Key, Stored)>,
    /// The `Vary` fields of stored responses to this URL, if none of them matches.
    varies_by: Vec<HeaderName>,
    identity: Vec<String>,
}

impl Explanation {
    /// Looks the request up without sending it.
    async fn of(
        cache: &Cache,
        request: &Request,
        options: &RequestOptions,
        transport: &Transport,
    ) -> Result<Self, Failure> {
        let (mut head, ()) = http::Request::new(()).into_parts();
        head.method = request.method().clone();
        head.uri = request
            .url()
            .as_str()
            .parse()
            .map_err(|_| Failure::new(Exit::Usage, "this URL is invalid in a request"))?;
        head.headers = request.headers().clone();
        head.extensions.insert(options.clone());
        transport.add_to(&mut head.extensions);
        let body = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default();
        let identity = identity(cache.engine().policy(), &head, body);
        let row = cache.row_of(head.clone(), RequestBody::Seen(body));
        let info = match cache.ask(head, RequestBody::Seen(body)).await? {
            Answer::Hit(reply) | Answer::Refresh(reply, _) | Answer::Refuse(reply) => reply.info,
            Answer::Send(ticket) => ticket.info(),
        };
        let stored = match info.key {
            Some(key) => cache.stored(&key).await.ok().flatten().map(|stored| (key, stored)),
            None => None,
        };
        let varies_by = match row {
            Some(key) if stored.is_none() => cache.varies_by(&key).await.unwrap_or_default(),
            _ => Vec::new(),
        };
        Ok(Self { info, stored, varies_by, identity })
    }

    fn vary(&self) -> Option<String> {
        if !self.varies_by.is_empty() {
            return Some(self.varies_by.iter().map(HeaderName::as_str).collect::<Vec<_>>().join(", "));
        }
        let (_, stored) = self.stored.as_ref()?;
        let names: Vec<_> = stored.entry.headers.get_all(header::VARY).iter().collect();
        (!names.is_empty()).then(|| {
            names.iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect::<Vec<_>>().join(", ")
        })
    }

    fn to_text(&self) -> String {
        let (word, style) = cache_result::word(&self.info);
        let mut lines = vec![format!("{style}{word}{style:#}  Cache-Status: {}", self.info.status)];
        let mut line = |name: &str, value: String| lines.push(format!("  {FAINT}{name:<6}{FAINT:#} {value}"));
        line("key", self.identity.join(" + "));
        if let Some(key) = self.info.key {
            line("row", format!("{key:.16}"));
        }
        if let Some(vary) = self.vary() {
            let vary = crate::sanitize::replace_controls(&vary).into_owned();
            let other =
                if self.varies_by.is_empty() { "" } else { " (stored for other values of these headers)" };
            line("vary", format!("{vary}{other}"));
        }
        match &self.stored {
            Some((_, stored)) => {
                let received = format::timestamp(stored.entry.received).unwrap_or_default();
                line("stored", format!("{} {received}", stored.entry.status.as_u16()));
                line("fresh", stored.freshness.to_string());
            }
            None if self.info.status.detail == Some(Detail::Tampered) => {
                line("stored", "a response that was tampered with; `lacre get` fetches it again".to_owned());
            }
            None => line("stored", "nothing usable".to_owned()),
        }
        lines.join("\n")
    }

    fn to_json(&self) -> Value {
        json!({
            "result": cache_result::word(&self.info).0.to_ascii_lowercase(),
            "cache_status": self.info.status.to_string(),
            "identity": self.identity,
            "key": self.info.key.map(|key| key.to_string()),
            "vary": self.vary(),
            "vary_miss": !self.varies_by.is_empty(),
            "freshness": self.stored.as_ref().map(|(_, stored)| stored.freshness.to_string()),
            "received": self.stored.as_ref().and_then(|(_, stored)| format::timestamp(stored.entry.received)),
        })
    }
}

/// The parts of the cache key, without secrets (docs/format.md §5): the method, the target URI, the
/// requester and the transport.
fn identity(policy: &Policy, request: &request::Parts, body: &[u8]) -> Vec<String> {
    let target = lacre::target_uri(request);
    let url = target.as_ref().unwrap_or(&request.uri).to_string();
    let mut parts = vec![request.method.to_string(), policy.redact_url(&url)];
    if !body.is_empty() {
        parts.push("body".to_owned());
    }
    if target.as_ref().is_some_and(|target| authority(target) != authority(&request.uri)) {
        parts.push(format!("sent to {}", authority(&request.uri)));
    }
    if request.extensions.get::<Transport>().is_some() {
        parts.push("own certificates or proxy".to_owned());
    }
    let cookie_counts = policy.keys_by_cookie(&request.headers);
    let names = request.headers.keys().filter(|name| policy.partitions_by_header(name));
    parts.extend(names.map(|name| match name.as_str() {
        "cookie" if !cookie_counts => {
            "cookie (identifies the requester if the response has no lifetime)".to_owned()
        }
        name => format!("{name} (identifies the requester)"),
    }));
    parts
}

/// Host and port, without userinfo.
fn authority(uri: &Uri) -> &str {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}
