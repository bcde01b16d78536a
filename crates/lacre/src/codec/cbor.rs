//! Heads as deterministic CBOR (docs/format.md §6, RFC 8949 §4.2.1). Other encodings of the same
//! head are refused.

use super::draft::{self, Draft, kind};
use super::{BodyHead, Format, FormatId, SlotHead, broken, broken_by};
use crate::Error;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use lacre_core::{Entry, Slot, Timestamp, Ttl};
use lacre_seal::Authentic;
use minicbor::data::Type;
use minicbor::{Decoder, Encoder};
use std::convert::Infallible;

/// The default format: CBOR.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cbor;

/// The keys of the map.
mod field {
    pub(super) const KIND: u64 = 0;
    pub(super) const VARY: u64 = 1;
    pub(super) const ALIAS: u64 = 2;
    pub(super) const METHOD: u64 = 3;
    pub(super) const URL: u64 = 4;
    pub(super) const REQUEST_HEADERS: u64 = 5;
    pub(super) const STATUS: u64 = 6;
    pub(super) const VERSION: u64 = 7;
    pub(super) const HEADERS: u64 = 8;
    pub(super) const REQUESTED: u64 = 9;
    pub(super) const RECEIVED: u64 = 10;
    pub(super) const TTL: u64 = 11;
    pub(super) const BODY: u64 = 12;
    pub(super) const LENGTH: u64 = 13;
    pub(super) const STAGES: u64 = 14;
    pub(super) const CHUNKS: u64 = 15;
    pub(super) const TAGS: u64 = 16;
    pub(super) const FOREVER: u64 = 17;
    pub(super) const VARIANTS: u64 = 18;
}

impl Format for Cbor {
    fn id(&self) -> FormatId {
        FormatId::Cbor
    }

    fn encode(&self, slot: &SlotHead, out: &mut Vec<u8>) -> Result<(), Error> {
        let mut to = Encoder::new(out);
        let written = match slot {
            Slot::Entry(entry) => encode_entry(&mut to, entry, draft::version_number(entry.version)?),
            Slot::Vary(index) => (|| {
                let variants = &index.variants;
                to.map(if variants.is_empty() { 3 } else { 4 })?.u64(field::KIND)?.u64(kind::VARY)?;
                to.u64(field::VARY)?.array(index.names.len() as u64)?;
                for name in &index.names {
                    to.str(name.as_str())?;
                }
                to.u64(field::RECEIVED)?.i64(index.since.as_millis())?;
                if !variants.is_empty() {
                    to.u64(field::VARIANTS)?.array(variants.len() as u64)?;
                    for key in variants {
                        to.bytes(key.as_bytes())?;
                    }
                }
                Ok(())
            })(),
            Slot::Alias(key) => (|| {
                to.map(2)?.u64(field::KIND)?.u64(kind::ALIAS)?;
                to.u64(field::ALIAS)?.bytes(key.as_bytes())?;
                Ok(())
            })(),
        };
        written.map_err(|error| broken_by("cannot be written", error))
    }

    fn decode(&self, bytes: &Authentic) -> Result<SlotHead, Error> {
        let bytes = bytes.clone().into_bytes();
        let mut from = Strict(Decoder::new(&bytes));
        let mut draft = Draft::default();
        let mut last = None;
        for _ in 0..from.map()? {
            let key = from.uint()?;
            if last.replace(key) >= Some(key) {
                return Err(broken("has unordered or duplicate keys"));
            }
            read_field(&mut draft, key, &mut from, &bytes)?;
        }
        if from.0.position() != bytes.len() {
            return Err(broken("has bytes after its end"));
        }
        draft.finish()
    }
}

type EncodeResult = Result<(), minicbor::encode::Error<Infallible>>;

