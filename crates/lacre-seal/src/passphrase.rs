//! Keyrings locked with a passphrase: the text of a ring, sealed under a key from Argon2id
//! (docs/format.md §13).
//!
//! The keys of the ring stay random and can be rotated. The passphrase only wraps them, so it can
//! change without resealing records.

use std::fmt;
use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::{Zeroize, Zeroizing};

use crate::keyring::{LOCKED, decimal, meaningful_lines, once};
use crate::secret::{self, Secret};
use crate::{
    Context, Fault, FaultKind, Keyring, Lifetime, MasterKey, Opened, Purpose, Sealer, StoreId, Suite,
    UnixMillis,
};

/// The minimum number of characters, and of distinct ones.
const MIN_CHARS: usize = 12;
const MIN_DISTINCT_CHARS: usize = 6;

/// A passphrase, wiped on drop. Its bytes are used without Unicode normalization.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Accepts a passphrase of at least twelve characters, six of them distinct.
    ///
    /// # Errors
    /// [`WeakPassphrase`](FaultKind::WeakPassphrase) for any other.
    pub fn new(text: Zeroizing<String>) -> Result<Self, Fault> {
        let length = text.chars().count();
        let distinct =
            text.char_indices().filter(|(at, c)| !text[..*at].contains(*c)).take(MIN_DISTINCT_CHARS).count();
        if length < MIN_CHARS || distinct < MIN_DISTINCT_CHARS {
            return Err(FaultKind::WeakPassphrase.into());
        }
        Ok(Self(text))
    }

    /// Locks `ring` with a fresh salt and returns the text. It takes 64 MiB and a fraction of a
    /// second; so does each guess.
    ///
    /// # Errors
    /// [`Random`](FaultKind::Random) if the operating system has no random bytes,
    /// [`Provider`](FaultKind::Provider) if there is not enough memory.
    pub fn lock(&self, ring: &Keyring) -> Result<String, Fault> {
        self.lock_with(Cost::DEFAULT, secret::random()?, ring)
    }

    /// Unlocks the text that [`lock`](Self::lock) returned. It takes the memory and time that the
    /// text specifies, at most 256 MiB and 16 passes.
    ///
    /// # Errors
    /// [`WrongPassphrase`](FaultKind::WrongPassphrase) if the passphrase does not match.
    /// [`NotLocked`](FaultKind::NotLocked), [`BadKeyringLine`](FaultKind::BadKeyringLine),
    /// [`KeyringNeeds`](FaultKind::KeyringNeeds), [`KeyringTooLarge`](FaultKind::KeyringTooLarge)
    /// or [`CostOutOfBounds`](FaultKind::CostOutOfBounds) if the text is not a locked keyring.
    /// Errors of [`Sealer::open`] and [`Keyring::parse`] if it was changed.
    pub fn unlock(&self, text: &str) -> Result<Keyring, Fault> {
        let Locked { cost, salt, sealed } = Locked::parse(text)?;
        let opened = self.sealer(cost, &salt)?.open(&place(&StoreId::from_bytes(salt)), &sealed, CREATED);
        let Opened { body, .. } = opened.map_err(|fault| {
            // The envelope contains the id of its key, which follows from the passphrase.
            if fault.is_key_missing() { FaultKind::WrongPassphrase.into() } else { fault }
        })?;
        let ring = std::str::from_utf8(body.as_bytes())
            .map_err(|_| FaultKind::NotAKeyring.into())
            .and_then(Keyring::parse);
        // There is no other reference to these bytes, so they can be wiped.
        if let Ok(mut plain) = body.into_bytes().try_into_mut() {
            plain.zeroize();
        }
        ring
    }

    fn lock_with(&self, cost: Cost, salt: [u8; 16], ring: &Keyring) -> Result<String, Fault> {
        let life = Lifetime { created: CREATED, not_after: UnixMillis::UNBOUNDED };
        let place = StoreId::from_bytes(salt);
        let sealed =
            self.sealer(cost, &salt)?.seal(&self::place(&place), life, &[], ring.to_text().as_bytes())?;
        let Cost { memory, passes, lanes } = cost;
        let (salt, sealed) = (URL_SAFE_NO_PAD.encode(salt), URL_SAFE_NO_PAD.encode(sealed));
        Ok(format!("{LOCKED}\nargon2id {memory} {passes} {lanes}\nsalt {salt}\nsealed {sealed}\n"))
    }

    /// Creates a sealer with the key derived from passphrase, salt and cost.
    fn sealer(&self, cost: Cost, salt: &[u8; 16]) -> Result<Sealer, Fault> {
        let mut key = Secret::blank();
        let params = Params::new(cost.memory, cost.passes, cost.lanes, Some(32))
            .map_err(|_| FaultKind::CostOutOfBounds)?;
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(self.0.as_bytes(), salt, key.as_mut_slice())
            .map_err(|_| FaultKind::Provider)?;
        let ring = Keyring::from_master(MasterKey::new(key)?)?;
        Ok(Sealer::new(Arc::new(ring), Suite::Aes256Gcm))
    }
}

