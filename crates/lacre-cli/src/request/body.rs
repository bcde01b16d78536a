//! The body of a request: one text, or fields as JSON, as a form or as a multipart form.

use super::item::Upload;
use crate::exit::{Exit, Failure};
use reqwest::multipart::{Form, Part};
use serde_json::{Map, Value};
use std::io::Read;
use url::form_urlencoded;

/// The body of a request.
#[derive(Debug)]
pub(super) enum Body {
    None,
    /// Bytes, and their media type.
    Bytes(Vec<u8>, &'static str),
    Multipart(Form),
}

/// The fields and files that the items name.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) fields: Vec<(String, Value)>,
    pub(super) files: Vec<(String, Upload)>,
}

impl Draft {
    /// Builds the body from `data` or from the fields and files.
    pub(super) fn finish(self, data: &[String], form: bool) -> Result<Body, Failure> {
        let has_items = !self.fields.is_empty() || !self.files.is_empty();
        match (data.is_empty(), has_items) {
            (true, false) => Ok(Body::None),
            (false, true) => {
                Err(Failure::usage("a request has one body: --data cannot be combined with fields")
                    .with_hint("leave out --data, or the items with `=`, `:=` and `@`"))
            }
            (false, false) => Ok(Body::Bytes(joined(data)?, "application/x-www-form-urlencoded")),
            (true, true) if form => self.form(),
            (true, true) => self.json(),
        }
    }

    fn json(self) -> Result<Body, Failure> {
        if let Some((name, _)) = self.files.first() {
            return Err(Failure::usage(format!("`{name}@PATH` sends a file, and JSON cannot carry files"))
                .with_hint(
                    "add --form to send a multipart form, or write name=@PATH to send the file as text",
                ));
        }
        let fields: Map<_, _> = self.fields.into_iter().collect();
        Ok(Body::Bytes(Value::Object(fields).to_string().into_bytes(), "application/json"))
    }

    fn form(self) -> Result<Body, Failure> {
        let fields = self.fields.into_iter().map(|(name, value)| match value {
            Value::String(text) => Ok((name, text)),
            Value::Number(_) | Value::Bool(_) => Ok((name, value.to_string())),
            _ => Err(Failure::usage(format!("the JSON value of `{name}` cannot be sent in a form"))
                .with_hint("write name=value, or leave out --form")),
        });
        let fields = fields.collect::<Result<Vec<_>, _>>()?;
        if self.files.is_empty() {
            let text = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
            return Ok(Body::Bytes(text.into_bytes(), "application/x-www-form-urlencoded"));
        }
        let form = fields.into_iter().fold(Form::new(), |form, (name, text)| form.text(name, text));
        let form =
            self.files.into_iter().try_fold(form, |form, (name, file)| Ok(form.part(name, file.part()?)));
        form.map(Body::Multipart)
    }
}

impl Upload {
    fn part(self) -> Result<Part, Failure> {
        let part = Part::bytes(self.content).file_name(self.name);
        match self.media_type {
            None => Ok(part),
            Some(media_type) => part.mime_str(&media_type).map_err(|_| {
                Failure::usage(format!("`{media_type}` is not a media type"))
                    .with_hint("write name@PATH;type=text/plain")
            }),
        }
    }
}

/// Joins the values of --data by `&`, as in a form.
fn joined(data: &[String]) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    for (index, text) in data.iter().enumerate() {
        if index > 0 {
            body.push(b'&');
        }
        match text.strip_prefix('@') {
            None => body.extend_from_slice(text.as_bytes()),
            Some("-") => drop(std::io::stdin().lock().read_to_end(&mut body)?),
            Some(path) => body.extend(std::fs::read(path).map_err(|error| {
                Failure::new(Exit::Failed, format!("cannot read --data from {path}: {error}"))
                    .with_hint("`@PATH` reads the body from a file, `@-` from standard input")
            })?),
        }
    }
    Ok(body)
}
