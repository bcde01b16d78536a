//! Master keys and the keyring: one key seals, all of them open (docs/format.md §3).
//!
//! A keyring is a value. The caller reads and stores its text.

use std::fmt;

use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::key_id::KeyId;
use crate::secret::{self, Secret};
use crate::{Fault, FaultKind, derive, hex};

/// The maximum number of keys in a ring.
const MAX_KEYS: usize = 64;
/// The first line of a keyring's text.
const FIRST_LINE: &str = "lacre-keyring-v1";
/// The first line of a keyring that is locked with a passphrase (§13).
pub(crate) const LOCKED: &str = "lacre-passphrase-v1";

/// The keys of a user or application, and the epoch below which nothing opens.
///
/// The index key computes row keys and survives every rotation (decision 4). The primary key seals.
/// Every key in the ring opens.
#[derive(Clone)]
pub struct Keyring {
    index: Secret,
    epoch: u64,
    primary: MasterKey,
    /// Newest first.
    verify: Vec<MasterKey>,
}

impl Keyring {
    /// The maximum length of a keyring's text, in bytes.
    pub const MAX_TEXT_LEN: usize = 64 << 10;

    /// Generates a ring with one key.
    ///
    /// # Errors
    /// [`FaultKind::Random`] if the operating system has no random bytes.
    pub fn generate() -> Result<Self, Fault> {
        let (index, primary) = (Secret::generate()?, MasterKey::generate()?);
        Ok(Self { index, epoch: 0, primary, verify: Vec::new() })
    }

    /// Creates a ring from a bare key. The index key is derived from it; the epoch is 0.
    ///
    /// # Errors
    /// [`FaultKind::Provider`] if the cryptographic provider fails.
    pub fn from_master(primary: MasterKey) -> Result<Self, Fault> {
        let mut index = Secret::blank();
        derive::labelled(&primary.secret, "lacre/v1/index", index.as_mut_slice())?;
        Ok(Self { index, epoch: 0, primary, verify: Vec::new() })
    }