fn encode_entry(to: &mut Encoder<&mut Vec<u8>>, entry: &Entry<BodyHead>, version: u8) -> EncodeResult {
    let BodyHead { id, length, stages, chunks } = &entry.body;
    let ttl = entry.ttl.and_then(draft::ttl_millis);
    let forever = entry.ttl == Some(Ttl::Forever);
    let present = [
        !entry.request_headers.is_empty(),
        ttl.is_some(),
        !stages.is_empty(),
        *chunks != 0,
        !entry.tags.is_empty(),
        forever,
    ];
    let optional = present.into_iter().filter(|present| *present).count() as u64;
    to.map(10 + optional)?.u64(field::KIND)?.u64(kind::ENTRY)?;
    to.u64(field::METHOD)?.str(entry.method.as_str())?;
    to.u64(field::URL)?.str(&entry.url)?;
    if !entry.request_headers.is_empty() {
        to.u64(field::REQUEST_HEADERS)?;
        encode_headers(to, &entry.request_headers)?;
    }
    to.u64(field::STATUS)?.u16(entry.status.as_u16())?;
    to.u64(field::VERSION)?.u8(version)?;
    to.u64(field::HEADERS)?;
    encode_headers(to, &entry.headers)?;
    to.u64(field::REQUESTED)?.i64(entry.requested.as_millis())?;
    to.u64(field::RECEIVED)?.i64(entry.received.as_millis())?;
    if let Some(ttl) = ttl {
        to.u64(field::TTL)?.i64(ttl)?;
    }
    to.u64(field::BODY)?.bytes(id.as_bytes())?;
    to.u64(field::LENGTH)?.u64(*length)?;
    if !stages.is_empty() {
        to.u64(field::STAGES)?.array(stages.len() as u64)?;
        for stage in stages {
            to.u64(stage.code())?;
        }
    }
    if *chunks != 0 {
        to.u64(field::CHUNKS)?.u32(*chunks)?;
    }
    if !entry.tags.is_empty() {
        to.u64(field::TAGS)?.array(entry.tags.len() as u64)?;
        for tag in &entry.tags {
            to.str(tag)?;
        }
    }
    if forever {
        to.u64(field::FOREVER)?.bool(true)?;
    }
    Ok(())
}

fn encode_headers(to: &mut Encoder<&mut Vec<u8>>, headers: &HeaderMap) -> EncodeResult {
    to.array(2 * headers.len() as u64)?;
    for (name, value) in headers {
        to.str(name.as_str())?.bytes(value.as_bytes())?;
    }
    Ok(())
}

fn read_field(draft: &mut Draft, key: u64, from: &mut Strict<'_>, all: &Bytes) -> Result<(), Error> {
    match key {
        field::KIND => draft.kind = Some(from.uint()?),
        field::VARY => draft.vary = Some(from.list(|from| draft::header_name(from.text()?.as_bytes()))?),
        field::ALIAS => draft.alias = Some(draft::key(from.bytes()?)?),
        field::METHOD => draft.method = Some(draft::method(from.text()?)?),
        field::URL => draft.url = Some(from.text()?.to_owned()),
        field::REQUEST_HEADERS => draft.request_headers = read_headers(from, all)?,
        field::STATUS => draft.status = Some(draft::status(from.small()?)?),
        field::VERSION => draft.version = Some(draft::version(from.small()?)?),
        field::HEADERS => draft.headers = Some(read_headers(from, all)?),
        field::REQUESTED => draft.requested = Some(Timestamp::from_millis(from.int()?)),
        field::RECEIVED => draft.received = Some(Timestamp::from_millis(from.int()?)),
        // `FOREVER` comes later in the map and overrides this field.
        field::TTL => draft.ttl = Some(draft::ttl(from.int()?)),
        field::BODY => draft.body = Some(draft::body_id(from.bytes()?)?),
        field::LENGTH => draft.length = Some(from.uint()?),
        field::STAGES => draft.stages = from.list(|from| draft::stage(from.uint()?))?,
        field::CHUNKS => draft.chunks = from.small()?,
        field::TAGS => draft.tags = from.list(|from| from.text().map(str::to_owned))?,
        field::FOREVER => {
            if from.bool()? {
                draft.ttl = Some(Ttl::Forever);
            }
        }
        field::VARIANTS => draft.variants = from.list(|from| draft::key(from.bytes()?))?,
        _ => from.skip(Strict::DEPTH)?,
    }
    Ok(())
}

fn read_headers(from: &mut Strict<'_>, all: &Bytes) -> Result<HeaderMap, Error> {
    let length = from.array()?;
    if length % 2 != 0 {
        return Err(broken("has a header name without a value"));
    }
    // The count is not trusted; few heads have more headers than this.
    let mut headers = HeaderMap::with_capacity(usize::try_from(length / 2).unwrap_or(usize::MAX).min(64));
    for _ in 0..length / 2 {
        let name = from.text()?.as_bytes();
        // Shares the buffer of the head: no allocation for each value.
        let value = HeaderValue::from_maybe_shared(all.slice_ref(from.bytes()?))
            .map_err(|error| broken_by("has an invalid header value", error))?;
        draft::append(&mut headers, name, value)?;
    }
    Ok(headers)
}

