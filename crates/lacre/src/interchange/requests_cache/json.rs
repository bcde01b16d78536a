//! Reads and writes JSON exactly as Python's modules do: with `NaN` and long integers, and with
//! everything but ASCII escaped. The same writer produces YAML.

use super::error::{self, Malformed};
use super::value::{Assembly, Kind, MAX_BYTES, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write;

/// The result of `json.loads(text)`.
pub(super) fn read(text: &[u8]) -> Result<Value, Malformed> {
    if text.len() > MAX_BYTES {
        return Err(error::too_long());
    }
    let rest = str::from_utf8(text).map_err(|_| Malformed::new("is not in UTF-8"))?;
    let mut reader = Reader { rest, assembly: Assembly::default() };
    while reader.value()? == More::Follows {}
    reader.assembly.finish()
}

struct Reader<'a> {
    rest: &'a str,
    assembly: Assembly,
}

#[derive(PartialEq, Eq)]
enum More {
    Follows,
    Nothing,
}

impl Reader<'_> {
    /// Reads the start of the next value, and the ends that follow it.
    fn value(&mut self) -> Result<More, Malformed> {
        self.space();
        if self.eat("[") {
            self.assembly.open(Kind::List)?;
            if !self.follows("]") {
                return Ok(More::Follows);
            }
        } else if self.eat("{") {
            self.assembly.open(Kind::Dict)?;
            if !self.follows("}") {
                return self.key();
            }
        } else {
            let value = self.scalar()?;
            self.assembly.scalar(value)?;
        }
        self.ends()
    }

    fn ends(&mut self) -> Result<More, Malformed> {
        loop {
            self.space();
            match self.assembly.innermost() {
                None if self.rest.is_empty() => return Ok(More::Nothing),
                Some((Kind::List, _)) if self.eat("]") => self.assembly.close()?,
                Some((Kind::Dict, _)) if self.eat("}") => self.assembly.close()?,
                Some((Kind::List, _)) if self.eat(",") => return Ok(More::Follows),
                Some((Kind::Dict, _)) if self.eat(",") => return self.key(),
                _ => return Err(NO_JSON),
            }
        }
    }

    fn key(&mut self) -> Result<More, Malformed> {
        self.space();
        let key = if self.eat("\"") { self.string()? } else { return Err(NO_JSON) };
        self.assembly.scalar(Value::Str(key))?;
        self.space();
        if self.eat(":") { Ok(More::Follows) } else { Err(NO_JSON) }
    }

    fn scalar(&mut self) -> Result<Value, Malformed> {
        const WORDS: [(&str, Value); 6] = [
            ("null", Value::None),
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
            ("NaN", Value::Float(f64::NAN)),
            ("Infinity", Value::Float(f64::INFINITY)),
            ("-Infinity", Value::Float(f64::NEG_INFINITY)),
        ];
        if self.eat("\"") {
            return self.string().map(Value::Str);
        }
        match WORDS.into_iter().find(|(word, _)| self.eat(word)) {
            Some((_, value)) => Ok(value),
            None => self.number(),
        }
    }

    fn number(&mut self) -> Result<Value, Malformed> {
        let all = self.rest;
        let digits = |reader: &mut Self| {
            let tail = reader.rest.trim_start_matches(|c: char| c.is_ascii_digit());
            let count = reader.rest.len() - tail.len();
            reader.rest = tail;
            if count == 0 { Err(NO_JSON) } else { Ok(()) }
        };
        self.eat("-");
        if !self.eat("0") {
            digits(self)?;
        }
        let mut whole = true;
        if self.eat(".") {
            whole = false;
            digits(self)?;
        }
        if self.eat("e") || self.eat("E") {
            whole = false;
            let _ = self.eat("+") || self.eat("-");
            digits(self)?;
        }
        let text = &all[..all.len() - self.rest.len()];
        if whole {
            let number = text.parse().map_err(|_| Malformed::new("has an integer of more than 128 bits"))?;
            Ok(Value::Int(number))
        } else {
            text.parse().map(Value::Float).map_err(|_| NO_JSON)
        }
    }

    /// The rest of a string after its opening quote.
    fn string(&mut self) -> Result<String, Malformed> {
        let mut text = String::new();
        loop {
            let special = |c: char| c == '"' || c == '\\' || c < ' ';
            let end = self.rest.find(special).ok_or(error::cut_off())?;
            text.push_str(&self.rest[..end]);
            self.rest = &self.rest[end..];
            if self.eat("\"") {
                return Ok(text);
            }
            if !self.eat("\\") {
                return Err(Malformed::new("has a control character in a string"));
            }
            text.push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Result<char, Malformed> {
        for (name, meaning) in ESCAPES {
            if self.eat(name) {
                return Ok(meaning);
            }
        }
        let first = self.unit()?;
        let mut units = vec![first];
        if (0xd800..0xdc00).contains(&first) && self.eat("\\") {
            units.push(self.unit()?);
        }
        let mut chars = char::decode_utf16(units);
        match (chars.next(), chars.next()) {
            (Some(Ok(only)), None) => Ok(only),
            _ => Err(Malformed::new("has text that is not Unicode")),
        }
    }

    fn unit(&mut self) -> Result<u16, Malformed> {
        let digits = if self.eat("u") { self.rest.get(..4) } else { None };
        let digits = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let unit = digits.and_then(|digits| u16::from_str_radix(digits, 16).ok()).ok_or(NO_JSON)?;
        self.rest = &self.rest[4..];
        Ok(unit)
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn follows(&mut self, token: &str) -> bool {
        self.space();
        self.rest.starts_with(token)
    }

    fn eat(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
}

const NO_JSON: Malformed = Malformed::new("is not valid");

const ESCAPES: [(&str, char); 8] = [
    ("\"", '"'),
    ("\\", '\\'),
    ("/", '/'),
    ("b", '\u{8}'),
    ("f", '\u{c}'),
    ("n", '\n'),
    ("r", '\r'),
    ("t", '\t'),
];

/// `value` on one line.
pub(super) fn dumps(value: &Value, dialect: Dialect) -> String {
    Writer { out: String::new(), dialect, indent: None }.write(value)
}

/// `value` for a file: indented, with bytes in base64.
pub(super) fn write(value: &Value, dialect: Dialect) -> String {
    Writer { out: String::new(), dialect, indent: Some(0) }.write(value)
}

/// The writer to imitate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Python's `json`.
    Json,
    /// `ujson`, which requests-cache uses to serialize bodies if it is installed.
    Ujson,
    /// YAML: the common subset with JSON, and YAML's own forms where they differ.
    Yaml,
}

struct Writer {
    out: String,
    dialect: Dialect,
    /// The indentation of the line; `None` writes everything on one line.
    indent: Option<usize>,
}

impl Writer {
    fn write(mut self, value: &Value) -> String {
        self.value(value);
        self.out
    }

    /// Recursion is as deep as the value, which is bounded.
    fn value(&mut self, value: &Value) {
        match value {
            Value::None => self.out.push_str("null"),
            Value::Bool(true) => self.out.push_str("true"),
            Value::Bool(false) => self.out.push_str("false"),
            Value::Int(number) => self.append(format_args!("{number}")),
            Value::Float(number) => self.float(*number),
            Value::Str(text) => self.text(text),
            Value::Bytes(bytes) => {
                let tag = if self.dialect == Dialect::Yaml { "!!binary " } else { "" };
                self.append(format_args!("{tag}\"{}\"", STANDARD.encode(bytes)));
            }
            Value::List(members) => self.members('[', members, ']', Self::value),
            Value::Dict(entries) => self.members('{', entries, '}', |writer, (key, value)| {
                writer.text(key);
                writer.out.push_str(if writer.dialect == Dialect::Ujson { ":" } else { ": " });
                writer.value(value);
            }),
        }
    }

    fn members<T>(&mut self, open: char, members: &[T], close: char, mut member: impl FnMut(&mut Self, &T)) {
        self.out.push(open);
        self.indent = self.indent.map(|indent| indent + 2);
        for (index, each) in members.iter().enumerate() {
            if index > 0 {
                let is_tight = self.indent.is_some() || self.dialect == Dialect::Ujson;
                self.out.push_str(if is_tight { "," } else { ", " });
            }
            self.begin_line();
            member(self, each);
        }
        self.indent = self.indent.map(|indent| indent - 2);
        if !members.is_empty() {
            self.begin_line();
        }
        self.out.push(close);
    }

    fn begin_line(&mut self) {
        if let Some(indent) = self.indent {
            self.append(format_args!("\n{:indent$}", ""));
        }
    }

    fn text(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            let name = ESCAPES
                .iter()
                .find(|(_, meaning)| *meaning == c && (c != '/' || self.dialect == Dialect::Ujson));
            match (name, c) {
                (Some((name, _)), _) => self.append(format_args!("\\{name}")),
                (None, ' '..='~') => self.out.push(c),
                (None, '\u{7f}') if self.dialect == Dialect::Ujson => self.out.push(c),
                (None, '\u{10000}'..) if self.dialect == Dialect::Yaml => {
                    self.append(format_args!("\\U{:08x}", u32::from(c)));
                }
                (None, _) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        self.append(format_args!("\\u{unit:04x}"));
                    }
                }
            }
        }
        self.out.push('"');
    }

    fn float(&mut self, number: f64) {
        let (nan, infinity) = match self.dialect {
            Dialect::Json | Dialect::Ujson => ("NaN", "Infinity"),
            Dialect::Yaml => (".nan", ".inf"),
        };
        if number.is_nan() {
            self.out.push_str(nan);
        } else if number.is_infinite() {
            self.append(format_args!("{}{infinity}", if number < 0.0 { "-" } else { "" }));
        } else {
            self.out.push_str(&repr(number, self.dialect));
        }
    }

    fn append(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.out.write_fmt(text);
    }
}

