//! Reads and writes the CBOR (RFC 8949) of the Python package's sealed values (docs/format.md §14):
//! plain data only.

use super::error::{self, Malformed};
use super::value::{Assembly, Kind, Value};
use bytes::Bytes;
use minicbor::data::{Int, Type};
use minicbor::{Decoder, Encoder};
use std::convert::Infallible;

/// The value that all of `bytes` encode. Byte strings in it share the memory of `bytes`.
pub(super) fn read(bytes: &Bytes) -> Result<Value, Malformed> {
    let mut decoder = Decoder::new(bytes);
    let mut assembly = Assembly::strict();
    // The number of missing members of each open list or dict.
    let mut missing: Vec<u64> = Vec::new();
    loop {
        item(bytes, &mut decoder, &mut assembly, &mut missing)?;
        while missing.last() == Some(&0) {
            missing.pop();
            assembly.close()?;
        }
        match missing.last_mut() {
            Some(left) => *left -= 1,
            None if decoder.position() == bytes.len() => return assembly.finish(),
            None => return Err(Malformed::new("has more than one value")),
        }
    }
}

/// Adds the next item: a value without members, or the start of a list or dict.
fn item(
    whole: &Bytes,
    decoder: &mut Decoder<'_>,
    assembly: &mut Assembly,
    missing: &mut Vec<u64>,
) -> Result<(), Malformed> {
    let value = match decoder.datatype().map_err(unreadable)? {
        Type::Array => {
            let members = decoder.array().map_err(unreadable)?.ok_or_else(error::cut_off)?;
            assembly.open_for(Kind::List, members)?;
            missing.push(members);
            return Ok(());
        }
        Type::Map => {
            let pairs = decoder.map().map_err(unreadable)?.ok_or_else(error::cut_off)?;
            let members = pairs.checked_mul(2).ok_or_else(error::too_many)?;
            assembly.open_for(Kind::Dict, members)?;
            missing.push(members);
            return Ok(());
        }
        Type::Null => decoder.null().map(|()| Value::None),
        Type::Bool => decoder.bool().map(Value::Bool),
        Type::F64 => decoder.f64().map(Value::Float),
        Type::Bytes => decoder.bytes().map(|bytes| Value::Bytes(whole.slice_ref(bytes))),
        Type::String => decoder.str().map(|text| Value::Str(text.to_owned())),
        _ => decoder.int().map(|number| Value::Int(number.into())),
    };
    assembly.scalar(value.map_err(unreadable)?)
}

/// Without the decoder's message, which may quote the content.
fn unreadable(_: minicbor::decode::Error) -> Malformed {
    Malformed::new("is not as it is written")
}

/// Encodes `value`.
///
/// # Errors
/// It has a number that is longer than CBOR's.
pub(super) fn write(value: &Value) -> Result<Vec<u8>, Malformed> {
    let mut encoder = Encoder::new(Vec::with_capacity(most(value)));
    put(&mut encoder, value).map_err(|_| Malformed::new("would have a number of more than 64 bits"))?;
    Ok(encoder.into_writer())
}

/// The maximum encoded length of a value, reserved so that writing does not reallocate.
fn most(value: &Value) -> usize {
    const HEAD: usize = 9;
    HEAD + match value {
        Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_) => 0,
        Value::Bytes(bytes) => bytes.len(),
        Value::Str(text) => text.len(),
        Value::List(members) => members.iter().map(most).sum(),
        Value::Dict(entries) => entries.iter().map(|(name, value)| HEAD + name.len() + most(value)).sum(),
    }
}

/// Recursion is as deep as the value, which its constructor bounds.
fn put(encoder: &mut Encoder<Vec<u8>>, value: &Value) -> Result<(), minicbor::encode::Error<Infallible>> {
    match value {
        Value::None => encoder.null()?,
        Value::Bool(truth) => encoder.bool(*truth)?,
        Value::Int(number) => {
            encoder.int(Int::try_from(*number).map_err(minicbor::encode::Error::message)?)?
        }
        Value::Float(number) => encoder.f64(*number)?,
        Value::Bytes(bytes) => encoder.bytes(bytes)?,
        Value::Str(text) => encoder.str(text)?,
        Value::List(members) => {
            encoder.array(members.len() as u64)?;
            for member in members {
                put(encoder, member)?;
            }
            return Ok(());
        }
        Value::Dict(entries) => {
            encoder.map(entries.len() as u64)?;
            for (name, value) in entries {
                encoder.str(name)?;
                put(encoder, value)?;
            }
            return Ok(());
        }
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_the_same() {
        let scalars = [
            Value::None,
            Value::Bool(true),
            Value::Int(-(1 << 64)),
            Value::Int((1 << 64) - 1),
            Value::Float(0.25),
            Value::Bytes(vec![0, 255].into()),
            Value::Str("é".into()),
            Value::List(vec![]),
            Value::Dict(vec![]),
        ];
        let entries = [("b", Value::List(scalars.to_vec())), ("a", Value::List(vec![Value::List(vec![])]))];
        let value = Value::Dict(entries.map(|(name, value)| (name.to_owned(), value)).to_vec());
        assert_eq!(read(&write(&value).unwrap().into()), Ok(value));
    }

    #[test]
    fn what_is_cut_or_goes_on_is_refused() {
        let bytes: Bytes =
            write(&Value::List(vec![Value::Str("text".into()), Value::Int(300)])).unwrap().into();
        for end in 0..bytes.len() {
            assert!(read(&bytes.slice(..end)).is_err());
        }
        assert!(read(&[&bytes[..], &[0]].concat().into()).is_err());
        for indefinite in [&[0x9F, 0xFF][..], &[0xBF, 0xFF], &[0x5F, 0xFF]] {
            assert!(read(&Bytes::from_static(indefinite)).is_err());
        }
        assert!(read(&Bytes::from_static(&[0xBB, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF])).is_err());
    }

    #[test]
    fn a_number_beyond_64_bits_is_not_written() {
        assert!(write(&Value::Int(1 << 64)).is_err());
    }
}
