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
        Err(error) => format!("{error}; {}", error.hint().unwrap()),
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

/// A file of one gray pixel, with another tag.
fn tiff_with(tag: u16, value: u16) -> Vec<u8> {
    let tags = [
        (256, 1),
        (257, 1),
        (258, 8),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, 1),
        (279, 1),
        (tag, value),
    ];
    let mut out = b"II\x2A\0\x0A\0\0\0\x07\0".to_vec();
    let mut tags = tags.to_vec();
    tags.sort_unstable();
    out.extend((tags.len() as u16).to_le_bytes());
    for (tag, value) in tags {
        out.extend([tag, 3, 1, 0, value, 0].map(u16::to_le_bytes).concat());
    }
    out.extend([0; 4]);
    out
}

#[test]
fn a_tiff_that_pil_would_turn_or_divide_by_its_opacity_is_refused() {
    assert_eq!(decode("a.tif", &tiff_with(274, 1)).unwrap().pixels, [7]);
    for (tag, value, what) in [(274, 6, "`Orientation`"), (338, 1, "opacity")] {
        let error = refused("a.tif", &tiff_with(tag, value));
        assert!(
            error.contains("`a.tif` can't be decoded") && error.contains(what),
            "{error}"
        );
        assert!(error.contains("convert it to 8-bit PNG"), "{error}");
    }
}

#[test]
fn a_run_length_bmp_that_leaves_pixels_out_is_refused() {
    let bytes = fixture("pictures/runs-8-bits.bmp");
    let pixels = 54 + 256 * 4;
    let change = |at: usize, to: &[u8]| {
        let mut other = bytes.clone();
        other[pixels + at..pixels + at + to.len()].copy_from_slice(to);
        other
    };
    let end_of_row = change(0, &[0, 0]);
    let end = change(0, &[0, 1]);
    let delta = change(0, &[0, 2]);
    let short = change(0, &[29]);
    let long = change(0, &[66]);
    for other in [end_of_row, end, delta, short, long] {
        let error = refused("a.bmp", &other);
        assert!(error.contains("leaves pixels out"), "{error}");
        assert!(error.contains("convert it to 8-bit PNG"), "{error}");
    }
    let mut masks = fixture("pictures/565.bmp");
    masks[54..66].copy_from_slice(&[0, 0x0F, 0, 0, 0xF0, 0, 0, 0, 0x0F, 0, 0, 0]);
    let error = refused("a.bmp", &masks);
    assert!(error.contains("a BMP of 16 bits"), "{error}");
}

#[test]
fn kinds_of_jpeg_and_tiff_that_are_not_read_are_named() {
    let bytes = fixture("420.jpg");
    let frame = frame(&bytes);
    let change = |at: usize, to: u8| {
        let mut other = bytes.clone();
        other[frame + at] = to;
        other
    };
    let mut no_height = change(5, 0);
    no_height[frame + 6] = 0;
    for (name, bytes, what) in [
        ("a.jpg", change(1, 0xC3), "a lossless JPEG"),
        ("a.jpg", change(1, 0xC5), "a hierarchical JPEG"),
        ("a.jpg", change(1, 0xC9), "a JPEG with arithmetic codes"),
        ("a.jpg", change(1, 0xCA), "a JPEG with arithmetic codes"),
        ("a.jpg", change(4, 12), "a JPEG with 12 bits a sample"),
        ("a.jpg", no_height, "height is given behind"),
        ("a.tif", b"II\x2B\0\x08\0\0\0".to_vec(), "BigTIFF"),
        ("a.tif", b"MM\0\x2B\0\x08\0\0".to_vec(), "BigTIFF"),
    ] {
        let error = refused(name, &bytes);
        assert!(
            error.contains(&format!("`{name}` can't be decoded")) && error.contains(what),
            "{error}"
        );
        assert!(error.contains("convert it to 8-bit PNG"), "{error}");
    }
}
