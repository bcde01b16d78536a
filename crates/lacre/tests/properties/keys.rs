//! Keys of rows and of seals: what they tell, and what is taken for one.

use crate::world::{KINDS, World, keyring};
use lacre::{ErrorKind, Keyring, MasterKey, itsdangerous, keys};

#[test]
fn p27_row_keys_are_keyed_and_show_no_url() {
    for &kind in KINDS {
        let row = |ring: Keyring, path: &str| {
            let world = World::new(kind, |builder| builder.keyring(ring));
            world.get(path, b"body");
            let (key, record) = world.row();
            for part in ["example", "secret-path"] {
                let holds = |bytes: &[u8]| bytes.windows(part.len()).any(|window| window == part.as_bytes());
                assert!(!holds(key.as_bytes()) && !holds(&record.sealed), "{part} is in {kind:?}");
            }
            key
        };
        let key = row(keyring(), "/secret-path");
        assert_eq!(key, row(keyring(), "/secret-path"), "a key names one request");
        assert_ne!(key, row(keyring(), "/secret-path2"));
        assert_ne!(key, row(Keyring::generate().unwrap(), "/secret-path"), "who has no key can compute it");
    }
}

#[test]
fn p14_only_canonical_encodings_are_read() {
    // 43 characters hold 258 bits: the last two must be zero.
    let canonical = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    assert!(MasterKey::parse(canonical).is_ok());
    for stray in ['9', '-', '_'] {
        let other = canonical.replace("Hh8", &format!("Hh{stray}"));
        assert!(MasterKey::parse(&other).is_err(), "{other}");
    }
    let signer = itsdangerous::Signer::new("a secret of more than enough length").unwrap();
    let signed = signer.sign(b"value");
    let (last, rest) = signed.split_last().unwrap();
    for other in b'A'..=b'z' {
        let changed = [rest, &[other]].concat();
        assert_eq!(signer.verify(&changed).is_ok(), other == *last, "{}", char::from(other));
    }
}

#[test]
fn p39_weak_keys_are_refused_and_no_key_is_shown() {
    for weak in ["", "password", "a different key", &"00".repeat(32), &"ab".repeat(32), &"01020304".repeat(8)]
    {
        let refused = Keyring::parse(weak).unwrap_err().to_string();
        assert!(weak.is_empty() || !refused.contains(weak), "{refused}");
    }
    let ring = keyring();
    let text = ring.to_text();
    let secrets: Vec<&str> =
        text.lines().filter_map(|line| line.split_once(' ')).map(|(_, secret)| secret).collect();
    let world = World::new(KINDS[0], |builder| {
        assert!(
            secrets
                .iter()
                .filter(|secret| secret.len() > 20)
                .all(|secret| !format!("{builder:?}").contains(secret))
        );
        builder
    });
    for shown in [format!("{ring:?}"), format!("{:?}", world.cache)] {
        for secret in secrets.iter().filter(|secret| secret.len() > 20) {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert!(!shown.contains("00010203") && !shown.contains("[0, 1, 2, 3"), "{shown}");
    }
    let refused = keys::parse("hunter2").map(|_| ()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Config);
    assert!(!format!("{refused} {refused:?}").contains("hunter2"));
}
