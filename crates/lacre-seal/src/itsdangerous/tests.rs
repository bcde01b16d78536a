use std::time::Duration;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::UnixMillis;
use crate::vectors::{bytes, read};

#[derive(Deserialize)]
struct Vector {
    id: String,
    reason: Option<String>,
    message: Option<String>,
    secrets_hex: Vec<String>,
    salt: String,
    separator: String,
    derivation: String,
    digest: String,
    seconds: Option<u64>,
    #[serde(flatten)]
    made_of: Option<MadeOf>,
    signed_hex: String,
}

#[derive(Deserialize)]
struct MadeOf {
    value_hex: String,
    derived_key_hex: String,
}

impl Vector {
    fn builder(&self) -> SignerBuilder {
        let digest = match self.digest.as_str() {
            "sha1" => Digest::Sha1,
            "sha256" => Digest::Sha256,
            "sha384" => Digest::Sha384,
            "sha512" => Digest::Sha512,
            other => panic!("{}: no digest {other}", self.id),
        };
        let derivation = match self.derivation.as_str() {
            "django-concat" => Derivation::DjangoConcat,
            "concat" => Derivation::Concat,
            "hmac" => Derivation::Hmac,
            "none" => Derivation::None,
            other => panic!("{}: no derivation {other}", self.id),
        };
        let secrets = self.secrets_hex.iter().map(|secret| bytes(secret));
        let separator = self.separator.as_bytes()[0];
        Signer::builder()
            .secrets(secrets)
            .salt(self.salt.clone())
            .separator(separator)
            .digest(digest)
            .derivation(derivation)
    }

    fn check_accepted(&self, made_of: &MadeOf) {
        let (id, signed, value) = (&self.id, bytes(&self.signed_hex), bytes(&made_of.value_hex));
        let derived = SignerBuilder { secrets: Vec::new(), ..self.builder() }
            .secret(bytes(&made_of.derived_key_hex))
            .derivation(Derivation::None);
        for signer in [self.builder(), derived].map(|builder| builder.build().unwrap()) {
            let Some(seconds) = self.seconds else {
                assert_eq!(signer.sign(&value), signed, "{id}");
                assert_eq!(signer.verify(&signed).unwrap().as_bytes(), value, "{id}");
                continue;
            };
            let (signer, now) = (TimestampSigner::new(signer), UnixMillis::from_millis(seconds * 1000));
            assert_eq!(signer.sign(&value, now), signed, "{id}");
            let verified = signer.verify(&signed).unwrap();
            assert_eq!((verified.value.as_bytes(), verified.signed_at), (value.as_slice(), now), "{id}");
        }
    }

    fn check_refused(&self) {
        let (id, signed, signer) = (&self.id, bytes(&self.signed_hex), self.builder().build().unwrap());
        let refused = match self.seconds {
            None => signer.verify(&signed).unwrap_err(),
            Some(_) => TimestampSigner::new(signer).verify(&signed).unwrap_err(),
        };
        let reason = match refused.kind() {
            BadSignatureKind::NoSeparator => "no-separator",
            BadSignatureKind::Mismatch if refused.to_string().contains("b'...'") => "mismatch-hidden",
            BadSignatureKind::Mismatch => "mismatch",
            BadSignatureKind::BadTimestamp => "bad-timestamp",
            BadSignatureKind::Expired { .. } => "expired",
        };
        assert_eq!(self.reason.as_deref(), Some(reason), "{id}");
        assert_eq!(self.message, Some(refused.to_string()), "{id}");
    }
}

#[test]
fn itsdangerous_vectors_are_signed_verified_and_refused() {
    for test in read::<Vector>("itsdangerous.json", 37) {
        match &test.made_of {
            Some(made_of) => test.check_accepted(made_of),
            None => test.check_refused(),
        }
    }
}

const LONG: [u8; 32] = [7; 32];

fn kind<T: fmt::Debug>(result: Result<T, BadSignature>) -> BadSignatureKind {
    result.unwrap_err().kind()
}

#[test]
fn every_secret_verifies_and_the_newest_signs() {
    let both = Signer::builder().secrets(["old", "new"]).build().unwrap();
    let [old, new] = ["old", "new"].map(|secret| Signer::new(secret).unwrap());
    assert_eq!(both.sign(b"value"), new.sign(b"value"));
    assert_eq!(both.verify(&old.sign(b"value")).unwrap().as_bytes(), b"value");
    assert_eq!(kind(old.verify(&both.sign(b"value"))), BadSignatureKind::Mismatch);
}

