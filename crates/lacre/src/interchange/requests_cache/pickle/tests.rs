//! Tests of accepted and refused pickles, and that no pickle runs code.

use super::opcode::Refused as Opcode;
use super::{Refused, read, write};
use crate::interchange::requests_cache::error;
use crate::interchange::requests_cache::value::Value;
use bytes::Bytes;
use proptest::prelude::*;

fn bytes(pickle: &'static [u8]) -> Bytes {
    Bytes::from_static(pickle)
}

fn text(text: &str) -> Value {
    Value::Str(text.into())
}

fn dict(entries: &[(&str, Value)]) -> Value {
    Value::Dict(entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
}

#[test]
fn every_protocol_of_python_is_read() {
    // `pickle.dumps({"a": [1, -2, 70000, 2**40, 1.5, True, None, "é"], "b": ()}, protocol)` of
    // CPython 3.11, for protocols 0 to 5.
    let pickles: [&[u8]; 6] = [
        b"(dp0\nVa\np1\n(lp2\nI1\naI-2\naI70000\naL1099511627776L\naF1.5\naI01\naNaV\xe9\np3\nasVb\np4\n(ts.",
        b"}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01J\xfe\xff\xff\xffJp\x11\x01\x00L1099511627776L\nG?\xf8\x00\x00\x00\x00\x00\x00I01\nNX\x02\x00\x00\x00\xc3\xa9q\x03eX\x01\x00\x00\x00bq\x04)u.",
        b"\x80\x02}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01J\xfe\xff\xff\xffJp\x11\x01\x00\x8a\x06\x00\x00\x00\x00\x00\x01G?\xf8\x00\x00\x00\x00\x00\x00\x88NX\x02\x00\x00\x00\xc3\xa9q\x03eX\x01\x00\x00\x00bq\x04)u.",
        b"\x80\x03}q\x00(X\x01\x00\x00\x00aq\x01]q\x02(K\x01J\xfe\xff\xff\xffJp\x11\x01\x00\x8a\x06\x00\x00\x00\x00\x00\x01G?\xf8\x00\x00\x00\x00\x00\x00\x88NX\x02\x00\x00\x00\xc3\xa9q\x03eX\x01\x00\x00\x00bq\x04)u.",
        b"\x80\x04\x956\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94]\x94(K\x01J\xfe\xff\xff\xffJp\x11\x01\x00\x8a\x06\x00\x00\x00\x00\x00\x01G?\xf8\x00\x00\x00\x00\x00\x00\x88N\x8c\x02\xc3\xa9\x94e\x8c\x01b\x94)u.",
        b"\x80\x05\x956\x00\x00\x00\x00\x00\x00\x00}\x94(\x8c\x01a\x94]\x94(K\x01J\xfe\xff\xff\xffJp\x11\x01\x00\x8a\x06\x00\x00\x00\x00\x00\x01G?\xf8\x00\x00\x00\x00\x00\x00\x88N\x8c\x02\xc3\xa9\x94e\x8c\x01b\x94)u.",
    ];
    let members = vec![
        Value::Int(1),
        Value::Int(-2),
        Value::Int(70_000),
        Value::Int(1 << 40),
        Value::Float(1.5),
        Value::Bool(true),
        Value::None,
        text("é"),
    ];
    let expected = dict(&[("a", Value::List(members)), ("b", Value::List(vec![]))]);
    for (protocol, pickle) in pickles.into_iter().enumerate() {
        assert_eq!(read(&bytes(pickle)), Ok(expected.clone()), "protocol {protocol}");
    }
}

#[test]
fn what_would_run_code_is_refused_by_its_name() {
    // Each is a beginning that Python's unpickler would execute.
    let planted: [(&[u8], &str); 13] = [
        (b"cposix\nsystem\n(Vtouch marker\ntR.", "GLOBAL"),
        (b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x0ctouch marker\x85R.", "STACK_GLOBAL"),
        (b"(Vtouch marker\niposix\nsystem\n.", "INST"),
        (b"(N(o.", "OBJ"),
        (b"N)R.", "REDUCE"),
        (b"NNb.", "BUILD"),
        (b"\x80\x02N)\x81.", "NEWOBJ"),
        (b"\x80\x04N)}\x92.", "NEWOBJ_EX"),
        (b"P1\n.", "PERSID"),
        (b"NQ.", "BINPERSID"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"\x80\x02\x83\x01\x00.", "EXT2"),
        (b"\x80\x02\x84\x01\x00\x00\x00.", "EXT4"),
    ];
    for (pickle, name) in planted {
        assert_eq!(read(&bytes(pickle)), Err(Refused::Opcode(Opcode::RunsCode(name))), "{name}");
        // At any position.
        let deep = [b"\x80\x04}(\x8c\x01a](", pickle, b"eu."].concat();
        assert!(matches!(read(&deep.into()), Err(Refused::Opcode(Opcode::RunsCode(_)))), "{name}");
    }
}

#[test]
fn only_opcodes_of_plain_data_are_obeyed() {
    let is_obeyed = |opcode: &u8| !matches!(read(&vec![*opcode].into()), Err(Refused::Opcode(_)));
    let obeyed: Vec<u8> = (0..=255).filter(is_obeyed).collect();
    let allowed = b"().FGIJKLMNVX]aeghjlpqrstu}d\x80\x85\x86\x87\x88\x89\x8a\x8c\x8d\x8e\x94\x95BC";
    let mut allowed = allowed.to_vec();
    allowed.sort_unstable();
    assert_eq!(obeyed, allowed);
}

#[test]
fn what_holds_itself_is_refused() {
    assert_eq!(read(&bytes(b"\x80\x04]\x94h\x00a.")), Err(error::too_deep().into()));
    assert_eq!(read(&bytes(b"\x80\x04}\x94\x8c\x01ah\x00s.")), Err(error::too_deep().into()));
}

#[test]
fn nesting_is_refused_without_overflowing_the_stack() {
    let deep = [&[b']'; 1_000_000][..], &[b'a'; 999_999], b"."].concat();
    assert_eq!(read(&deep.into()), Err(error::too_deep().into()));
    let marks = vec![b'('; 10_000_000];
    assert_eq!(read(&marks.into()), Err(error::too_many().into()));
}

#[test]
fn a_value_that_is_named_again_is_copied_but_not_without_end() {
    let shared = bytes(b"\x80\x04](]\x94K\x01ah\x00h\x00e.");
    let inner = || Value::List(vec![Value::Int(1)]);
    assert_eq!(read(&shared), Ok(Value::List(vec![inner(), inner(), inner()])));
    // Each tuple holds the one before it twice: 2^40 values in 120 bytes.
    let bomb = [&b"\x80\x04)"[..], &doubled(40), b"."].concat();
    assert_eq!(read(&bomb.into()), Err(error::too_many().into()));
    let text =
        [&b"\x80\x04](X\x00\x00\x10\x00"[..], &[b'a'; 1 << 20], b"\x94", &b"h\x00".repeat(1000), b"e."]
            .concat();
    assert_eq!(read(&text.into()), Err(error::too_long().into()));
}

/// Opcodes that repeatedly replace the value on top by a pair of itself.
fn doubled(times: u8) -> Vec<u8> {
    (0..times).flat_map(|name| [0x94, b'h', name, 0x86]).collect()
}

#[test]
fn lengths_are_not_believed() {
    for pickle in [
        &b"\x80\x04B\xff\xff\xff\xffabc."[..],
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\xffabc.",
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7fabc.",
        b"\x80\x04\x8c\xffabc.",
        b"\x80\x04\x8a\xff\x01.",
    ] {
        assert_eq!(read(&bytes(pickle)), Err(error::cut_off().into()), "{pickle:?}");
    }
}

#[test]
fn what_is_no_pickle_is_refused() {
    for pickle in [
        &b""[..],
        b".",
        b"\x80\x04",
        b"\x80\x06N.",
        b"N",
        b"NN.",
        b"N.N",
        b"(.",
        b"(N.",
        b"t.",
        b"e.",
        b"Na.",
        b"]s.",
        b"}a.",
        b"]Na",
        b"K\x01NNs.",
        b"h\x00.",
        b"g5\n.",
        b"gx\n.",
        b"Ix\n.",
        b"F1,5\n.",
        b"V\\u12\n.",
        b"V\\ud800\n.",
        b"\x8c\x01\xff.",
        b"(K\x01Nd.",
        b"(Nd.",
        b"\x8a\x11\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01.",
        b"](\x85.",
        b"N(\x86.",
    ] {
        assert!(read(&bytes(pickle)).is_err(), "{pickle:?}");
    }
}

fn values() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::None),
        any::<bool>().prop_map(Value::Bool),
        any::<i128>().prop_map(Value::Int),
        any::<i32>().prop_map(|number| Value::Int(number.into())),
        (-1e300..1e300f64).prop_map(Value::Float),
        ".{0,300}".prop_map(Value::Str),
        proptest::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| Value::Bytes(bytes.into())),
    ];
    scalar.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::List),
            proptest::collection::btree_map(".{0,8}", inner, 0..8)
                .prop_map(|entries| Value::Dict(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(value in values()) {
        prop_assert_eq!(read(&write(&value).into()), Ok(value));
    }

    #[test]
    fn a_cut_is_refused(value in values(), at: prop::sample::Index) {
        let pickle = write(&value);
        let cut = at.index(pickle.len());
        prop_assert!(read(&pickle[..cut].to_vec().into()).is_err());
    }

    #[test]
    fn arbitrary_bytes_never_panic(pickle in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&pickle.into());
    }
}
