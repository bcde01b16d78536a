//! The suite's definitions as data. Fields that this interpreter does not know are an error, so
//! that none is ignored.

use lacre::Timestamp;
use serde::{Deserialize, Deserializer};
use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

/// When every run begins: 2026-01-01T00:00:00Z.
pub(crate) const START: Timestamp = Timestamp::from_seconds(1_767_225_600);

/// All tests, in the suite's order.
pub(crate) struct Suite {
    pub(crate) tests: Vec<Test>,
}

impl Suite {
    /// Reads the suite; `None` where it is absent and nobody asked for it.
    pub(crate) fn load() -> Result<Option<Self>, Box<dyn Error>> {
        let path = match env::var_os("LACRE_CACHE_TESTS") {
            Some(path) => PathBuf::from(path),
            None => {
                let beside =
                    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cache-tests/tests.json");
                if !beside.exists() {
                    return Ok(None);
                }
                beside
            }
        };
        let text = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let groups: Vec<Group> = serde_json::from_slice(&text)?;
        Ok(Some(Self { tests: groups.into_iter().flat_map(|group| group.tests).collect() }))
    }

    pub(crate) fn test(&self, id: &str) -> Option<&Test> {
        self.tests.iter().find(|test| test.id == id)
    }
}

#[derive(Deserialize)]
struct Group {
    tests: Vec<Test>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Test {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) kind: Kind,
    #[serde(default)]
    pub(crate) depends_on: Vec<String>,
    #[serde(default)]
    pub(crate) browser_only: bool,
    #[serde(default)]
    pub(crate) cdn_only: bool,
    #[serde(default, rename = "browser_skip")]
    _browser_skip: bool,
    #[serde(rename = "name")]
    _name: String,
    #[serde(default, rename = "spec_anchors")]
    _spec_anchors: Vec<String>,
    pub(crate) requests: Vec<Step>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    #[default]
    Required,
    Optimal,
    Check,
}

/// One request, what the origin answers if it gets there, and what is expected of both.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    pub(crate) request_method: Option<String>,
    #[serde(default)]
    pub(crate) request_headers: Vec<(String, Value)>,
    pub(crate) request_body: Option<String>,
    pub(crate) query_arg: Option<String>,
    pub(crate) filename: Option<String>,
    #[serde(default)]
    pub(crate) magic_ims: bool,
    #[serde(default)]
    pub(crate) magic_locations: bool,
    #[serde(default)]
    pub(crate) rfc850date: Vec<String>,
    #[serde(default)]
    pub(crate) pause_after: bool,
    /// For a browser's own cache only.
    #[serde(rename = "cache")]
    _cache: Option<String>,
    /// No redirect is followed here, as nothing in the suite wants it.
    #[serde(rename = "redirect")]
    _redirect: Option<String>,

    pub(crate) response_status: Option<(u16, String)>,
    #[serde(default)]
    pub(crate) response_headers: Vec<ResponseHeader>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) response_body: Option<Option<String>>,
    /// Seconds.
    pub(crate) response_pause: Option<u64>,
    #[serde(default)]
    pub(crate) disconnect: bool,
    pub(crate) interim_responses: Option<serde_json::Value>,

    pub(crate) expected_type: Option<Expected>,
    pub(crate) expected_method: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) expected_status: Option<Option<u16>>,
    #[serde(default)]
    pub(crate) expected_request_headers: Vec<HeaderCheck>,
    #[serde(default)]
    pub(crate) expected_request_headers_missing: Vec<HeaderCheck>,
    #[serde(default)]
    pub(crate) expected_response_headers: Vec<HeaderCheck>,
    #[serde(default)]
    pub(crate) expected_response_headers_missing: Vec<HeaderCheck>,
    #[serde(rename = "expected_interim_responses")]
    _expected_interim_responses: Option<serde_json::Value>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) expected_response_text: Option<Option<String>>,
    pub(crate) check_body: Option<bool>,
    #[serde(default)]
    setup: bool,
    #[serde(default)]
    setup_tests: Vec<String>,
}

impl Step {
    /// Whether the check named after `field` only prepares the test: where it fails, the test says
    /// nothing.
    pub(crate) fn prepares(&self, field: &str) -> bool {
        self.setup || self.setup_tests.iter().any(|name| name == field)
    }

    pub(crate) fn method(&self) -> &str {
        self.request_method.as_deref().unwrap_or("GET")
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Expected {
    Cached,
    NotCached,
    LmValidated,
    EtagValidated,
}

/// A header's value, or a number to make one of: seconds from now, where the header is a date.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Value {
    Text(String),
    Number(i64),
}

/// A header of an origin's response, and whether the client checks that it arrives.
#[derive(Deserialize)]
pub(crate) struct ResponseHeader(
    pub(crate) String,
    pub(crate) Value,
    #[serde(default = "yes")] pub(crate) bool,
);

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum HeaderCheck {
    Present(String),
    Equals(String, Value),
    /// `=` and the name of another header, or `>` and a number.
    Compared(String, String, Value),
}

/// Tells a field that is `null` from one that is absent.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(field: D) -> Result<Option<T>, D::Error> {
    T::deserialize(field).map(Some)
}
