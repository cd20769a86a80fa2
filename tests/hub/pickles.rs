//! Files such as `torch.save` writes, and such as it would not, opcode by opcode.

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A ZIP archive whose entries are stored as they are.
pub(crate) fn archive(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, bytes) in records {
        writer.start_file(*name, stored).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    [
        b"X",
        &(text.len() as u32).to_le_bytes()[..],
        text.as_bytes(),
    ]
    .concat()
}

pub(crate) fn int(value: i64) -> Vec<u8> {
    [&b"\x8a\x08"[..], &value.to_le_bytes()].concat()
}

pub(crate) fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
    [b"(", &items.concat()[..], b"t"].concat()
}

fn ints(values: &[i64]) -> Vec<u8> {
    tuple(&values.iter().map(|n| int(*n)).collect::<Vec<_>>())
}

pub(crate) fn global(module: &str, name: &str) -> Vec<u8> {
    format!("c{module}\n{name}\n").into_bytes()
}

/// A view of storage `0`, which has `count` elements.
pub(crate) fn tensor(
    kind: &str,
    count: i64,
    offset: i64,
    shape: &[i64],
    strides: &[i64],
) -> Vec<u8> {
    let storage = [
        text("storage"),
        global("torch", kind),
        text("0"),
        text("cpu"),
        int(count),
    ];
    let hooks = [global("collections", "OrderedDict"), b")R".to_vec()].concat();
    let arguments = [
        [tuple(&storage), b"Q".to_vec()].concat(),
        int(offset),
        ints(shape),
        ints(strides),
        b"\x89".to_vec(),
        hooks,
    ];
    let rebuild = global("torch._utils", "_rebuild_tensor_v2");
    [rebuild, tuple(&arguments), b"R".to_vec()].concat()
}

/// A pickle of a dictionary, values given as opcodes.
pub(crate) fn dictionary(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut pickle = b"\x80\x02}(".to_vec();
    for (name, value) in entries {
        pickle.extend(text(name));
        pickle.extend(value);
    }
    pickle.extend(b"u.");
    pickle
}
