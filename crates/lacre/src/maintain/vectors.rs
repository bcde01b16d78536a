//! Evidence, namespaces and anchors against the vectors of an independent implementation of
//! docs/format.md (`vectors/make.py`).

use super::anchor::{AnchorReader, Change};
use crate::storage::namespace_list::{decode, row_key_prefix};
use crate::storage::times::seal_time;
use crate::storage::vault::Vault;
use crate::store::{Memory, Record, Store};
use crate::{Cache, ManualClock, wait};
use lacre_core::{Key, Timestamp};
use lacre_seal::{Keyring, StoreId};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_001_000);

fn vectors(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vectors").join(name);
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    file["tests"].as_array().unwrap().clone()
}

fn bytes(vector: &Value, name: &str) -> Vec<u8> {
    let hex = vector[name].as_str().unwrap();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn key(vector: &Value, name: &str) -> Key {
    Key::from_bytes(bytes(vector, name).try_into().unwrap())
}

/// A cache over a store with the vector's id.
fn cache_of(vector: &Value) -> (Cache, Arc<Memory>) {
    let store = Arc::new(Memory::new().unwrap());
    let mut cache = Cache::builder()
        .store(store.clone())
        .keyring(Keyring::parse(vector["keyring"].as_str().unwrap()).unwrap())
        .namespace(vector["namespace"].as_str().unwrap())
        .clock(Arc::new(ManualClock::new(NOW)))
        .build()
        .unwrap();
    let vault: &mut Vault = Arc::get_mut(&mut cache.storage.vault).unwrap();
    vault.store_id = StoreId::from_bytes(bytes(vector, "store_hex").try_into().unwrap());
    (cache, store)
}

#[test]
fn evidence_is_read_and_refused_as_the_format_says() {
    let mut read = 0;
    for vector in vectors("evidence.json") {
        let id = &vector["id"];
        let (cache, store) = cache_of(&vector);
        let (at, sealed) = (key(&vector, "key_hex"), bytes(&vector, "sealed_hex"));
        assert_eq!(cache.storage.vault.evidence_key(&key(&vector, "row_key_hex")), at, "{id}");
        let record = Record { body: None, chunks: 0, expires: Timestamp::MAX, written: NOW, sealed: &sealed };
        wait(store.put(&at, record)).unwrap();
        let mut found = Vec::new();
        wait(cache.quarantined(&mut |piece| found.push(piece))).unwrap();
        if vector["result"] == "refused" {
            assert!(found.is_empty(), "{id}");
            continue;
        }
        let piece = found.pop().unwrap();
        assert_eq!((piece.key, piece.from), (at, key(&vector, "row_key_hex")), "{id}");
        assert_eq!(piece.at.as_millis(), vector["at"].as_i64().unwrap(), "{id}");
        assert_eq!(Some(piece.length), vector["length"].as_u64(), "{id}");
        assert_eq!(Some(piece.reason.as_str()), vector["why"].as_str(), "{id}");
        assert_eq!(piece.evidence, bytes(&vector, "evidence_hex"), "{id}");
        read += 1;
    }
    assert!(read >= 4);
}

#[test]
fn lists_of_namespaces_and_their_row_keys_are_as_the_format_says() {
    let (mut read, mut refused, mut keys) = (0, 0, 0);
    for vector in vectors("namespaces.json") {
        let id = &vector["id"];
        if let Some(identity) = vector["identity_hex"].as_str().map(|_| bytes(&vector, "identity_hex")) {
            let keyring = Keyring::parse(vector["keyring"].as_str().unwrap()).unwrap();
            let prefix = row_key_prefix(vector["namespace"].as_str().unwrap());
            let row = keyring.row_key(&[prefix, identity].concat());
            assert_eq!(row[..], bytes(&vector, "row_key_hex")[..], "{id}");
            keys += 1;
            continue;
        }
        let (cache, _) = cache_of(&vector);
        let (at, sealed) = (key(&vector, "key_hex"), bytes(&vector, "sealed_hex"));
        assert_eq!(cache.storage.vault.namespace_list_key(), at, "{id}");
        match cache.storage.vault.open_namespace_list(&at, &sealed) {
            Ok(opened) => {
                let names: Vec<&str> =
                    vector["names"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
                assert_eq!(decode(&opened.head).unwrap(), names, "{id}");
                read += 1;
            }
            Err(_) => {
                assert_eq!(vector["result"], "refused", "{id}");
                refused += 1;
            }
        }
    }
    assert!(read >= 3 && refused >= 3 && keys >= 3);
}

#[test]
fn anchors_are_read_and_refused_as_the_format_says() {
    let (mut read, mut refused) = (0, 0);
    for vector in vectors("anchors.json") {
        let id = &vector["id"];
        let (cache, _) = cache_of(&vector);
        let (file, mut found) = (bytes(&vector, "file_hex"), Vec::new());
        let anchored = wait(cache.verify_anchor(&mut &file[..], &mut |finding| found.push(finding)));
        if vector["result"] == "refused" {
            assert!(anchored.is_err(), "{id}");
            refused += 1;
            continue;
        }
        assert_eq!(anchored.unwrap().at.as_millis(), vector["created"].as_i64().unwrap(), "{id}");
        assert!(found.iter().all(|finding| finding.change == Change::Missing), "{id}");
        let marks = vector["marks"].as_array().unwrap();
        let keys: Vec<Key> = marks.iter().map(|mark| key(mark, "key_hex")).collect();
        assert_eq!(found.iter().map(|finding| finding.key).collect::<Vec<_>>(), keys, "{id}");
        let input = &mut &file[..];
        let mut reader = AnchorReader::start(&cache.storage.vault, input, seal_time(NOW)).unwrap();
        for mark in marks {
            let (_, known) = reader.next().unwrap().unwrap();
            assert_eq!(Some(known.created.as_millis()), mark["created"].as_u64(), "{id}");
            assert_eq!(Some(known.not_after.as_millis()), mark["not_after"].as_u64(), "{id}");
            assert_eq!(known.commitment[..], bytes(mark, "commitment_hex")[..], "{id}");
        }
        read += 1;
    }
    assert!(read >= 4 && refused >= 10);
}