/// A decoder that accepts only the deterministic form.
struct Strict<'b>(Decoder<'b>);

impl<'b> Strict<'b> {
    /// The nesting limit of values that this version does not know.
    const DEPTH: u8 = 16;

    /// Reads an item with `read`. Its head must be as short as the number in it allows; `rest` is
    /// the length of the bytes after the head.
    fn head<T>(
        &mut self,
        read: impl FnOnce(&mut Decoder<'b>) -> Result<T, minicbor::decode::Error>,
        number: impl FnOnce(&T) -> u64,
        rest: impl FnOnce(&T) -> usize,
    ) -> Result<T, Error> {
        let start = self.0.position();
        let item = read(&mut self.0).map_err(malformed)?;
        let shortest = match number(&item) {
            0..=0x17 => 1,
            0x18..=0xFF => 2,
            0x100..=0xFFFF => 3,
            0x1_0000..=0xFFFF_FFFF => 5,
            _ => 9,
        };
        if self.0.position() - start - rest(&item) == shortest {
            Ok(item)
        } else {
            Err(broken("has a number that is not in its shortest form"))
        }
    }

    fn uint(&mut self) -> Result<u64, Error> {
        self.head(Decoder::u64, |number| *number, |_| 0)
    }

    fn int(&mut self) -> Result<i64, Error> {
        // CBOR stores the negative integer -1-n as n, its bitwise complement.
        self.head(Decoder::i64, |number| (if *number < 0 { !*number } else { *number }).unsigned_abs(), |_| 0)
    }

    fn small<T: TryFrom<u64>>(&mut self) -> Result<T, Error> {
        self.uint()?.try_into().map_err(|_| broken("has a number that is too large"))
    }

    fn bytes(&mut self) -> Result<&'b [u8], Error> {
        self.head(Decoder::bytes, |bytes| bytes.len() as u64, |bytes| bytes.len())
    }

    fn text(&mut self) -> Result<&'b str, Error> {
        self.head(Decoder::str, |text| text.len() as u64, |text| text.len())
    }

    fn array(&mut self) -> Result<u64, Error> {
        self.head(|from| definite(from.array()), |length| *length, |_| 0)
    }

    fn map(&mut self) -> Result<u64, Error> {
        self.head(|from| definite(from.map()), |length| *length, |_| 0)
    }

    fn bool(&mut self) -> Result<bool, Error> {
        self.0.bool().map_err(malformed)
    }

    fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T, Error>) -> Result<Vec<T>, Error> {
        let mut items = Vec::new();
        for _ in 0..self.array()? {
            items.push(read(self)?);
        }
        Ok(items)
    }

    /// Skips a value that this version does not know. It must be in deterministic form too.
    fn skip(&mut self, depth: u8) -> Result<(), Error> {
        let deeper = || depth.checked_sub(1).ok_or_else(|| broken("nests too deep"));
        match self.0.datatype().map_err(malformed)? {
            Type::U8 | Type::U16 | Type::U32 | Type::U64 => self.uint().map(drop),
            Type::I8 | Type::I16 | Type::I32 | Type::I64 => self.int().map(drop),
            Type::Bytes => self.bytes().map(drop),
            Type::String => self.text().map(drop),
            Type::Array => (0..self.array()?).try_for_each(|_| self.skip(deeper()?)),
            Type::Map => (0..self.map()?).try_for_each(|_| {
                self.skip(deeper()?)?;
                self.skip(deeper()?)
            }),
            Type::Bool | Type::Null => self.0.skip().map_err(malformed),
            _ => Err(broken("has a value of a type that heads do not use")),
        }
    }
}

fn definite(length: Result<Option<u64>, minicbor::decode::Error>) -> Result<u64, minicbor::decode::Error> {
    length?.ok_or_else(|| minicbor::decode::Error::message("indefinite length"))
}

fn malformed(error: minicbor::decode::Error) -> Error {
    broken_by("is malformed", error)
}
