//! Honest files are read, hostile ones refused. Files of torch.save itself: `tests/torch.rs`.

use proptest::prelude::*;

use super::*;
use crate::kernels::Stored;
use crate::pickles::{self, archive, global, int, tensor, text, tuple};

/// A file of this pickle and one storage of 24 bytes.
fn file(pickle: &[u8]) -> Vec<u8> {
    let records = [("m/data.pkl", pickle), ("m/data/0", &[7; 24])];
    archive(&records)
}

/// `{"w": VALUE}`
fn dictionary(value: &[u8]) -> Vec<u8> {
    pickles::dictionary(&[("w".to_owned(), value.to_vec())])
}

fn read(value: &[u8]) -> Result<Places, String> {
    tensors(&file(&dictionary(value)))
}

fn refusal(pickle: &[u8]) -> String {
    tensors(&file(pickle)).map(drop).unwrap_err()
}

#[test]
fn a_view_is_where_its_offset_says() {
    let bytes = file(&dictionary(&tensor(
        "FloatStorage",
        6,
        2,
        &[2, 1, 2],
        &[2, 9, 1],
    )));
    let (name, place) = tensors(&bytes).unwrap().remove(0);
    assert_eq!(
        (name.as_str(), place.shape.as_slice()),
        ("w", &[2, 1, 2][..])
    );
    assert_eq!((place.bytes.len(), place.stored), (16, Ok(Stored::F32)));
    assert_eq!(bytes[place.bytes.start - 8..place.bytes.end], [7; 24]);
}

#[test]
fn what_is_no_weight_is_told_only_when_it_is_read() {
    for (kind, count) in [
        ("BoolStorage", 24),
        ("LongStorage", 3),
        ("DoubleStorage", 3),
    ] {
        let place = read(&tensor(kind, count, 0, &[3], &[1]))
            .unwrap()
            .remove(0)
            .1;
        assert!(place.stored.unwrap_err().contains("has dtype"));
    }
    let transposed = tensor("FloatStorage", 6, 0, &[3, 2], &[1, 3]);
    let place = read(&transposed).unwrap().remove(0).1;
    let reason = place.stored.unwrap_err();
    assert!(
        reason.contains("strides [1, 3]: save it after `.contiguous()`"),
        "{reason}"
    );
}

#[test]
fn nothing_that_could_run_is_let_in() {
    let call = |module: &str, name: &str| [global(module, name), text("id"), b"\x85R".to_vec()];
    for (module, name) in [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("__builtin__", "exec"),
        ("torch", "load"),
        ("torch", "QInt8Storage"),
        ("collections", "Counter"),
        ("torch._utils", "_rebuild_sparse_tensor"),
    ] {
        let error = refusal(&dictionary(&call(module, name).concat()));
        assert!(
            error.contains(&format!("it wants `{module}.{name}`")),
            "{error}"
        );
    }
    for opcode in [b"\x81", b"i", b"o", b"\x82", b"\x93", b"P", b"V", b"0"] {
        let error = refusal(&dictionary(opcode));
        assert!(error.contains("is none that weights need"), "{error}");
    }
    let error = refusal(b"\x80\x04\x95\0\0\0\0\0\0\0\0}.");
    assert!(
        error.contains("a pickle of protocol 4, expected 2"),
        "{error}"
    );
}

#[test]
fn what_is_let_in_can_be_called_only_as_it_is_meant() {
    let storage = global("torch", "FloatStorage");
    for call in [
        [storage.clone(), b")R".to_vec()].concat(),
        [text("os.system"), b")R".to_vec()].concat(),
        [global("torch._utils", "_rebuild_tensor_v2"), b")R".to_vec()].concat(),
        [
            global("collections", "OrderedDict"),
            text("x"),
            b"\x85R".to_vec(),
        ]
        .concat(),
        [global("collections", "OrderedDict"), b"Nb".to_vec()].concat(),
        [tuple(&[text("module"), storage]), b"Q".to_vec()].concat(),
        b"N".to_vec(),
        b")".to_vec(),
    ] {
        assert!(read(&call).is_err());
    }
    assert!(refusal(b"\x80\x02N.").contains("no dictionary of tensors"));
    assert!(refusal(b"\x80\x02}NNs.").contains("has no name"));
}

#[test]
fn sizes_that_cannot_be_are_refused() {
    let most = i64::MAX;
    for value in [
        tensor("FloatStorage", 7, 0, &[6], &[1]),
        tensor("FloatStorage", most, 0, &[6], &[1]),
        tensor("FloatStorage", 5, 0, &[5], &[1]),
        tensor("FloatStorage", -1, 0, &[6], &[1]),
        tensor("FloatStorage", 6, 1, &[6], &[1]),
        tensor("FloatStorage", 6, -1, &[6], &[1]),
        tensor("FloatStorage", 6, most, &[6], &[1]),
        tensor("FloatStorage", 6, 7, &[0], &[1]),
        tensor("FloatStorage", 6, 0, &[7], &[1]),
        tensor("FloatStorage", 6, 0, &[most, most], &[most, most]),
        tensor("FloatStorage", 6, 0, &[-6], &[1]),
        tensor("FloatStorage", 6, 0, &[6], &[-1]),
        tensor("FloatStorage", 6, 0, &[6], &[1, 1]),
        tensor("FloatStorage", 6, 0, &[1; 17], &[1; 17]),
    ] {
        assert!(read(&value).is_err());
    }
    let error = refusal(b"\x80\x02X\xff\xff\xff\xffw.");
    assert!(error.contains("cut off"), "{error}");
    assert!(refusal(b"\x80\x02\x8a\xff.").contains("cut off"));
    assert!(refusal(&dictionary(&text(&"x".repeat(2000)))).contains("names nothing"));
}