/// Shows nothing.
impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(redacted)")
    }
}

/// A locked ring has no time of sealing: its content tells which epochs are revoked.
const CREATED: UnixMillis = UnixMillis::from_millis(0);

const fn place(salt: &StoreId) -> Context<'_> {
    Context { purpose: Purpose::Keyring, store: salt, namespace: "", key: &[0; 32] }
}

/// The cost of one guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cost {
    /// KiB.
    memory: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    /// The second recommended option of RFC 9106 §4.
    const DEFAULT: Self = Self { memory: 64 << 10, passes: 3, lanes: 4 };

    /// Parses and checks the cost. A lower one does not protect the keys; a higher one would let a
    /// file exhaust the memory.
    fn parse(text: &str) -> Option<Result<Self, Fault>> {
        let mut numbers = text.split(' ').map(|number| u32::try_from(decimal(number)?).ok());
        let cost = Self { memory: numbers.next()??, passes: numbers.next()??, lanes: numbers.next()?? };
        let in_bounds = (19 << 10..=256 << 10).contains(&cost.memory)
            && (2..=16).contains(&cost.passes)
            && (1..=16).contains(&cost.lanes);
        let checked = if in_bounds { Ok(cost) } else { Err(FaultKind::CostOutOfBounds.into()) };
        numbers.next().is_none().then_some(checked)
    }
}

struct Locked {
    cost: Cost,
    salt: [u8; 16],
    sealed: Vec<u8>,
}

