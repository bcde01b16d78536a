//! Writes pickles of protocol 4, which every Python supported by requests-cache reads. Frames and
//! the memo are optional, so it writes neither.

use super::opcode as op;
use crate::interchange::requests_cache::value::Value;

/// `value` as a pickle.
pub(crate) fn write(value: &Value) -> Vec<u8> {
    let mut pickle = vec![op::PROTO, 4];
    append(&mut pickle, value);
    pickle.push(op::STOP);
    pickle
}

/// Recursion is as deep as the value, which is bounded.
fn append(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::None => out.push(op::NONE),
        Value::Bool(true) => out.push(op::NEWTRUE),
        Value::Bool(false) => out.push(op::NEWFALSE),
        Value::Int(number) => integer(out, *number),
        Value::Float(number) => {
            out.push(op::BINFLOAT);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Value::Bytes(bytes) => sized(out, [op::SHORT_BINBYTES, op::BINBYTES, op::BINBYTES8], bytes),
        Value::Str(text) => {
            sized(out, [op::SHORT_BINUNICODE, op::BINUNICODE, op::BINUNICODE8], text.as_bytes());
        }
        Value::List(members) => {
            out.push(op::EMPTY_LIST);
            out.push(op::MARK);
            members.iter().for_each(|member| append(out, member));
            out.push(op::APPENDS);
        }
        Value::Dict(entries) => {
            out.push(op::EMPTY_DICT);
            out.push(op::MARK);
            for (key, value) in entries {
                sized(out, [op::SHORT_BINUNICODE, op::BINUNICODE, op::BINUNICODE8], key.as_bytes());
                append(out, value);
            }
            out.push(op::SETITEMS);
        }
    }
}

fn integer(out: &mut Vec<u8>, number: i128) {
    if let Ok(small) = i32::try_from(number) {
        out.push(op::BININT);
        out.extend_from_slice(&small.to_le_bytes());
    } else {
        out.extend_from_slice(&[op::LONG1, 16]);
        out.extend_from_slice(&number.to_le_bytes());
    }
}

/// Bytes with their length in front, with the opcode for a length of 1, 4 or 8 bytes.
fn sized(out: &mut Vec<u8>, [short, long, longest]: [u8; 3], bytes: &[u8]) {
    if let Ok(length) = u8::try_from(bytes.len()) {
        out.extend_from_slice(&[short, length]);
    } else if let Ok(length) = u32::try_from(bytes.len()) {
        out.push(long);
        out.extend_from_slice(&length.to_le_bytes());
    } else {
        out.push(longest);
        out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    }
    out.extend_from_slice(bytes);
}
