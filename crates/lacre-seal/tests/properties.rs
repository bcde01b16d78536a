//! Attacks on sealed bytes by a writer of the store without the key. None of them opens, for any
//! suite.
#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::sync::Arc;

use lacre_seal::{
    BodyId, Context, FaultKind, Header, Keyring, Lifetime, Position, Purpose, Sealer, StoreId, Suite,
    UnixMillis,
};
use proptest::prelude::*;

const CREATED: UnixMillis = UnixMillis::from_millis(1_000);
const NOT_AFTER: UnixMillis = UnixMillis::from_millis(2_000);
const LIFE: Lifetime = Lifetime { created: CREATED, not_after: NOT_AFTER };
const STORE: StoreId = StoreId::from_bytes([1; 16]);
const KEY: [u8; 32] = [2; 32];
const SLOT: Context<'_> = Context { purpose: Purpose::Slot, store: &STORE, namespace: "app", key: &KEY };

/// A sealer for each suite, all with the same ring.
fn sealers() -> Vec<Sealer> {
    let keyring = Arc::new(Keyring::generate().unwrap());
    Suite::ALL.into_iter().map(|suite| Sealer::new(Arc::clone(&keyring), suite)).collect()
}

fn seal(sealer: &Sealer, head: &[u8], body: &[u8]) -> Vec<u8> {
    sealer.seal(&SLOT, LIFE, head, body).unwrap()
}

fn kind(sealer: &Sealer, at: &Context<'_>, sealed: &[u8], now: UnixMillis) -> FaultKind {
    sealer.open(at, sealed, now).unwrap_err().kind()
}

fn chunk(body: u8, index: u32, position: Position) -> Context<'static> {
    Context { purpose: Purpose::Chunk { body: BodyId::from_bytes([body; 16]), index, position }, ..SLOT }
}

#[test]
fn any_flipped_bit_is_refused() {
    for sealer in sealers() {
        let sealed = seal(&sealer, b"head", b"body");
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let fault = sealer.open(&SLOT, &flipped, CREATED).unwrap_err();
            let known = fault.is_tampering() || fault.is_broken() || fault.is_key_missing();
            assert!(known, "{:?}, bit {bit}: {fault}", sealer.suite());
        }
    }
}

#[test]
fn cached_keys_skip_no_check() {
    let value = Purpose::Value { value: BodyId::from_bytes([4; 16]), index: 0, position: Position::Last };
    for (sealer, purpose) in
        sealers().into_iter().flat_map(|sealer| [(sealer.clone(), Purpose::Slot), (sealer, value)])
    {
        let here = Context { purpose, ..SLOT };
        let sealed = sealer.seal(&here, LIFE, b"head", b"body").unwrap();
        for bit in 0..sealed.len() * 8 {
            assert_eq!(sealer.open(&here, &sealed, CREATED).unwrap().body.as_bytes(), b"body");
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(sealer.open(&here, &flipped, CREATED).is_err(), "{:?}, bit {bit}", sealer.suite());
        }
        let elsewhere = [Context { namespace: "other", ..here }, Context { key: &[3; 32], ..here }];
        for at in elsewhere {
            assert_eq!(kind(&sealer, &at, &sealed, CREATED), FaultKind::BadCommitment);
        }
        let late = UnixMillis::from_millis(2_001);
        assert_eq!(kind(&sealer, &here, &sealed, late), FaultKind::Expired(NOT_AFTER));
    }
}

#[test]
fn any_cut_and_any_extension_is_refused() {
    for sealer in sealers() {
        let sealed = seal(&sealer, b"head", b"body");
        for length in 0..sealed.len() {
            assert!(
                sealer.open(&SLOT, &sealed[..length], CREATED).is_err(),
                "{:?}, {length}",
                sealer.suite()
            );
        }
        for more in [&b"\0"[..], &sealed] {
            let extended = [&sealed, more].concat();
            assert_eq!(kind(&sealer, &SLOT, &extended, CREATED), FaultKind::Malformed("length"));
        }
    }
}

#[test]
fn moved_record_is_refused() {
    let elsewhere = [
        Context { key: &[3; 32], ..SLOT },
        Context { store: &StoreId::from_bytes([3; 16]), ..SLOT },
        Context { namespace: "", ..SLOT },
        Context { namespace: "App", ..SLOT },
        chunk(0, 0, Position::Last),
    ];
    for sealer in sealers() {
        let sealed = seal(&sealer, b"head", b"body");
        for at in &elsewhere {
            assert_eq!(kind(&sealer, at, &sealed, CREATED), FaultKind::BadCommitment, "{at:?}");
            assert!(sealer.open_head(at, &sealed, CREATED).is_err(), "{at:?}");
        }
    }
}

#[test]
fn chunk_opens_only_in_its_place() {
    let place = chunk(4, 1, Position::Inner);
    for sealer in sealers() {
        let sealed = sealer.seal(&place, LIFE, b"", b"chunk").unwrap();
        assert_eq!(sealer.open(&place, &sealed, CREATED).unwrap().body.as_bytes(), b"chunk");
        let others =
            [chunk(5, 1, Position::Inner), chunk(4, 2, Position::Inner), chunk(4, 1, Position::Last), SLOT];
        for at in &others {
            assert_eq!(kind(&sealer, at, &sealed, CREATED), FaultKind::BadCommitment, "{at:?}");
        }
    }
}

