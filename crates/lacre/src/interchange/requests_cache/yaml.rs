//! Reads and writes YAML as PyYAML does: version 1.1, in which `1e5` and `0o17` are strings and
//! `yes` is a boolean. Tags for objects, and aliases, which no response needs, are refused.

use super::error::{self, Malformed};
use super::json::{self, Dialect};
use super::value::{Assembly, Kind, MAX_BYTES, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

/// The result of `yaml.safe_load(text)`, for text that PyYAML writes.
pub(super) fn read(text: &[u8]) -> Result<Value, Malformed> {
    if text.len() > MAX_BYTES {
        return Err(error::too_long());
    }
    let text = str::from_utf8(text).map_err(|_| Malformed::new("is not in UTF-8"))?;
    let mut assembly = Assembly::default();
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|_| Malformed::new("is not valid"))?;
        match event {
            Event::Scalar(text, style, _, tag) => assembly.scalar(scalar(&text, style, tag.as_deref())?)?,
            Event::SequenceStart(_, tag) => {
                ensure_plain(tag.as_deref(), "seq")?;
                assembly.open(Kind::List)?;
            }
            Event::MappingStart(_, tag) => {
                ensure_plain(tag.as_deref(), "map")?;
                assembly.open(Kind::Dict)?;
            }
            Event::SequenceEnd | Event::MappingEnd => assembly.close()?,
            Event::Alias(_) => return Err(Malformed::new("uses one value in two places")),
            _ => {}
        }
    }
    assembly.finish()
}

/// `value` as YAML for `yaml.safe_load`. Its first byte distinguishes it from JSON.
pub(super) fn write(value: &Value) -> String {
    format!("---\n{}\n", json::write(value, Dialect::Yaml))
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, Malformed> {
    let core = tag.filter(|tag| tag.is_yaml_core_schema()).map(|tag| tag.suffix.as_str());
    match (core, tag) {
        (None, None) if style == ScalarStyle::Plain => Ok(plain(text)),
        (None, None) | (Some("str"), _) => Ok(Value::Str(text.to_owned())),
        (Some("binary"), _) => {
            let packed: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
            let bytes =
                STANDARD.decode(packed).map_err(|_| Malformed::new("has bytes that are not base64"))?;
            Ok(Value::Bytes(bytes.into()))
        }
        (Some("null" | "bool" | "int" | "float"), _) => Ok(plain(text)),
        _ => Err(OBJECT),
    }
}

fn ensure_plain(tag: Option<&Tag>, name: &str) -> Result<(), Malformed> {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema() || tag.suffix != name => Err(OBJECT),
        _ => Ok(()),
    }
}

const OBJECT: Malformed = Malformed::new("has a tag that stands for an object: reading it could run code");

/// The value of an unquoted scalar.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::None,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Value::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Value::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" => Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Value::Float(f64::NEG_INFINITY),
        text => number(text).unwrap_or_else(|| Value::Str(text.to_owned())),
    }
}

/// A decimal number; a float has a point, and its exponent a sign.
fn number(text: &str) -> Option<Value> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let is_whole = digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_whole && (digits == "0" || !digits.starts_with('0')) {
        return text.parse().ok().map(Value::Int);
    }
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "+0"));
    let has_sign = exponent.starts_with(['-', '+']);
    if mantissa.contains('.') && has_sign { text.parse().ok().map(Value::Float) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_scalar_means_what_it_means_to_pyyaml() {
        // Results of PyYAML's `yaml.safe_load`.
        for (text, value) in [
            ("12", Value::Int(12)),
            ("-0", Value::Int(0)),
            ("1.5", Value::Float(1.5)),
            ("1.0e+20", Value::Float(1e20)),
            ("1e5", Value::Str("1e5".into())),
            ("1.0e5", Value::Str("1.0e5".into())),
            ("0o17", Value::Str("0o17".into())),
            ("1.2.3", Value::Str("1.2.3".into())),
            ("yes", Value::Bool(true)),
            ("'yes'", Value::Str("yes".into())),
            ("~", Value::None),
            ("!!str 12", Value::Str("12".into())),
            ("!!binary aGk=", Value::Bytes("hi".into())),
            ("!!binary |\n  aG\n  k=\n", Value::Bytes("hi".into())),
        ] {
            assert_eq!(read(text.as_bytes()), Ok(value), "{text}");
        }
    }

    #[test]
    fn a_tag_that_stands_for_an_object_is_refused() {
        for text in
            ["!!python/object/apply:os.getcwd []", "!!python/name:os.getcwd", "!<x> {}", "!x 1", "!!set {a}"]
        {
            assert_eq!(read(text.as_bytes()), Err(OBJECT), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let value = Value::Dict(vec![
            ("a: b".into(), Value::Bytes(vec![0, 255].into())),
            ("ü😀".into(), Value::Str("no\n\u{85}\u{2028}\u{7f}😀\"\\".into())),
            (
                "n".into(),
                Value::List(vec![Value::Int(-1), Value::Float(2.0), Value::None, Value::Bool(true)]),
            ),
        ]);
        assert_eq!(read(write(&value).as_bytes()), Ok(value));
    }

    #[test]
    fn aliases_and_second_documents_are_refused() {
        assert!(read(b"[&a [1], *a]").is_err());
        assert!(read(b"--- 1\n--- 2\n").is_err());
        assert!(read(b"").is_err());
        assert!(read("[".repeat(100_000).as_bytes()).is_err());
    }
}