    /// Parses the text of a ring, or one line with a bare key. At most 64 keys and 64 KiB are
    /// accepted.
    ///
    /// # Errors
    /// [`NotAKeyring`](FaultKind::NotAKeyring), [`BadKeyringLine`](FaultKind::BadKeyringLine),
    /// [`KeyringNeeds`](FaultKind::KeyringNeeds), [`DuplicateKey`](FaultKind::DuplicateKey),
    /// [`Locked`](FaultKind::Locked), [`KeyringTooLarge`](FaultKind::KeyringTooLarge),
    /// [`BadKey`](FaultKind::BadKey) or [`WeakKey`](FaultKind::WeakKey). No error contains the
    /// text.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.len() > Self::MAX_TEXT_LEN {
            return Err(FaultKind::KeyringTooLarge.into());
        }
        let mut lines = meaningful_lines(text);
        match lines.next() {
            Some((_, FIRST_LINE)) => Self::parse_lines(lines),
            Some((_, LOCKED)) => Err(FaultKind::Locked.into()),
            Some((_, bare)) if lines.next().is_none() && !bare.starts_with("lacre-keyring") => {
                Self::from_master(MasterKey::parse(bare)?)
            }
            _ => Err(FaultKind::NotAKeyring.into()),
        }
    }

    fn parse_lines<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> Result<Self, Fault> {
        let (mut index, mut epoch, mut primary, mut verify) = (None, None, None, Vec::new());
        for (number, line) in lines {
            let bad_line = FaultKind::BadKeyringLine(number);
            let (name, value) = line.split_once(' ').unwrap_or((line, ""));
            match name {
                "index" => once("index", &mut index, Secret::from_base64url(value)?)?,
                "epoch" => once("epoch", &mut epoch, decimal(value).ok_or(bad_line)?)?,
                "primary" => once("primary", &mut primary, MasterKey::from_base64url(value)?)?,
                "verify" if verify.len() + 1 == MAX_KEYS => return Err(FaultKind::KeyringTooLarge.into()),
                "verify" => verify.push(MasterKey::from_base64url(value)?),
                _ => return Err(bad_line.into()),
            }
        }
        let ring = Self {
            index: index.ok_or(FaultKind::KeyringNeeds("index"))?,
            epoch: epoch.ok_or(FaultKind::KeyringNeeds("epoch"))?,
            primary: primary.ok_or(FaultKind::KeyringNeeds("primary"))?,
            verify,
        };
        let ids: Vec<KeyId> = ring.key_ids().collect();
        match ids.iter().enumerate().find(|(place, id)| ids[..*place].contains(id)) {
            Some((_, twice)) => Err(FaultKind::DuplicateKey(*twice).into()),
            None => Ok(ring),
        }
    }

    /// Formats the ring as text, with its secrets. [`parse`](Self::parse) reads it.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        // The capacity is final: a reallocation would leave parts of the keys in freed memory.
        let mut text = Zeroizing::new(String::with_capacity(128 + 64 * (2 + self.verify.len())));
        text.push_str(FIRST_LINE);
        text.push_str("\nindex ");
        self.index.push_base64url(&mut text);
        text.push_str("\nepoch ");
        text.push_str(&self.epoch.to_string());
        for (place, key) in self.keys().enumerate() {
            text.push_str(if place == 0 { "\nprimary " } else { "\nverify " });
            key.secret.push_base64url(&mut text);
        }
        text.push('\n');
        text
    }

    /// The id of the primary key.
    #[must_use]
    pub fn primary(&self) -> KeyId {
        self.primary.id
    }

    /// The ids of all keys, the primary first.
    pub fn key_ids(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.keys().map(MasterKey::id)
    }

    /// The current epoch. Envelopes of lower epochs are revoked.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Generates a new primary key and returns its id. The old primary only opens from now on.
    ///
    /// Row keys do not change, because the index key stays.
    ///
    /// # Errors
    /// [`KeyringTooLarge`](FaultKind::KeyringTooLarge) if the ring is full,
    /// [`Random`](FaultKind::Random) if the operating system has no random bytes. The ring does not
    /// change then.
    pub fn rotate(&mut self) -> Result<KeyId, Fault> {
        if self.verify.len() + 1 == MAX_KEYS {
            return Err(FaultKind::KeyringTooLarge.into());
        }
        let old = std::mem::replace(&mut self.primary, MasterKey::generate()?);
        self.verify.insert(0, old);
        Ok(self.primary.id)
    }

    /// Removes a verify-only key. Envelopes that it sealed no longer open.
    ///
    /// # Errors
    /// [`KeyInUse`](FaultKind::KeyInUse) for the primary, [`UnknownKey`](FaultKind::UnknownKey) if
    /// the ring does not contain the key.
    pub fn retire(&mut self, id: KeyId) -> Result<(), Fault> {
        if id == self.primary.id {
            return Err(FaultKind::KeyInUse(id).into());
        }
        let place = self.verify.iter().position(|key| key.id == id).ok_or(FaultKind::UnknownKey(id))?;
        self.verify.remove(place);
        Ok(())
    }

    /// Raises the epoch and returns it. All envelopes that any key of this ring has sealed are
    /// revoked.
    pub fn raise_epoch(&mut self) -> u64 {
        self.epoch = self.epoch.saturating_add(1);
        self.epoch
    }

    /// Computes a row key: the keyed BLAKE3 digest of an injective identity (docs/format.md §5).
    #[must_use]
    pub fn row_key(&self, identity: &[u8]) -> [u8; 32] {
        blake3::keyed_hash(self.index.as_bytes(), identity).into()
    }

    pub(crate) fn master(&self, id: KeyId) -> Result<&Secret, Fault> {
        let found = self.keys().find(|key| key.id == id);
        Ok(&found.ok_or(FaultKind::UnknownKey(id))?.secret)
    }

    fn keys(&self) -> impl Iterator<Item = &MasterKey> {
        std::iter::once(&self.primary).chain(&self.verify)
    }
}

/// Shows the ids and the epoch, but no key.
impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<KeyId> = self.key_ids().collect();
        f.debug_struct("Keyring").field("epoch", &self.epoch).field("keys", &ids).finish_non_exhaustive()
    }
}

/// The lines that are neither empty nor comments, with their numbers from 1.
pub(crate) fn meaningful_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(number, line)| (number + 1, line));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

pub(crate) fn once<T>(name: &'static str, place: &mut Option<T>, value: T) -> Result<(), FaultKind> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(FaultKind::KeyringNeeds(name)),
    }
}

/// Parses digits only. `u64::from_str` alone would accept a sign.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// 32 uniformly random bytes, wiped on drop.
#[derive(Clone)]
pub struct MasterKey {
    secret: Secret,
    id: KeyId,
}

impl MasterKey {
    /// Generates a key.
    ///
    /// # Errors
    /// [`FaultKind::Random`] if the operating system has no random bytes.
    pub fn generate() -> Result<Self, Fault> {
        Self::new(Secret::generate()?)
    }