#[test]
fn seal_expires_after_not_after() {
    let late = UnixMillis::from_millis(NOT_AFTER.as_millis() + 1);
    for sealer in sealers() {
        let sealed = seal(&sealer, b"head", b"body");
        assert!(sealer.open(&SLOT, &sealed, NOT_AFTER).is_ok());
        assert_eq!(kind(&sealer, &SLOT, &sealed, late), FaultKind::Expired(NOT_AFTER));
        let unbounded = sealer.seal(&SLOT, Lifetime::unbounded(CREATED), b"head", b"body").unwrap();
        assert!(sealer.open(&SLOT, &unbounded, UnixMillis::UNBOUNDED).is_ok());
    }
}

#[test]
fn raising_the_epoch_revokes_earlier_seals() {
    for suite in Suite::ALL {
        let mut ring = Keyring::generate().unwrap();
        let before = Sealer::new(Arc::new(ring.clone()), suite);
        ring.raise_epoch();
        let after = Sealer::new(Arc::new(ring), suite);
        let sealed = seal(&before, b"head", b"body");
        assert_eq!(kind(&after, &SLOT, &sealed, CREATED), FaultKind::Revoked(0));
        // A process that does not know the new epoch yet continues to work.
        assert!(before.open(&SLOT, &seal(&after, b"head", b"body"), CREATED).is_ok());
    }
}

#[test]
fn p40_rotation_loses_nothing_and_retirement_does() {
    for suite in Suite::ALL {
        let mut ring = Keyring::generate().unwrap();
        let old = ring.primary();
        let sealed = seal(&Sealer::new(Arc::new(ring.clone()), suite), b"head", b"body");
        ring.rotate().unwrap();
        let rotated = Sealer::new(Arc::new(ring.clone()), suite);
        assert_eq!(rotated.open(&SLOT, &sealed, CREATED).unwrap().seal.key_id, old);
        ring.retire(old).unwrap();
        let retired = Sealer::new(Arc::new(ring), suite);
        assert_eq!(kind(&retired, &SLOT, &sealed, CREATED), FaultKind::UnknownKey(old));
    }
}

#[test]
fn another_suite_is_refused_unless_accepted() {
    let sealers = sealers();
    for (from, to) in sealers.iter().flat_map(|from| sealers.iter().map(move |to| (from, to))) {
        let sealed = seal(from, b"head", b"body");
        if from.suite() == to.suite() {
            assert!(to.open(&SLOT, &sealed, CREATED).is_ok());
            continue;
        }
        assert_eq!(kind(to, &SLOT, &sealed, CREATED), FaultKind::WrongSuite);
        assert!(to.clone().also_accept(from.suite()).open(&SLOT, &sealed, CREATED).is_ok());
        // Accepting both suites does not let one pass for the other.
        let mut relabelled = sealed;
        relabelled[5] = to.suite().id();
        assert!(to.clone().also_accept(from.suite()).open(&SLOT, &relabelled, CREATED).is_err());
    }
}

#[test]
fn no_two_envelopes_can_be_spliced() {
    for sealer in sealers() {
        let (one, two) = (seal(&sealer, b"head", b"body one"), seal(&sealer, b"head", b"body two"));
        for at in 1..one.len() {
            let spliced = [&one[..at], &two[at..]].concat();
            if spliced != one && spliced != two {
                assert!(sealer.open(&SLOT, &spliced, CREATED).is_err(), "{:?}, at {at}", sealer.suite());
            }
        }
    }
}

#[test]
fn a_salt_is_never_used_twice() {
    for sealer in sealers() {
        let (one, two) = (seal(&sealer, b"head", b"body"), seal(&sealer, b"head", b"body"));
        assert_ne!(one[48..80], two[48..80]);
    }
}

#[test]
fn encrypted_suites_hide_content_and_others_do_not() {
    let (head, body) = ([0xAB; 40], [0xCD; 40]);
    for sealer in sealers() {
        let sealed = seal(&sealer, &head, &body);
        let is_readable = |part: [u8; 40]| sealed.windows(part.len()).any(|window| window == part);
        assert_eq!(is_readable(head), !sealer.suite().is_encrypted());
        assert_eq!(is_readable(body), !sealer.suite().is_encrypted());
    }
}

#[test]
fn head_opens_despite_a_damaged_body() {
    for sealer in sealers() {
        let mut sealed = seal(&sealer, b"head", b"body");
        *sealed.last_mut().unwrap() ^= 1;
        let (head, seal) = sealer.open_head(&SLOT, &sealed, CREATED).unwrap();
        assert_eq!((head.as_bytes(), seal.suite), (&b"head"[..], sealer.suite()));
        assert_eq!(kind(&sealer, &SLOT, &sealed, CREATED), FaultKind::BadSegment);
    }
}