impl Locked {
    fn parse(text: &str) -> Result<Self, Fault> {
        if text.len() > Keyring::MAX_TEXT_LEN {
            return Err(FaultKind::KeyringTooLarge.into());
        }
        let mut lines = meaningful_lines(text);
        if lines.next().is_none_or(|(_, line)| line != LOCKED) {
            return Err(FaultKind::NotLocked.into());
        }
        let (mut cost, mut salt, mut sealed) = (None, None, None);
        for (number, line) in lines {
            let bad_line = FaultKind::BadKeyringLine(number);
            let (name, value) = line.split_once(' ').unwrap_or((line, ""));
            let decoded = || URL_SAFE_NO_PAD.decode(value).map_err(|_| bad_line);
            match name {
                "argon2id" => once("argon2id", &mut cost, Cost::parse(value).ok_or(bad_line)??)?,
                "salt" => once("salt", &mut salt, decoded()?.try_into().map_err(|_| bad_line)?)?,
                "sealed" => once("sealed", &mut sealed, decoded()?)?,
                _ => return Err(bad_line.into()),
            }
        }
        Ok(Self {
            cost: cost.ok_or(FaultKind::KeyringNeeds("argon2id"))?,
            salt: salt.ok_or(FaultKind::KeyringNeeds("salt"))?,
            sealed: sealed.ok_or(FaultKind::KeyringNeeds("sealed"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors;
    use serde::Deserialize;

    const CHEAP: Cost = Cost { memory: 19 << 10, passes: 2, lanes: 1 };

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text.to_owned().into()).unwrap()
    }

    fn locked(ring: &Keyring) -> String {
        passphrase("correct horse battery").lock_with(CHEAP, [7; 16], ring).unwrap()
    }

    #[test]
    fn locked_keyring_opens_only_with_its_passphrase() {
        let mut ring = Keyring::generate().unwrap();
        ring.rotate().unwrap();
        ring.raise_epoch();
        let text = locked(&ring);
        let unlocked = passphrase("correct horse battery").unlock(&text).unwrap();
        assert_eq!(unlocked.to_text(), ring.to_text());
        let other = passphrase("correct horse batterz").unlock(&text).unwrap_err();
        assert_eq!(other.kind(), FaultKind::WrongPassphrase);
        assert!(!text.contains(ring.to_text().lines().last().unwrap()), "a key is readable");
    }

    #[test]
    fn default_cost_is_accepted_and_salt_is_fresh() {
        let (ring, passphrase) = (Keyring::generate().unwrap(), passphrase("correct horse battery"));
        let [one, other] = [passphrase.lock(&ring).unwrap(), passphrase.lock(&ring).unwrap()];
        assert_eq!(passphrase.unlock(&one).unwrap().to_text(), ring.to_text());
        for (line, other) in one.lines().zip(other.lines()).skip(2) {
            assert_ne!(line, other);
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_is_refused() {
        let text = locked(&Keyring::generate().unwrap());
        let phrase = passphrase("correct horse battery");
        // Each refusal may cost a derivation, so only a sample of the sealed line is tested.
        let head = text.find("sealed").unwrap();
        for at in (0..head).chain((head..text.len() - 1).step_by(23)) {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            assert!(phrase.unlock(std::str::from_utf8(&bytes).unwrap()).is_err(), "byte {at}");
        }
    }

    #[test]
    fn text_length_is_checked_before_parsing() {
        let phrase = passphrase("correct horse battery");
        let kind = |length| phrase.unlock(&"#".repeat(length)).unwrap_err().kind();
        assert_eq!(kind(Keyring::MAX_TEXT_LEN), FaultKind::NotLocked);
        assert_eq!(kind(Keyring::MAX_TEXT_LEN + 1), FaultKind::KeyringTooLarge);
    }

    #[test]
    fn weak_passphrase_is_refused_and_not_shown() {
        for text in
            ["", "hunter2", "elevenchars", "aaaaaaaaaaaaaaaaaaaaaaa", "abababababababab", "äöüäöüäöüäöü"]
        {
            let fault = Passphrase::new(text.to_owned().into()).unwrap_err();
            assert_eq!(fault.kind(), FaultKind::WeakPassphrase, "{text}");
            assert!(text.is_empty() || !format!("{fault}").contains(text));
        }
        assert_eq!(format!("{:?}", passphrase("twelve chars")), "Passphrase(redacted)");
    }

    #[test]
    fn cost_out_of_bounds_is_refused_before_derivation() {
        let text = locked(&Keyring::generate().unwrap());
        let phrase = passphrase("correct horse battery");
        for cost in [
            "19455 2 1",
            "262145 2 1",
            "4294967295 2 1",
            "19456 1 1",
            "19456 17 1",
            "19456 2 0",
            "19456 2 17",
        ] {
            let text = text.replace("19456 2 1", cost);
            assert_eq!(phrase.unlock(&text).unwrap_err().kind(), FaultKind::CostOutOfBounds, "{cost}");
        }
        for cost in ["4294967296 2 1", "19456 2", "19456 2 1 1", "+19456 2 1", "19456  2 1", ""] {
            let text = text.replace("19456 2 1", cost);
            assert_eq!(phrase.unlock(&text).unwrap_err().kind(), FaultKind::BadKeyringLine(2), "{cost}");
        }
    }

    #[test]
    fn locked_and_unlocked_keyrings_are_distinguished() {
        let ring = Keyring::generate().unwrap();
        assert_eq!(Keyring::parse(&locked(&ring)).unwrap_err().kind(), FaultKind::Locked);
        let fault = passphrase("correct horse battery").unlock(&ring.to_text()).unwrap_err();
        assert_eq!(fault.kind(), FaultKind::NotLocked);
    }

    #[derive(Deserialize)]
    struct PassphraseTest {
        id: String,
        reason: Option<String>,
        passphrase: String,
        text: String,
        keyring: Option<String>,
    }

    #[test]
    fn locked_rings_open_and_are_refused_as_the_format_says() {
        for test in vectors::read::<PassphraseTest>("passphrase.json", 20) {
            let id = &test.id;
            let unlocked =
                Passphrase::new(test.passphrase.into()).and_then(|phrase| phrase.unlock(&test.text));
            match (unlocked, test.keyring) {
                (Ok(ring), Some(expected)) => assert_eq!(*ring.to_text(), expected, "{id}"),
                (Err(fault), None) => {
                    assert_eq!(vectors::reason(fault.kind()), test.reason.unwrap(), "{id}: {fault:?}");
                }
                (outcome, _) => panic!("{id}: {outcome:?}"),
            }
        }
    }
}
