use super::*;
use crate::ErrorKind;
use serde_json::Value;
use std::path::Path;

const OURS: [&dyn Stage; 4] = [&Zstd, &Gzip, &Lz4, &Brotli];

fn authentic(bytes: impl Into<bytes::Bytes>) -> Authentic {
    Authentic::danger_assume(bytes)
}

fn pack(stage: &dyn Stage, bytes: &[u8]) -> Authentic {
    authentic(stage.forward(bytes).unwrap())
}

fn unhex(vector: &Value, name: &str) -> Vec<u8> {
    let hex = vector[name].as_str().unwrap();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn every_vector_is_undone_as_stated() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors/stages.json");
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let (mut undone, mut refused) = (0, 0);
    for vector in file["tests"].as_array().unwrap() {
        let name = &vector["comment"];
        let id = StageId::from_code(vector["code"].as_u64().unwrap()).unwrap();
        let stages = Stages { forward: Vec::new(), undone: Vec::new() };
        let limit = usize::try_from(vector["limit"].as_u64().unwrap()).unwrap();
        let back = stages.back(&[id], authentic(unhex(vector, "staged_hex")), limit);
        if vector["result"] == "ok" {
            assert_eq!(back.unwrap().as_bytes(), unhex(vector, "plain_hex"), "{name}");
            undone += 1;
        } else {
            assert_eq!(back.map(drop).expect_err(name.as_str().unwrap()).kind(), ErrorKind::Broken);
            refused += 1;
        }
    }
    assert!(undone >= 40 && refused >= 20, "{undone} undone, {refused} refused");
}

#[test]
fn back_undoes_forward() {
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
fn bomb_is_refused_at_the_limit() {
    for stage in OURS {
        for limit in [0, 1, 99_999] {
            let error = stage.back(pack(stage, &[0; 100_000]), limit).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Broken, "{stage:?} {limit}");
        }
    }
}

#[test]
fn malformed_bytes_are_refused_and_later_ones_still_decompress() {
    for stage in OURS {
        let packed = pack(stage, &[7; 5000]).into_bytes();
        for length in 0..packed.len() {
            // A stage may decode no input to no output; the length in the head then does not fit.
            let cut = stage.back(authentic(packed.slice(..length)), 5000);
            assert!(cut.map_or(true, |bytes| length == 0 && bytes.is_empty()), "{stage:?} cut to {length}");
        }
        assert!(stage.back(authentic([&packed[..], b"x"].concat()), 5000).is_err(), "{stage:?}");
        assert!(stage.back(authentic(&b"not compressed at all"[..]), 5000).is_err(), "{stage:?}");
        assert_eq!(stage.back(authentic(packed), 5000).unwrap().len(), 5000, "{stage:?}");
    }
}