#[test]
fn a_pickle_comes_to_no_more_than_its_size() {
    // Each tuple holds the one before twice: 2^100,000 leaves.
    let mut laughs = b"\x80\x02)".to_vec();
    laughs.extend(b"q\x00h\x00\x86".repeat(100_000));
    laughs.push(b'.');
    assert!(refusal(&laughs).contains("no dictionary"));
    // A million tuples in each other.
    let deep = [&b"\x80\x02)"[..], &b"\x85".repeat(1_000_000), b"."].concat();
    assert!(refusal(&deep).contains("no dictionary"));
    let far = b"\x80\x02}r\xff\xff\xff\xffj\xff\xff\xff\xff.";
    assert!(tensors(&file(far)).unwrap().is_empty());
    let long = vec![b'N'; 9 << 20];
    assert!(refusal(&long).contains("is no list of tensors"));
}

#[test]
fn archives_that_torch_does_not_write_are_refused() {
    let pickle = dictionary(&tensor("FloatStorage", 6, 0, &[6], &[1]));
    let with = |records: &[(&str, &[u8])]| tensors(&archive(records)).map(drop).unwrap_err();
    assert!(with(&[("m/data.pkl", &pickle)]).contains("storage `0` is not in the file"));
    let two = [("m/data.pkl", &pickle[..]), ("n/data.pkl", &pickle)];
    assert!(with(&two).contains("without one data.pkl"));
    let order = [("m/data.pkl", &pickle[..]), ("m/byteorder", b"big")];
    assert!(with(&order).contains("big-endian"));
    let mut packed = archive(&[("m/data.pkl", &pickle)]);
    let directory = packed.windows(4).rposition(|bytes| bytes == b"PK\x01\x02");
    packed[directory.unwrap() + 10] = 8;
    let error = tensors(&packed).map(drop).unwrap_err();
    assert!(error.contains("is compressed"), "{error}");
    let error = tensors(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.").map(drop);
    assert!(error.unwrap_err().contains("before PyTorch 1.6"));
}

#[test]
fn a_file_that_is_cut_off_is_an_error_wherever_it_is() {
    let bytes = file(&dictionary(&tensor("FloatStorage", 6, 0, &[6], &[1])));
    assert!(tensors(&bytes).is_ok());
    for length in 0..bytes.len() {
        assert!(tensors(&bytes[..length]).is_err(), "{length} bytes");
    }
}

/// Opcodes with plausible operands, in any order.
fn program() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        prop::sample::select(b"().}NQRbstu\x85\x86\x87\x88\x89".as_slice()).prop_map(|op| vec![op]),
        (prop::sample::select(b"qhK".as_slice()), 0u8..8).prop_map(|(op, n)| vec![op, n]),
        any::<i64>().prop_map(int),
        prop::sample::select(["storage", "0", "cpu", "w"].as_slice()).prop_map(text),
        prop::sample::select(
            [
                ("collections", "OrderedDict"),
                ("torch._utils", "_rebuild_tensor_v2"),
                ("torch", "HalfStorage"),
            ]
            .as_slice()
        )
        .prop_map(|(module, name)| global(module, name)),
        (-9i64..9, -9i64..9, -9i64..9, -9i64..9).prop_map(|(offset, size, stride, count)| {
            tensor("FloatStorage", count, offset, &[size, 2], &[stride, 1])
        }),
    ];
    prop::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
}

/// Every place that is given lies in the file and fits its shape where it can be read.
fn sound(bytes: &[u8]) {
    for (_, place) in tensors(bytes).unwrap_or_default() {
        assert!(place.bytes.end <= bytes.len());
        if let Ok(stored) = place.stored {
            let elements: usize = place.shape.iter().product();
            assert_eq!(Some(place.bytes.len()), stored.bytes(elements));
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        sound(&bytes);
        sound(&file(&bytes));
    }

    #[test]
    fn no_program_makes_it_panic(program in program()) {
        sound(&file(&program));
        sound(&file(&dictionary(&program)));
    }

    #[test]
    fn no_flipped_byte_makes_it_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = file(&dictionary(&tensor("FloatStorage", 6, 1, &[2, 2], &[2, 1])));
        let at = at.index(bytes.len());
        bytes[at] = byte;
        sound(&bytes);
    }
}
