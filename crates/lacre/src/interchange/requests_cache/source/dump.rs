//! A dump of Redis as JSON: `{"NAMESPACE:KEY": {"type": "string", "value": "HEX"}, …}`. Hashes are
//! skipped, because they hold only redirects.

use super::{Stored, absent, unreadable};
use crate::{Error, ErrorKind};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;

/// The maximum length of a dump, in bytes.
const MAX_LENGTH: u64 = 1 << 30;

#[derive(Deserialize)]
struct Item {
    #[serde(rename = "type")]
    kind: String,
    value: serde_json::Value,
}

pub(super) struct Items(Vec<(String, Item)>);

/// Omits values, which may hold secrets.
impl fmt::Debug for Items {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Items({})", self.0.len())
    }
}

impl Items {
    pub(super) fn of(file: File) -> Result<Self, Error> {
        let mut text = Vec::new();
        file.take(MAX_LENGTH).read_to_end(&mut text).map_err(unreadable)?;
        let items: BTreeMap<String, Item> = serde_json::from_slice(&text).map_err(|error| {
            // The cause would quote the content.
            let place = format!("line {}, column {}", error.line(), error.column());
            Error::new(ErrorKind::Broken, format!("the dump of Redis cannot be read, at {place}")).with_hint(
                "write an object of objects with `type` and `value`, the value in hexadecimal digits",
            )
        })?;
        Ok(Self(items.into_iter().filter(|(_, item)| item.kind == "string").collect()))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn read(&self, index: usize) -> Stored {
        let Some((name, item)) = self.0.get(index) else { return absent() };
        let key = name.rsplit_once(':').map_or(name.as_str(), |(_, key)| key).to_owned();
        let value = item.value.as_str().and_then(bytes).ok_or_else(|| {
            Error::new(ErrorKind::Broken, "the value in the dump is not in hexadecimal digits")
        });
        Stored { key, value }
    }
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pair = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(*high)? << 4 | digit(*low)?).ok(),
        _ => None,
    };
    hex.as_bytes().chunks(2).map(pair).collect()
}