#[test]
fn commitment_has_its_documented_offset_and_is_unique() {
    for sealer in sealers() {
        let (one, other) = (seal(&sealer, b"head", b"body"), seal(&sealer, b"head", b"body"));
        let commitment = |sealed: &[u8]| Header::peek_commitment_unverified(sealed);
        assert_eq!(commitment(&one).unwrap()[..], one[80..112]);
        assert_ne!(commitment(&one), commitment(&other));
        assert_eq!(commitment(&one[..111]), None);
    }
}

#[test]
fn only_verified_bodies_are_appended() {
    for sealer in sealers() {
        let (one, two) = (seal(&sealer, b"head", b"one, "), seal(&sealer, b"", b"two"));
        let mut joined = sealer.joined_buffer(8);
        let mut append = |sealed: &[u8]| sealer.open_append(&SLOT, sealed, CREATED, &mut joined);
        assert_eq!(append(&one).unwrap(), sealer.open(&SLOT, &one, CREATED).unwrap().seal);
        for bit in 0..two.len() * 8 {
            let mut flipped = two.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(append(&flipped).is_err(), "{:?}, bit {bit}", sealer.suite());
        }
        append(&two).unwrap();
        assert!(matches!(append(&two).unwrap_err().kind(), FaultKind::Malformed(_)), "over the capacity");
        assert_eq!(joined.into_bytes(), "one, two");
    }
}

#[test]
fn lengths_are_limited_when_sealing_and_opening() {
    let sealer = &sealers()[0];
    let (head, body) = (vec![1; 1 << 20], vec![2; 8 << 20]);
    let largest = seal(sealer, &head, &body);
    let opened = sealer.open(&SLOT, &largest, CREATED).unwrap();
    assert_eq!((opened.head.as_bytes(), opened.body.as_bytes()), (&head[..], &body[..]));
    for (head, body) in [(vec![0; (1 << 20) + 1], Vec::new()), (Vec::new(), vec![0; (8 << 20) + 1])] {
        assert_eq!(sealer.seal(&SLOT, LIFE, &head, &body).unwrap_err().kind(), FaultKind::TooLarge);
    }
    // The header is refused before memory is allocated for the claimed lengths.
    let mut claims = seal(sealer, b"head", b"body");
    claims[40..48].fill(0xFF);
    assert!(matches!(kind(sealer, &SLOT, &claims, CREATED), FaultKind::Malformed(_)));
}

#[test]
fn faults_show_neither_content_nor_key() {
    let ring = Keyring::generate().unwrap();
    let text = ring.to_text();
    let secret = text.lines().last().unwrap().rsplit(' ').next().unwrap();
    let broken = text.replace("epoch 0", "epoch zero");
    let fault = Keyring::parse(&broken).unwrap_err();
    assert!(!format!("{fault} {fault:?}").contains(secret));
    assert!(!format!("{:?}", Sealer::new(Arc::new(ring), Suite::default())).contains(secret));
}

fn parts() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    (prop::collection::vec(any::<u8>(), 0..300), prop::collection::vec(any::<u8>(), 0..200_000))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn sealed_content_opens_unchanged((head, body) in parts(), created in 0..2_000_u64) {
        let life = Lifetime { created: UnixMillis::from_millis(created), not_after: NOT_AFTER };
        for sealer in sealers() {
            let sealed = sealer.seal(&SLOT, life, &head, &body).unwrap();
            let opened = sealer.open(&SLOT, &sealed, CREATED).unwrap();
            prop_assert_eq!(opened.head.as_bytes(), &head);
            prop_assert_eq!(opened.body.as_bytes(), &body);
            prop_assert_eq!(opened.seal.created, life.created);
            prop_assert_eq!(Header::peek_unverified(&sealed).unwrap().seal, opened.seal);
        }
    }

    #[test]
    fn any_flipped_bit_of_any_envelope_is_refused((head, body) in parts(), at: prop::sample::Index, bit in 0..8_u8) {
        for sealer in sealers() {
            let mut sealed = seal(&sealer, &head, &body);
            let at = at.index(sealed.len());
            sealed[at] ^= 1_u8 << bit;
            prop_assert!(sealer.open(&SLOT, &sealed, CREATED).is_err());
        }
    }

    #[test]
    fn arbitrary_bytes_are_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..400), valid in 0..112_usize) {
        for sealer in sealers() {
            prop_assert!(sealer.open(&SLOT, &bytes, CREATED).is_err());
            // A genuine header of `valid` bytes, then arbitrary bytes.
            let sealed = seal(&sealer, b"head", b"body");
            let end = valid.min(bytes.len());
            bytes[..end].copy_from_slice(&sealed[..end]);
            prop_assert!(sealer.open(&SLOT, &bytes, CREATED).is_err());
        }
    }

    #[test]
    fn parsing_a_keyring_never_panics(text: String, tail in "(index|epoch|primary|verify) [A-Za-z0-9_-]{0,50}\n") {
        prop_assert!(Keyring::parse(&text).is_err());
        let with_first_line = format!("lacre-keyring-v1\n{tail}{text}");
        prop_assert!(Keyring::parse(&with_first_line).is_err());
    }
}
