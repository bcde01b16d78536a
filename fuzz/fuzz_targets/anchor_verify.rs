//! Verifies arbitrary bytes as an anchor.
//!
//! Verifying never panics. An anchor is accepted only if its pieces were sealed, are complete, and
//! are in order.
//!
//! The input is a list of parts, each with a kind, a length (two bytes) and content: raw bytes, or
//! marks that the target seals as a piece. So it also reaches input that only the holder of the key
//! can write.
#![no_main]

use std::sync::{Arc, LazyLock};

use lacre::store::{Memory, Store};
use lacre::{Cache, ManualClock, Timestamp};
use lacre_seal::{
    AnchorId, Context, Keyring, Lifetime, Position, Purpose, Sealer, StoreId, Suite, UnixMillis,
};
use libfuzzer_sys::fuzz_target;

const MAGIC: &[u8; 16] = b"lacre-anchor-v1\n";
const ANCHOR: AnchorId = AnchorId::from_bytes([7; 16]);
/// The length of a mark: key, two times, commitment.
const MARK_LENGTH: usize = 32 + 8 + 8 + 32;
const NOW: u64 = 1_700_000_001_000;

static WORLD: LazyLock<(Cache, Sealer, StoreId)> = LazyLock::new(|| {
    let (store, ring) = (Memory::new().expect("a store"), Keyring::generate().expect("a ring"));
    let (id, sealer) = (store.id(), Sealer::new(Arc::new(ring.clone()), Suite::default()));
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(NOW as i64)));
    let cache = Cache::builder().store(store).keyring(ring).clock(clock).build().expect("a cache");
    (cache, sealer, id)
});

/// A part of the input.
enum Part<'a> {
    Start,
    Marks(&'a [u8], Position),
    Raw(&'a [u8]),
}

fuzz_target!(|input: &[u8]| {
    let parts = parts(input);
    let file = file(&parts);
    let mut findings = 0;
    let anchored = lacre::wait(WORLD.0.verify_anchor(&mut &file[..], &mut |_| findings += 1));
    match (anchored, marks(&parts)) {
        // The store is empty, so each mark names a row that is gone.
        (Ok(anchored), Some(marks)) => {
            assert_eq!(anchored.findings, findings);
            assert_eq!((findings + anchored.over, anchored.same, anchored.newer), (marks, 0, 0));
        }
        (Ok(_), None) => panic!("an invalid anchor was accepted"),
        (Err(error), Some(_)) => panic!("a valid anchor was refused: {error}"),
        (Err(_), None) => {}
    }
});

fn parts(mut input: &[u8]) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    while let Some(([kind, high, low], rest)) = input.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let content;
        (content, input) = rest.split_at(length);
        match kind {
            0 => parts.push(Part::Start),
            1 => parts.push(Part::Marks(content, Position::Inner)),
            2 => parts.push(Part::Marks(content, Position::Last)),
            _ if content.is_empty() => {}
            _ => parts.push(Part::Raw(content)),
        }
    }
    parts
}

/// An anchor (docs/format.md §11) of these parts, in any order.
fn file(parts: &[Part<'_>]) -> Vec<u8> {
    let (_, sealer, store) = &*WORLD;
    let (mut file, mut index) = (Vec::new(), 0);
    for part in parts {
        match part {
            Part::Start => file.extend([&MAGIC[..], store.as_bytes(), ANCHOR.as_bytes()].concat()),
            Part::Raw(bytes) => file.extend_from_slice(bytes),
            Part::Marks(marks, position) => {
                let purpose = Purpose::Anchor { anchor: ANCHOR, index, position: *position };
                let at = Context { purpose, store, namespace: "", key: &[0; 32] };
                let life = Lifetime::unbounded(UnixMillis::from_millis(NOW - 1000));
                let piece = sealer.seal(&at, life, &[], marks).expect("a piece");
                file.extend_from_slice(&(piece.len() as u32).to_be_bytes());
                file.extend(piece);
                index += 1;
            }
        }
    }
    file
}

/// The number of marks, if the parts form a valid anchor.
fn marks(parts: &[Part<'_>]) -> Option<u64> {
    let [Part::Start, inner @ .., Part::Marks(last, Position::Last)] = parts else { return None };
    let mut pieces = Vec::new();
    for part in inner {
        let Part::Marks(marks, Position::Inner) = part else { return None };
        pieces.push(*marks);
    }
    pieces.push(*last);
    if pieces.iter().any(|piece| piece.len() % MARK_LENGTH != 0) {
        return None;
    }
    let keys: Vec<&[u8]> =
        pieces.iter().flat_map(|piece| piece.chunks(MARK_LENGTH)).map(|mark| &mark[..32]).collect();
    keys.is_sorted_by(|one, next| one < next).then_some(keys.len() as u64)
}