#[test]
fn unusable_settings_are_refused() {
    let refused =
        |builder: SignerBuilder| matches!(builder.build().unwrap_err().kind(), FaultKind::BadSigner(_));
    assert!(refused(Signer::builder()));
    assert!(refused(Signer::builder().secret("")));
    assert!(refused(Signer::builder().secret(LONG).secret("")));
    for separator in *b"aZ0-_=" {
        assert!(refused(Signer::builder().secret(LONG).separator(separator)));
    }
}

#[test]
fn short_secrets_are_reported_as_weak() {
    assert!(Signer::new("lacre-test-key").unwrap().is_weak());
    assert!(Signer::builder().secret(LONG).secret("short").build().unwrap().is_weak());
    assert!(!Signer::new(LONG).unwrap().is_weak());
}

#[test]
fn base64_must_be_canonical() {
    let signer = Signer::new(LONG).unwrap();
    let signed = signer.sign(b"value");
    // 20 bytes take 27 characters. The last one has two unused bits.
    let mut stray = signed.clone();
    *stray.last_mut().unwrap() += 1;
    assert_eq!(kind(signer.verify(&stray)), BadSignatureKind::Mismatch);
    let padded = [&signed[..], b"="].concat();
    assert_eq!(kind(signer.verify(&padded)), BadSignatureKind::Mismatch);

    // A validly signed timestamp with a leading zero byte.
    let zero_first = signer.sign(b"value.AGU");
    assert_eq!(kind(TimestampSigner::new(signer).verify(&zero_first)), BadSignatureKind::BadTimestamp);
}

#[test]
fn age_is_bounded_on_both_sides() {
    let signer = TimestampSigner::new(Signer::new(LONG).unwrap());
    let at = |seconds: u64| UnixMillis::from_millis(seconds * 1000);
    let signed = signer.sign(b"value", at(1000));
    let max_age = Duration::from_secs(10);
    assert!(signer.verify_within(&signed, max_age, at(1000)).is_ok());
    assert!(signer.verify_within(&signed, max_age, at(1010)).is_ok());
    for (now, message) in [(1011, "Signature age 11 > 10 seconds"), (998, "Signature age -2 < 0 seconds")] {
        let refused = signer.verify_within(&signed, max_age, at(now)).unwrap_err();
        assert_eq!(refused.kind(), BadSignatureKind::Expired { signed_at: at(1000) });
        assert_eq!(refused.to_string(), message);
    }
}

#[test]
fn timestamps_out_of_range_are_malformed() {
    let signer = Signer::new(LONG).unwrap();
    let too_many = [b"value.", URL_SAFE_NO_PAD.encode([0xFF; 8]).as_bytes()].concat();
    let too_long = [b"value.", URL_SAFE_NO_PAD.encode([1; 9]).as_bytes()].concat();
    for stamped in [too_many, too_long] {
        let signed = signer.sign(&stamped);
        assert_eq!(
            kind(TimestampSigner::new(signer.clone()).verify(&signed)),
            BadSignatureKind::BadTimestamp
        );
    }
}

#[test]
fn debug_shows_no_secret() {
    let builder = Signer::builder().secret("hidden");
    assert_eq!(format!("{builder:?}"), "SignerBuilder(1 secrets, Sha1, DjangoConcat)");
    assert_eq!(format!("{:?}", builder.build().unwrap()), "Signer { keys: 1, .. }");
    let rotated = Signer::builder().secret("hidden").secret("hidden, too").build().unwrap();
    assert_eq!(format!("{rotated:?}"), "Signer { keys: 2, .. }");
}

proptest! {
    #[test]
    fn any_value_verifies_and_any_flipped_bit_is_refused(value: Vec<u8>, place: prop::sample::Index, bit in 0..8_u8) {
        let signer = Signer::new(LONG).unwrap();
        let mut signed = signer.sign(&value);
        let verified = signer.verify(&signed).unwrap();
        prop_assert_eq!(verified.as_bytes(), &value);
        let place = place.index(signed.len());
        signed[place] ^= 1_u8 << bit;
        prop_assert!(signer.verify(&signed).is_err());
    }

    #[test]
    fn arbitrary_bytes_are_refused(signed: Vec<u8>) {
        prop_assert!(TimestampSigner::new(Signer::new(LONG).unwrap()).verify(&signed).is_err());
    }
}
