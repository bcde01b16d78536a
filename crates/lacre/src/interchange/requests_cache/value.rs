//! The values in files of requests-cache, in any format: plain data of bounded size.

use super::error::{self, Malformed};
use bytes::Bytes;
use std::collections::HashMap;

/// The maximum nesting of lists and dicts. It bounds the stack of every recursion over a value,
/// including its drop.
const MAX_DEPTH: usize = 128;

/// The maximum number of values in one, itself included.
pub(super) const MAX_ITEMS: usize = 1 << 20;

/// The maximum length of a stored response, and of all its strings together, in bytes.
pub(super) const MAX_BYTES: usize = 128 << 20;

/// A Python value. requests-cache stores plain data only.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An `int`.
    Int(i128),
    /// A `float`.
    Float(f64),
    /// `bytes`.
    Bytes(Bytes),
    /// A `str`.
    Str(String),
    /// A list or a tuple: no field of a response distinguishes them.
    List(Vec<Value>),
    /// A dict in insertion order, without repeated keys.
    Dict(Vec<(String, Value)>),
}

impl Value {
    fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Str(text) => text.len(),
            _ => 0,
        }
    }
}

/// A value under construction, from the outside in. It enforces the same bounds for every reader.
#[derive(Default)]
pub(super) struct Assembly {
    open: Vec<(Kind, Vec<Value>)>,
    whole: Option<Value>,
    items: usize,
    bytes: usize,
    /// Whether a repeated key in a dict is refused.
    once: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    List,
    /// Its members alternate between keys and values.
    Dict,
}

impl Assembly {
    /// An assembly that refuses repeated keys in a dict.
    pub(super) fn strict() -> Self {
        Self { once: true, ..Self::default() }
    }

    /// Adds a value without members.
    pub(super) fn scalar(&mut self, value: Value) -> Result<(), Malformed> {
        self.items += 1;
        self.bytes = self.bytes.saturating_add(value.len());
        if self.items > MAX_ITEMS {
            return Err(error::too_many());
        }
        if self.bytes > MAX_BYTES {
            return Err(error::too_long());
        }
        self.place(value)
    }

    /// Begins a list or dict.
    pub(super) fn open(&mut self, kind: Kind) -> Result<(), Malformed> {
        self.open_for(kind, 0)
    }

    /// Begins one with a declared number of members; memory is reserved only up to a limit.
    pub(super) fn open_for(&mut self, kind: Kind, members: u64) -> Result<(), Malformed> {
        const BELIEVED: u64 = 64;
        self.items += 1;
        if self.open.len() == MAX_DEPTH {
            return Err(error::too_deep());
        }
        if self.items > MAX_ITEMS {
            return Err(error::too_many());
        }
        self.open.push((kind, Vec::with_capacity(members.min(BELIEVED) as usize)));
        Ok(())
    }

    /// Ends the innermost list or dict.
    pub(super) fn close(&mut self) -> Result<(), Malformed> {
        let (kind, members) = self.open.pop().ok_or(Malformed::new("ends more lists than it begins"))?;
        let value = match kind {
            Kind::List => Value::List(members),
            Kind::Dict => dict(members, self.once)?,
        };
        self.place(value)
    }

    /// The kind of the innermost open value, and its number of members so far.
    pub(super) fn innermost(&self) -> Option<(Kind, usize)> {
        self.open.last().map(|(kind, members)| (*kind, members.len()))
    }

    pub(super) fn finish(self) -> Result<Value, Malformed> {
        match (self.open.is_empty(), self.whole) {
            (true, Some(value)) => Ok(value),
            _ => Err(error::cut_off()),
        }
    }

    fn place(&mut self, value: Value) -> Result<(), Malformed> {
        match self.open.last_mut() {
            Some((_, members)) => members.push(value),
            None if self.whole.is_some() => return Err(Malformed::new("has more than one value")),
            None => self.whole = Some(value),
        }
        Ok(())
    }
}

/// The maximum number of entries in a dict that is searched without an index.
const SHORT: usize = 32;

/// Inserts as Python does: a repeated key keeps its place and gets the later value, unless `once`
/// is set.
fn dict(members: Vec<Value>, once: bool) -> Result<Value, Malformed> {
    let mut entries: Vec<(String, Value)> = Vec::with_capacity(members.len() / 2);
    // For short dicts, a linear search is faster.
    let mut places: Option<HashMap<String, usize>> = (members.len() / 2 > SHORT).then(HashMap::new);
    let mut members = members.into_iter();
    while let Some(key) = members.next() {
        let Value::Str(key) = key else { return Err(Malformed::new("has a key that is not text")) };
        let value = members.next().ok_or(Malformed::new("has a key without a value"))?;
        let place = match &places {
            Some(places) => places.get(&key).copied(),
            None => entries.iter().position(|(there, _)| *there == key),
        };
        if let Some(place) = place {
            if once {
                return Err(Malformed::new("has a key twice"));
            }
            entries[place].1 = value;
            continue;
        }
        if let Some(places) = &mut places {
            places.insert(key.clone(), entries.len());
        }
        entries.push((key, value));
    }
    Ok(Value::Dict(entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_bounded() {
        let mut assembly = Assembly::default();
        for _ in 0..MAX_DEPTH {
            assembly.open(Kind::List).unwrap();
        }
        assert_eq!(assembly.open(Kind::List), Err(error::too_deep()));
    }

    #[test]
    fn the_number_of_values_is_bounded() {
        let mut assembly = Assembly::default();
        assembly.open(Kind::List).unwrap();
        for _ in 1..MAX_ITEMS {
            assembly.scalar(Value::None).unwrap();
        }
        assert_eq!(assembly.scalar(Value::None), Err(error::too_many()));
    }

    #[test]
    fn the_sum_of_all_texts_is_bounded() {
        let mut assembly = Assembly::default();
        assembly.open(Kind::List).unwrap();
        let half = Value::Bytes(vec![0; MAX_BYTES / 2].into());
        assembly.scalar(half.clone()).unwrap();
        assembly.scalar(half.clone()).unwrap();
        assert_eq!(assembly.scalar(Value::Str("a".into())), Err(error::too_long()));
    }

    #[test]
    fn a_key_that_comes_again_keeps_its_place_or_is_refused() {
        let text = |text: &str| Value::Str(text.into());
        for others in [1, 2 * SHORT] {
            let mut members = vec![text("a"), text("1")];
            members.extend((0..others).flat_map(|other| [text(&other.to_string()), text("2")]));
            members.extend([text("a"), text("3")]);
            let mut expected = vec![("a".to_owned(), text("3"))];
            expected.extend((0..others).map(|other| (other.to_string(), text("2"))));
            assert_eq!(dict(members.clone(), false), Ok(Value::Dict(expected)));
            assert!(dict(members, true).is_err());
        }
    }
}
