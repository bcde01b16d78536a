//! A head while it is decoded: the fields that a format found, and the check of which fields a head
//! needs (docs/format.md §6).

use super::{BodyHead, SlotHead, broken, broken_by};
use crate::Error;
use crate::stage::StageId;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use lacre_core::{Entry, Key, Slot, Timestamp, Ttl, VariantIndex};
use lacre_seal::BodyId;
use std::time::Duration;

/// The values of the field `kind`.
pub(super) mod kind {
    pub(in crate::codec) const ENTRY: u64 = 0;
    pub(in crate::codec) const VARY: u64 = 1;
    pub(in crate::codec) const ALIAS: u64 = 2;
}

#[derive(Default)]
pub(super) struct Draft {
    pub(super) kind: Option<u64>,
    pub(super) vary: Option<Vec<HeaderName>>,
    pub(super) alias: Option<Key>,
    pub(super) method: Option<Method>,
    pub(super) url: Option<String>,
    pub(super) request_headers: HeaderMap,
    pub(super) status: Option<StatusCode>,
    pub(super) version: Option<Version>,
    pub(super) headers: Option<HeaderMap>,
    pub(super) requested: Option<Timestamp>,
    pub(super) received: Option<Timestamp>,
    pub(super) ttl: Option<Ttl>,
    pub(super) body: Option<BodyId>,
    pub(super) length: Option<u64>,
    pub(super) stages: Vec<StageId>,
    pub(super) chunks: u32,
    pub(super) tags: Vec<String>,
    pub(super) variants: Vec<Key>,
}

impl Draft {
    pub(super) fn finish(self) -> Result<SlotHead, Error> {
        match need(self.kind, "kind")? {
            kind::ENTRY => Ok(Slot::Entry(Box::new(Entry {
                method: need(self.method, "method")?,
                url: need(self.url, "url")?,
                request_headers: self.request_headers,
                status: need(self.status, "status")?,
                version: need(self.version, "version")?,
                headers: need(self.headers, "headers")?,
                requested: need(self.requested, "requested")?,
                received: need(self.received, "received")?,
                ttl: self.ttl,
                tags: self.tags,
                body: BodyHead {
                    id: need(self.body, "body")?,
                    length: need(self.length, "length")?,
                    stages: self.stages,
                    chunks: self.chunks,
                },
            }))),
            kind::VARY => Ok(Slot::Vary(VariantIndex {
                names: need(self.vary, "vary")?,
                since: need(self.received, "received")?,
                variants: self.variants,
            })),
            kind::ALIAS => Ok(Slot::Alias(need(self.alias, "alias")?)),
            _ => Err(broken("is of an unknown kind")),
        }
    }
}

fn need<T>(field: Option<T>, name: &str) -> Result<T, Error> {
    field.ok_or_else(|| broken(&format!("lacks `{name}`")))
}

pub(super) fn method(name: &str) -> Result<Method, Error> {
    Method::from_bytes(name.as_bytes()).map_err(|error| broken_by("has an invalid method", error))
}

pub(super) fn status(code: u16) -> Result<StatusCode, Error> {
    StatusCode::from_u16(code).map_err(|error| broken_by("has an invalid status", error))
}

pub(super) fn header_name(name: &[u8]) -> Result<HeaderName, Error> {
    HeaderName::from_lowercase(name).map_err(|error| broken_by("has an invalid header name", error))
}

pub(super) fn append(to: &mut HeaderMap, name: &[u8], value: HeaderValue) -> Result<(), Error> {
    to.try_append(header_name(name)?, value).map_err(|error| broken_by("has too many headers", error))?;
    Ok(())
}

pub(super) fn body_id(bytes: &[u8]) -> Result<BodyId, Error> {
    bytes.try_into().map(BodyId::from_bytes).map_err(|_| broken("has a body id that is not 16 bytes long"))
}

pub(super) fn key(bytes: &[u8]) -> Result<Key, Error> {
    bytes.try_into().map(Key::from_bytes).map_err(|_| broken("has a row key that is not 32 bytes long"))
}

pub(super) fn stage(code: u64) -> Result<StageId, Error> {
    StageId::from_code(code).ok_or_else(|| broken("has a stage that this version does not know"))
}

const VERSIONS: [(u8, Version); 5] = [
    (9, Version::HTTP_09),
    (10, Version::HTTP_10),
    (11, Version::HTTP_11),
    (20, Version::HTTP_2),
    (30, Version::HTTP_3),
];

pub(super) fn version(number: u8) -> Result<Version, Error> {
    let found = VERSIONS.iter().find(|(known, _)| *known == number);
    found.map(|(_, version)| *version).ok_or_else(|| broken("has an unknown HTTP version"))
}

pub(super) fn version_number(version: Version) -> Result<u8, Error> {
    let found = VERSIONS.iter().find(|(_, known)| *known == version);
    found.map(|(number, _)| *number).ok_or_else(|| broken("has an unknown HTTP version"))
}

pub(super) fn ttl(millis: i64) -> Ttl {
    let duration = Duration::from_millis(millis.unsigned_abs());
    if millis < 0 { Ttl::StaleBy(duration) } else { Ttl::For(duration) }
}

/// The milliseconds of a lifetime; `None`: it is unlimited, which has a field of its own.
pub(super) fn ttl_millis(ttl: Ttl) -> Option<i64> {
    let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    match ttl {
        Ttl::For(duration) => Some(millis(duration)),
        Ttl::StaleBy(duration) => Some(-millis(duration)),
        Ttl::Forever => None,
    }
}
