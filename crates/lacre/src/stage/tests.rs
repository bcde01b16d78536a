use super::*;
use crate::ErrorKind;

const OURS: [&dyn Stage; 4] = [&Zstd, &Gzip, &Lz4, &Brotli];

fn authentic(bytes: impl Into<bytes::Bytes>) -> Authentic {
    Authentic::danger_assume(bytes)
}

fn pack(stage: &dyn Stage, bytes: &[u8]) -> Authentic {
    authentic(stage.forward(bytes).unwrap())
}

#[test]
fn what_went_forward_comes_back() {
    for stage in OURS {
        for length in [0, 1, 1000, 256 << 10, 1 << 20] {
            let bytes: Vec<u8> = (0..length).map(|at| (at % 7) as u8).collect();
            let back = stage.back(pack(stage, &bytes), bytes.len()).unwrap();
            assert_eq!(back.as_bytes(), bytes, "{stage:?} {length}");
        }
        assert!(pack(stage, &[0; 100_000]).len() < 1000, "{stage:?}");
    }
}

#[test]
fn a_bomb_is_refused_at_the_limit() {
    for stage in OURS {
        for limit in [0, 1, 99_999] {
            let error = stage.back(pack(stage, &[0; 100_000]), limit).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Broken, "{stage:?} {limit}");
        }
    }
}

#[test]
fn garbage_cut_and_extended_bytes_are_refused_and_the_next_ones_still_unpack() {
    for stage in OURS {
        let packed = pack(stage, &[7; 5000]).into_bytes();
        for length in 0..packed.len() {
            // Of no frame at all, some make no byte at all: the head then says that there were more.
            let cut = stage.back(authentic(packed.slice(..length)), 5000);
            assert!(cut.map_or(true, |bytes| length == 0 && bytes.is_empty()), "{stage:?} cut to {length}");
        }
        assert!(stage.back(authentic([&packed[..], b"x"].concat()), 5000).is_err(), "{stage:?}");
        assert!(stage.back(authentic(&b"not compressed at all"[..]), 5000).is_err(), "{stage:?}");
        assert_eq!(stage.back(authentic(packed), 5000).unwrap().len(), 5000, "{stage:?}");
    }
}