/// A finite number as Python's `repr` writes it: the fewest unambiguous digits, with an exponent
/// below -4 or above 15; the other writers differ in the form of the exponent.
fn repr(number: f64, dialect: Dialect) -> String {
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>().unwrap_or(0) {
        -4..=15 => format!("{number:?}"),
        exponent => match dialect {
            Dialect::Json => format!("{mantissa}e{exponent:+03}"),
            Dialect::Ujson => format!("{mantissa}e{exponent:+}"),
            // Without a point, YAML would read it as a string.
            Dialect::Yaml if mantissa.contains('.') => format!("{mantissa}e{exponent:+}"),
            Dialect::Yaml => format!("{mantissa}.0e{exponent:+}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(text: &str) -> Result<String, Malformed> {
        read(text.as_bytes()).map(|value| dumps(&value, Dialect::Json))
    }

    #[test]
    fn what_python_dumps_is_written_to_the_byte() {
        // Each written by `json.dumps(json.loads(text))` of CPython.
        for (text, python) in [
            (
                "[1.0,1e5,1e16,1e22,123456789.125,1e-5,0.0001,-0.0,5e-324]",
                "[1.0, 100000.0, 1e+16, 1e+22, 123456789.125, 1e-05, 0.0001, -0.0, 5e-324]",
            ),
            (r#"{"a":1,"b":[],"c":{},"a":2}"#, r#"{"a": 2, "b": [], "c": {}}"#),
            (r#""\u00e9é\ud83d\ude00😀\/\b\u007f""#, r#""\u00e9\u00e9\ud83d\ude00\ud83d\ude00/\b\u007f""#),
            ("[NaN,Infinity,-Infinity,1e999]", "[NaN, Infinity, -Infinity, Infinity]"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            (" [ true , false , null ] ", "[true, false, null]"),
        ] {
            assert_eq!(rewritten(text).as_deref(), Ok(python), "{text}");
        }
    }

    #[test]
    fn what_ujson_dumps_is_written_to_the_byte() {
        // Written by `ujson.dumps(json.loads(text))` of ujson 5.
        let text = r#"{"a/b": ["\u007f\u00e9\ud83d\ude00\u0001\b\t\"\\<&>", 1e16, 1e-7, 100000.0, -0.0, 5e-324, 0.0001, 1e-5, []]}"#;
        let written = concat!(
            r#"{"a\/b":[""#,
            "\u{7f}",
            r#"\u00e9\ud83d\ude00\u0001\b\t\"\\<&>",1e+16,1e-7,100000.0,-0.0,5e-324,0.0001,1e-5,[]]}"#
        );
        assert_eq!(dumps(&read(text.as_bytes()).unwrap(), Dialect::Ujson), written);
    }

    #[test]
    fn what_python_refuses_is_refused() {
        for text in [
            "",
            "[",
            "[1",
            "[1,",
            "[1,]",
            "{",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            "{1:2}",
            "01",
            "1.",
            ".5",
            "+1",
            "-",
            "1e",
            "nul",
            "\"",
            "\"\n\"",
            r#""\x""#,
            r#""\u12""#,
            r#""\u+123""#,
            "[1] 2",
            "[}",
            "]",
            r#""\ud83d""#,
        ] {
            assert!(rewritten(text).is_err(), "{text}");
        }
    }

    #[test]
    fn nesting_is_refused_before_it_costs_anything() {
        assert_eq!(read("[".repeat(1_000_000).as_bytes()), Err(error::too_deep()));
    }

    #[test]
    fn an_indented_file_means_the_same() {
        let value = read(br#"{"a": [1, {"b": null}], "c": {}, "d": []}"#).unwrap();
        let file = write(&value, Dialect::Json);
        assert_eq!(file.lines().nth(1), Some("  \"a\": ["));
        assert_eq!(read(file.as_bytes()), Ok(value));
    }
}