    /// Parses a bare key: 64 hexadecimal digits, or 43 (44 with padding) base64 characters in
    /// either alphabet.
    ///
    /// # Errors
    /// [`BadKey`](FaultKind::BadKey) for other text, [`WeakKey`](FaultKind::WeakKey) for bytes that
    /// cannot be random.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        const PADDING: GeneralPurposeConfig =
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let (standard, url_safe) =
            (GeneralPurpose::new(&STANDARD, PADDING), GeneralPurpose::new(&URL_SAFE, PADDING));
        Self::new(Secret::try_fill(|out| {
            hex::read(text, out)
                .or_else(|| secret::decode(&url_safe, text, out))
                .or_else(|| secret::decode(&standard, text, out))
        })?)
    }

    /// The id of the key, which envelopes contain.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    fn from_base64url(text: &str) -> Result<Self, Fault> {
        Self::new(Secret::from_base64url(text)?)
    }

    pub(crate) fn new(secret: Secret) -> Result<Self, Fault> {
        let mut id = [0; 8];
        derive::labelled(&secret, "lacre/v1/key-id", &mut id)?;
        Ok(Self { secret, id: KeyId::from_bytes(id) })
    }
}

/// Shows the id, not the key.
impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyring_text_round_trips() {
        let mut ring = Keyring::generate().unwrap();
        ring.rotate().unwrap();
        ring.raise_epoch();
        let text = ring.to_text();
        let back = Keyring::parse(&text).unwrap();
        assert_eq!(back.to_text(), text);
        assert_eq!(back.epoch(), 1);
        assert!(back.key_ids().eq(ring.key_ids()));
        assert!(text.capacity() >= text.len(), "the text was reallocated");
    }

    #[test]
    fn rotation_keeps_row_names_and_demotes_the_old_key() {
        let mut ring = Keyring::generate().unwrap();
        let (old, row) = (ring.primary(), ring.row_key(b"row"));
        let new = ring.rotate().unwrap();
        assert!(ring.key_ids().eq([new, old]));
        assert_eq!(ring.row_key(b"row"), row);
    }

    #[test]
    fn only_verify_keys_can_be_retired() {
        let mut ring = Keyring::generate().unwrap();
        let old = ring.primary();
        assert_eq!(ring.retire(old).unwrap_err().kind(), FaultKind::KeyInUse(old));
        ring.rotate().unwrap();
        ring.retire(old).unwrap();
        assert_eq!(ring.retire(old).unwrap_err().kind(), FaultKind::UnknownKey(old));
    }

    #[test]
    fn the_number_of_keys_is_bounded() {
        let mut ring = Keyring::generate().unwrap();
        for _ in 1..MAX_KEYS {
            ring.rotate().unwrap();
        }
        assert_eq!(ring.rotate().unwrap_err().kind(), FaultKind::KeyringTooLarge);
        let full = ring.to_text();
        assert!(Keyring::parse(&full).is_ok());
        let mut over = Zeroizing::new(full.to_string() + "verify ");
        MasterKey::generate().unwrap().secret.push_base64url(&mut over);
        assert_eq!(Keyring::parse(&over).unwrap_err().kind(), FaultKind::KeyringTooLarge);
        let most = |length: usize| full.to_string() + &"#".repeat(length - full.len());
        assert!(Keyring::parse(&most(Keyring::MAX_TEXT_LEN)).is_ok());
        assert_eq!(
            Keyring::parse(&most(Keyring::MAX_TEXT_LEN + 1)).unwrap_err().kind(),
            FaultKind::KeyringTooLarge
        );
        let long = "#".repeat(Keyring::MAX_TEXT_LEN + 1);
        assert_eq!(Keyring::parse(&long).unwrap_err().kind(), FaultKind::KeyringTooLarge);
    }

    #[test]
    fn invalid_keyring_line_is_reported_by_number() {
        let text = Keyring::generate().unwrap().to_text().to_string();
        for (text, line) in
            [(text.clone() + "nonsense\n", 5), ("# comment\n\n".to_owned() + &text + "epoch", 7)]
        {
            assert_eq!(Keyring::parse(&text).unwrap_err().kind(), FaultKind::BadKeyringLine(line));
        }
    }

    #[test]
    fn duplicate_key_is_refused() {
        let ring = Keyring::generate().unwrap();
        let twice = ring.to_text().replace("primary", "verify");
        let text = ring.to_text().to_string() + twice.lines().last().unwrap();
        assert_eq!(Keyring::parse(&text).unwrap_err().kind(), FaultKind::DuplicateKey(ring.primary()));
    }

    #[test]
    fn debug_shows_no_key() {
        let key = MasterKey::generate().unwrap();
        let id = key.id();
        assert_eq!(format!("{key:?}"), format!("MasterKey({id})"));
        let ring = Keyring::from_master(key).unwrap();
        assert_eq!(format!("{ring:?}"), format!("Keyring {{ epoch: 0, keys: [{id}], .. }}"));
        assert_eq!(id.short(), id.to_string()[..10]);
    }
}
