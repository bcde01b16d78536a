//! Converts stored bytes to a response and back: verifies the signature first, then parses.

use super::error::{self, Malformed};
use super::json::{self, Dialect};
use super::pickle::{self, Opcode, Refused};
use super::response::Response;
use super::value::{MAX_BYTES, Value};
use super::yaml;
use crate::{Error, ErrorKind};
use bytes::Bytes;
use lacre_seal::Authentic;
use lacre_seal::itsdangerous::{BadSignature, Signer};

/// The format of a stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Python's pickle, plain data only.
    Pickle,
    /// JSON, with bodies in base64.
    Json,
    /// YAML.
    Yaml,
}

impl Format {
    /// The probable format of `bytes`. Reading any format is safe.
    fn of(bytes: &[u8]) -> Self {
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        match bytes.first() {
            Some(b'{') => Self::Json,
            // PyYAML begins with the first key of a dict, and our writer with a marker; no pickle
            // does.
            Some(byte) if byte.is_ascii() && (line.contains(&b':') || line == b"---") => Self::Yaml,
            _ => Self::Pickle,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Pickle => "pickle",
            Self::Json => "JSON",
            Self::Yaml => "YAML",
        }
    }
}

/// Reads and writes stored responses.
#[derive(Clone, Debug)]
pub struct Serializer {
    format: Option<Format>,
    signer: Option<Signer>,
}

impl Serializer {
    /// The counterpart of `safe_pickle_serializer(secret_key=secret)`, for any format.
    ///
    /// # Errors
    /// [`ErrorKind::Config`]: the secret is empty.
    pub fn safe_pickle(secret: impl AsRef<[u8]>) -> Result<Self, Error> {
        let signer = Signer::builder().secret(secret).salt("requests-cache").build();
        let signer =
            signer.map_err(|fault| Error::new(ErrorKind::Config, fault.to_string()).with_source(fault))?;
        Ok(Self::signed_by(signer))
    }

    /// Signs with `signer`, and reads nothing unsigned: for your own salt, digest or several
    /// secrets.
    pub fn signed_by(signer: Signer) -> Self {
        Self { format: None, signer: Some(signer) }
    }

    /// Neither writes nor requires signatures: everyone who can write the file controls the
    /// responses read from it.
    pub fn danger_unsigned() -> Self {
        Self { format: None, signer: None }
    }

    /// Reads and writes this format only. By default, every format is read, and pickle is written.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.format = Some(format);
        self
    }

    /// Whether stored bytes must be signed.
    #[must_use]
    pub fn is_signed(&self) -> bool {
        self.signer.is_some()
    }

    /// Reads a stored response.
    ///
    /// # Errors
    /// [`ErrorKind::Tampered`]: it is not signed with this secret. [`ErrorKind::Broken`]: it is not a
    /// response of requests-cache, or reading it would need to run code.
    pub fn decode(&self, stored: &[u8]) -> Result<Response, Error> {
        let authentic = match &self.signer {
            Some(signer) => signer.verify(stored).map_err(bad_signature)?,
            None if is_signed(stored) => return Err(needs_secret()),
            None => Authentic::danger_assume(stored.to_vec()),
        };
        let format = self.format.unwrap_or_else(|| Format::of(authentic.as_bytes()));
        let malformed = |malformed: Malformed| malformed.into_error(format.name());
        Response::from_value(value(format, authentic)?).map_err(malformed)
    }

    /// Writes a response for requests-cache.
    #[must_use]
    pub fn encode(&self, response: &Response) -> Vec<u8> {
        let value = response.to_value();
        let bytes = match self.format.unwrap_or(Format::Pickle) {
            Format::Pickle => pickle::write(&value),
            Format::Json => json::write(&value, Dialect::Json).into_bytes(),
            Format::Yaml => yaml::write(&value).into_bytes(),
        };
        match &self.signer {
            Some(signer) => signer.sign(&bytes),
            None => bytes,
        }
    }
}

impl Value {
    /// Reads a pickle of plain data. An opcode that would run code is refused by name.
    ///
    /// # Errors
    /// [`ErrorKind::Broken`]: it is not a pickle of plain data, or is too large.
    pub fn from_pickle(pickle: impl Into<Bytes>) -> Result<Self, Error> {
        pickle::read(&pickle.into()).map_err(|refused| match refused {
            Refused::Malformed(what) => what.into_error(Format::Pickle.name()),
            Refused::Opcode(opcode) => refused_opcode(opcode),
        })
    }

    /// Writes a pickle.
    #[must_use]
    pub fn to_pickle(&self) -> Vec<u8> {
        pickle::write(self)
    }
}

fn value(format: Format, stored: Authentic) -> Result<Value, Error> {
    let malformed = |malformed: Malformed| malformed.into_error(format.name());
    if stored.len() > MAX_BYTES {
        return Err(malformed(error::too_long()));
    }
    match format {
        Format::Pickle => Value::from_pickle(stored.into_bytes()),
        Format::Json => json::read(stored.as_bytes()).map_err(malformed),
        Format::Yaml => yaml::read(stored.as_bytes()).map_err(malformed),
    }
}

fn refused_opcode(opcode: Opcode) -> Error {
    let broken = |message: String| Error::new(ErrorKind::Broken, message);
    match opcode {
        Opcode::RunsCode(name) => broken(format!("pickle opcode {name} refused: it would run code")).with_hint(
            "requests-cache 0.7 and older, and 0.9 for redirects, wrote such pickles: fetch those responses again; in any other, somebody planted it",
        ),
        Opcode::NotUsed(name) => broken(format!("pickle opcode {name} refused: requests-cache does not write it")),
        Opcode::Unknown(byte) => broken(format!("the stored pickle has an opcode that is none: 0x{byte:02x}")),
    }
}

fn bad_signature(bad: BadSignature) -> Error {
    Error::new(ErrorKind::Tampered, "the signature does not hold")
        .with_hint("either the secret is another one, or the entry was changed; fetch the response again")
        .with_source(bad)
}

/// Whether a signature of `safe_pickle_serializer` follows the pickle: a separator and 20 bytes in
/// base64.
fn is_signed(stored: &[u8]) -> bool {
    const SIGNATURE: usize = 27;
    let Some(end) = stored.len().checked_sub(SIGNATURE + 2) else { return false };
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    stored.first() == Some(&0x80)
        && stored[end..].starts_with(b"..")
        && stored[end + 2..].iter().all(is_digit)
}

fn needs_secret() -> Error {
    Error::new(ErrorKind::KeyUnavailable, "the entry is signed, and there is no secret to verify it with")
        .with_hint("name the secret of its safe_pickle_serializer")
}
