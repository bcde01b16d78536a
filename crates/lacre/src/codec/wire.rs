//! The fields of a head by name (docs/format.md §6), for every format but CBOR.

use super::draft::{self, Draft, kind};
use super::{SlotHead, broken, broken_by};
use crate::Error;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use lacre_core::{Key, Slot, Timestamp, Ttl};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::fmt;

/// The nesting limit of values, also of unknown fields.
#[cfg(any(feature = "yaml", feature = "msgpack", feature = "bson"))]
pub(super) const DEPTH: usize = 16;

/// The encoded object; its fields are in the order of their CBOR keys.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Wire {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vary: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alias: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_headers: Option<Vec<Piece>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<Vec<Piece>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requested: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    received: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    length: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stages: Vec<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunks: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forever: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    variants: Vec<String>,
}

/// A header name or value: plain text if it is printable ASCII.
#[derive(Serialize)]
#[serde(untagged)]
enum Piece {
    Text(String),
    Encoded { base64: String },
}

/// Written by hand: the derived code for an untagged enum first buffers any value, however deeply
/// nested.
impl<'de> Deserialize<'de> for Piece {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Piece;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, or text as `base64`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Piece, E> {
                Ok(Piece::Text(text.to_owned()))
            }

            fn visit_string<E: de::Error>(self, text: String) -> Result<Piece, E> {
                Ok(Piece::Text(text))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Piece, A::Error> {
                let base64 = match map.next_key::<String>()? {
                    Some(name) if name == "base64" => map.next_value()?,
                    _ => return Err(de::Error::missing_field("base64")),
                };
                match map.next_key::<de::IgnoredAny>()? {
                    None => Ok(Piece::Encoded { base64 }),
                    Some(_) => Err(de::Error::custom("more than `base64`")),
                }
            }
        }

        from.deserialize_any(Reader)
    }
}

impl Wire {
    pub(super) fn of(slot: &SlotHead) -> Result<Self, Error> {
        Ok(match slot {
            Slot::Entry(entry) => Self {
                kind: Some(kind::ENTRY),
                method: Some(entry.method.to_string()),
                url: Some(entry.url.clone()),
                request_headers: Some(pieces(&entry.request_headers)).filter(|pieces| !pieces.is_empty()),
                status: Some(entry.status.as_u16()),
                version: Some(draft::version_number(entry.version)?),
                headers: Some(pieces(&entry.headers)),
                requested: Some(entry.requested.as_millis()),
                received: Some(entry.received.as_millis()),
                ttl: entry.ttl.and_then(draft::ttl_millis),
                body: Some(entry.body.id.to_string()),
                length: Some(entry.body.length),
                stages: entry.body.stages.iter().map(|stage| stage.code()).collect(),
                chunks: Some(entry.body.chunks).filter(|chunks| *chunks != 0),
                tags: entry.tags.clone(),
                forever: (entry.ttl == Some(Ttl::Forever)).then_some(true),
                ..Self::default()
            },
            Slot::Vary(index) => Self {
                kind: Some(kind::VARY),
                vary: Some(index.names.iter().map(HeaderName::to_string).collect()),
                received: Some(index.since.as_millis()),
                variants: index.variants.iter().map(Key::to_string).collect(),
                ..Self::default()
            },
            Slot::Alias(key) => {
                Self { kind: Some(kind::ALIAS), alias: Some(key.to_string()), ..Self::default() }
            }
        })
    }

    pub(super) fn into_slot(self) -> Result<SlotHead, Error> {
        let names =
            |names: Vec<String>| names.iter().map(|name| draft::header_name(name.as_bytes())).collect();
        let draft = Draft {
            kind: self.kind,
            vary: self.vary.map(names).transpose()?,
            alias: self.alias.map(|hex| draft::key(&bytes_of(&hex)?)).transpose()?,
            method: self.method.map(|name| draft::method(&name)).transpose()?,
            url: self.url,
            request_headers: headers(self.request_headers.unwrap_or_default())?,
            status: self.status.map(draft::status).transpose()?,
            version: self.version.map(draft::version).transpose()?,
            headers: self.headers.map(headers).transpose()?,
            requested: self.requested.map(Timestamp::from_millis),
            received: self.received.map(Timestamp::from_millis),
            ttl: if self.forever == Some(true) { Some(Ttl::Forever) } else { self.ttl.map(draft::ttl) },
            body: self.body.map(|hex| draft::body_id(&bytes_of(&hex)?)).transpose()?,
            length: self.length,
            stages: self.stages.into_iter().map(draft::stage).collect::<Result<_, _>>()?,
            chunks: self.chunks.unwrap_or_default(),
            tags: self.tags,
            variants: self
                .variants
                .iter()
                .map(|hex| draft::key(&bytes_of(hex)?))
                .collect::<Result<_, _>>()?,
        };
        draft.finish()
    }
}

fn pieces(headers: &HeaderMap) -> Vec<Piece> {
    let pair = |(name, value): (&HeaderName, &HeaderValue)| {
        let printable = value.as_bytes().iter().all(|byte| (b' '..=b'~').contains(byte));
        let value = match value.to_str() {
            Ok(text) if printable => Piece::Text(text.to_owned()),
            _ => Piece::Encoded { base64: STANDARD.encode(value.as_bytes()) },
        };
        [Piece::Text(name.to_string()), value]
    };
    headers.iter().flat_map(pair).collect()
}

fn headers(pieces: Vec<Piece>) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    let mut pieces = pieces.into_iter();
    while let Some(name) = pieces.next() {
        let (Piece::Text(name), Some(value)) = (name, pieces.next()) else {
            return Err(broken("has a header name without a value"));
        };
        let value = match value {
            Piece::Text(text) => text.into_bytes(),
            Piece::Encoded { base64 } => STANDARD
                .decode(base64)
                .map_err(|error| broken_by("has a header value that is not base64", error))?,
        };
        let value = HeaderValue::from_maybe_shared(bytes::Bytes::from(value))
            .map_err(|error| broken_by("has an invalid header value", error))?;
        draft::append(&mut headers, name.as_bytes(), value)?;
    }
    Ok(headers)
}

/// Decodes hexadecimal digits.
fn bytes_of(hex: &str) -> Result<Vec<u8>, Error> {
    let digit = |byte: u8| char::from(byte).to_digit(16).filter(|_| !byte.is_ascii_uppercase());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some((digit(*high)? << 4 | digit(*low)?) as u8),
        _ => None,
    };
    hex.as_bytes()
        .chunks(2)
        .map(pair)
        .collect::<Option<_>>()
        .ok_or_else(|| broken("has an id that is not lower-case hexadecimal"))
}
