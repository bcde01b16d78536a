//! A request item as in HTTPie: `Name:value`, `name==value`, `name=value` and similar forms.

use crate::exit::{Exit, Failure};
use http::{HeaderName, HeaderValue};
use serde_json::Value;
use std::path::Path;

/// The part of a request that an item adds.
#[derive(Debug)]
pub(super) enum Item {
    /// A header with a value, which may be empty.
    Header(HeaderName, HeaderValue),
    /// A default header to leave out.
    NoHeader(HeaderName),
    /// A parameter of the query.
    Query(String, String),
    /// A field of the body.
    Field(String, Value),
    /// A file in a multipart body.
    File(String, Upload),
}

/// A file to send.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) name: String,
    pub(super) content: Vec<u8>,
    /// The value of `;type=`.
    pub(super) media_type: Option<String>,
}

/// The separators. If several match at one position, the first in this list wins.
const SEPARATORS: [&str; 8] = [":=@", "==@", "=@", ":=", "==", ":", "=", "@"];

impl Item {
    /// Parses an item at its first separator. A backslash makes the next character part of the
    /// name.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let Some((name, separator, value)) = split(text) else {
            return match text.strip_suffix(';') {
                Some(name) => Ok(Self::Header(header_name(name)?, HeaderValue::from_static(""))),
                None => Err(Failure::usage("a request item has no separator").with_hint(
                    "write Name:value, name==value or name=value; `lacre get --help` lists every form",
                )),
            };
        };
        Ok(match separator {
            ":" if value.trim().is_empty() => Self::NoHeader(header_name(&name)?),
            ":" => Self::Header(header_name(&name)?, header_value(&name, value)?),
            "==" => Self::Query(name, value.to_owned()),
            "==@" => {
                Self::Query(name.clone(), read_text(&name, value)?.trim_end_matches(['\r', '\n']).to_owned())
            }
            "=" => Self::Field(name, value.into()),
            "=@" => Self::Field(name.clone(), read_text(&name, value)?.into()),
            ":=" => Self::Field(name.clone(), json(&name, value)?),
            ":=@" => Self::Field(name.clone(), json(&name, &read_text(&name, value)?)?),
            _ => Self::File(name.clone(), Upload::read(&name, value)?),
        })
    }
}

/// Splits an item into name, separator and value.
fn split(text: &str) -> Option<(String, &'static str, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        if let Some(separator) = SEPARATORS.into_iter().find(|separator| rest.starts_with(separator)) {
            return Some((name, separator, &rest[separator.len()..]));
        }
        let mut characters = rest.chars();
        match (characters.next()?, characters.clone().next()) {
            ('\\', Some(escaped)) => {
                name.push(escaped);
                characters.next();
            }
            (character, _) => name.push(character),
        }
        rest = characters.as_str();
    }
}

fn header_name(name: &str) -> Result<HeaderName, Failure> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
        Failure::usage(format!("`{name}` is not a valid header name")).with_hint("write Name:value")
    })
}

fn header_value(name: &str, value: &str) -> Result<HeaderValue, Failure> {
    let value = match value.strip_prefix('@') {
        Some(path) => HeaderValue::from_bytes(read(name, path)?.trim_ascii()),
        None => HeaderValue::from_bytes(value.trim().as_bytes()),
    };
    value.map_err(|_| {
        Failure::usage(format!(
            "the value of header `{name}` contains characters that headers cannot contain"
        ))
        .with_hint("a header value is one line of text")
    })
}

fn json(name: &str, value: &str) -> Result<Value, Failure> {
    serde_json::from_str(value).map_err(|_| {
        Failure::usage(format!("the value of `{name}` is not JSON"))
            .with_hint("write name=value to send text")
    })
}

impl Upload {
    /// Reads the file of `PATH` or `PATH;type=MEDIA-TYPE`.
    fn read(name: &str, value: &str) -> Result<Self, Failure> {
        let (path, media_type) = match value.split_once(";type=") {
            Some((path, media_type)) => (path, Some(media_type.to_owned())),
            None => (value, None),
        };
        let content = read(name, path)?;
        let file = Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned());
        Ok(Self { name: file.unwrap_or_default(), content, media_type })
    }
}

fn read_text(name: &str, path: &str) -> Result<String, Failure> {
    String::from_utf8(read(name, path)?).map_err(|_| {
        Failure::usage(format!("the file {path} for `{name}` is not UTF-8 text"))
            .with_hint("with --form, name@PATH sends the file unchanged; -d @PATH makes it the whole body")
    })
}

fn read(name: &str, path: &str) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot read the value of `{name}` from {path}: {error}"))
            .with_hint("`@PATH` reads a value from a file")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match Item::parse(text) {
            Ok(Item::Header(name, value)) => format!("header {name} {:?}", value.to_str().unwrap()),
            Ok(Item::NoHeader(name)) => format!("no header {name}"),
            Ok(Item::Query(name, value)) => format!("query {name} {value:?}"),
            Ok(Item::Field(name, value)) => format!("field {name} {value}"),
            Ok(Item::File(name, _)) => format!("file {name}"),
            Err(failure) => format!("error {:?}", failure.exit),
        }
    }

    #[test]
    fn first_separator_decides_the_kind_of_item() {
        for (text, expected) in [
            ("Referer:http://h/?a=b", r#"header referer "http://h/?a=b""#),
            ("X-Empty;", r#"header x-empty """#),
            ("Accept:", "no header accept"),
            ("q==a=b:c", r#"query q "a=b:c""#),
            ("a=x:=1", r#"field a "x:=1""#),
            ("a:=[1, true]", "field a [1,true]"),
            (r"a\:b=1", r#"field a:b "1""#),
            (r"a\\=1", r#"field a\ "1""#),
            ("nothing", "error Usage"),
            ("a:={", "error Usage"),
            ("b ad:x", "error Usage"),
            ("X:a\u{0}b", "error Usage"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn at_sign_reads_the_value_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("value");
        std::fs::write(&path, "[1]\n").unwrap();
        let path = path.display();
        assert_eq!(shown(&format!("a=@{path}")), r#"field a "[1]\n""#);
        assert_eq!(shown(&format!("a:=@{path}")), "field a [1]");
        assert_eq!(shown(&format!("a==@{path}")), r#"query a "[1]""#);
        assert_eq!(shown(&format!("X-A:@{path}")), r#"header x-a "[1]""#);
        assert_eq!(shown(&format!("a@{path};type=text/plain")), "file a");
        assert_eq!(shown("a=@/nowhere/at/all"), "error Failed");
    }
}
