//! Kinds of pictures that are refused by name.

use std::path::Path;

use super::decode::decode;

fn fixture(name: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    std::fs::read(root.join(name)).unwrap()
}

fn refused(name: &str, bytes: &[u8]) -> String {
    let error = match decode(name, bytes) {
        Ok(_) => panic!("{name} is decoded"),
        Err(error) => error.to_string(),
    };
    assert!(error.contains(&format!("`{name}`")), "{error}");
    error
}

#[test]
fn a_gif_whose_first_frame_leaves_pixels_open_is_refused() {
    let mut gif = fixture("pictures/palette.gif");
    gif[6] += 1;
    let error = refused("a.gif", &gif);
    assert!(error.contains("does not cover the picture"), "{error}");
}

/// The position of the segment that describes the frame of a JPEG.
fn frame(jpeg: &[u8]) -> usize {
    jpeg.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap()
}

#[test]
fn a_jpeg_that_its_decoder_decodes_otherwise_than_libjpeg_is_refused() {
    let jpeg = fixture("444.jpg");
    let at = frame(&jpeg);
    for (place, sampling, what) in [
        (1, 0x21, "whose first colour has fewer pixels"),
        (0, 0x31, "a third of the pixels"),
    ] {
        let mut other = jpeg.clone();
        other[at + 11 + 3 * place] = sampling;
        let error = refused("a.jpg", &other);
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn other_kinds_of_files_are_no_pictures() {
    for (bytes, what) in [(&b""[..], "it is empty"), (b"hello", "its first bytes")] {
        let error = refused("a.png", bytes);
        assert!(
            error.contains("not a valid PNG file") && error.contains(what),
            "{error}"
        );
    }
    assert!(refused("t.parquet/7", b"hello").contains("not a valid picture"));
}

#[test]
fn a_truncated_png_is_an_error_that_names_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/nano/eval/image");
    let bytes = std::fs::read(root.join("chelsea.png")).unwrap();
    for keep in [0, 7, 30, 1000, bytes.len() / 2, bytes.len() - 1] {
        let error = refused("chelsea.png", &bytes[..keep]);
        assert!(
            error.contains("`chelsea.png` is not a valid PNG"),
            "{error}"
        );
    }
}
