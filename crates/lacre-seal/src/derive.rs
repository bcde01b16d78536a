//! Key derivation with HKDF-SHA-256 from a master key: key ids, index keys, and the keys of an
//! envelope (docs/format.md §2 and §3, decision 2).

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use zeroize::Zeroizing;

use crate::secret::Secret;
use crate::{Context, Fault};

/// The derived bytes of an envelope: a 32-byte segment key and a 32-byte commitment.
pub(crate) struct EnvelopeKeys(Zeroizing<[[u8; 32]; 2]>);

/// The info input for an envelope: the header fields and the context.
pub(crate) fn info(fields: &[u8; 48], at: &Context<'_>) -> Result<Vec<u8>, Fault> {
    let mut info = Vec::with_capacity(256);
    info.extend_from_slice(b"lacre/v1/envelope");
    info.extend_from_slice(fields);
    at.feed(|piece| info.extend_from_slice(piece))?;
    Ok(info)
}

impl EnvelopeKeys {
    /// Derives the keys of an envelope from the salt and [`info`].
    pub(crate) fn derive(master: &Secret, salt: &[u8; 32], info: &[u8]) -> Result<Self, Fault> {
        let mut okm = Zeroizing::new([[0; 32]; 2]);
        hkdf(&Salt::new(HKDF_SHA256, salt), master.as_bytes(), info, okm.as_flattened_mut())?;
        Ok(Self(okm))
    }

    pub(crate) fn segment_key(&self) -> &[u8; 32] {
        &self.0[0]
    }

    pub(crate) fn commitment(&self) -> &[u8; 32] {
        &self.0[1]
    }
}

/// Fills `out` from the master key alone, separated by `label`.
pub(crate) fn labelled(master: &Secret, label: &str, out: &mut [u8]) -> Result<(), Fault> {
    hkdf(&Salt::none(HKDF_SHA256), master.as_bytes(), label.as_bytes(), out)
}

pub(crate) fn hkdf(salt: &Salt, ikm: &[u8], info: &[u8], out: &mut [u8]) -> Result<(), Fault> {
    struct Length(usize);
    impl KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let length = Length(out.len());
    Ok(salt.extract(ikm).expand(&[info], length)?.fill(out)?)
}
