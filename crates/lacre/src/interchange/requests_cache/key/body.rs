//! Normalises bodies as requests-cache does: JSON with sorted root names, forms like queries, all
//! others byte for byte.

use super::{REDACTED, query};
use crate::interchange::requests_cache::json::{self, Dialect};
use crate::interchange::requests_cache::response::{Request, is_json};
use crate::interchange::requests_cache::value::Value;
use std::borrow::Cow;
use std::cmp::Ordering;

/// JSON longer than this many bytes is not normalised.
const MAX_LENGTH: usize = 10 << 20;

pub(super) fn normalized<'a>(request: &'a Request, ignored: &[String], root: Option<&str>) -> Cow<'a, [u8]> {
    let body = &request.body[..];
    let content_type = request.header("content-type").unwrap_or_default();
    let content_type = content_type.split(';').next().unwrap_or_default().to_lowercase();
    if is_json(Some(&content_type)) && (3..=MAX_LENGTH).contains(&body.len()) {
        // Invalid JSON, and JSON that Python cannot sort, is not normalised.
        let normal = json::read(body).ok().and_then(|value| in_order(value, ignored, root));
        return normal.map_or(body.into(), |value| json::dumps(&value, Dialect::Json).into_bytes().into());
    }
    match str::from_utf8(body) {
        Ok(form) if content_type == "application/x-www-form-urlencoded" => {
            query::normalized(form, ignored).into_bytes().into()
        }
        _ => body.into(),
    }
}

fn in_order(value: Value, ignored: &[String], root: Option<&str>) -> Option<Value> {
    match (value, root) {
        (Value::Dict(mut entries), Some(root)) if entries.iter().any(|(name, _)| name == root) => {
            for (_, value) in entries.iter_mut().filter(|(name, _)| name == root) {
                *value = sorted(std::mem::replace(value, Value::None), ignored)?;
            }
            Some(Value::Dict(entries))
        }
        (value, _) => sorted(value, ignored),
    }
}

fn sorted(value: Value, ignored: &[String]) -> Option<Value> {
    match value {
        Value::Dict(mut entries) => {
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            for (_, value) in entries.iter_mut().filter(|(name, _)| ignored.contains(name)) {
                *value = Value::Str(REDACTED.to_owned());
            }
            Some(Value::Dict(entries))
        }
        Value::List(members) => sorted_list(members, ignored).map(Value::List),
        // Python sorts the characters of a string.
        Value::Str(text) => {
            let members = text.chars().map(|c| Value::Str(c.into())).collect();
            sorted_list(members, ignored).map(Value::List)
        }
        _ => None,
    }
}

fn sorted_list(mut members: Vec<Value>, ignored: &[String]) -> Option<Vec<Value>> {
    let mut has_order = true;
    members.sort_by(|a, b| {
        order(a, b).unwrap_or_else(|| {
            has_order = false;
            Ordering::Equal
        })
    });
    // Python looks up members in the set of ignored names, which fails for lists and dicts.
    let cannot_be_looked_up = |member: &Value| matches!(member, Value::List(_) | Value::Dict(_));
    if !has_order || (!ignored.is_empty() && members.iter().any(cannot_be_looked_up)) {
        return None;
    }
    members.retain(|member| !matches!(member, Value::Str(text) if ignored.contains(text)));
    Some(members)
}

/// The order of Python's `<`; `None` if Python raises.
fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Str(a), Value::Str(b)) => Some(a.cmp(b)),
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::List(a), Value::List(b)) => {
            let unequal = a.iter().zip(b).find(|(a, b)| a != b);
            unequal.map_or(Some(a.len().cmp(&b.len())), |(a, b)| order(a, b))
        }
        _ => Some(number(a)?.partial_cmp(&number(b)?).unwrap_or(Ordering::Equal)),
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(truth) => Some(f64::from(u8::from(*truth))),
        Value::Int(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}
