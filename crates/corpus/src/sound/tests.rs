//! What containers say of their sound, and what is refused.

use std::path::Path;

use super::*;

/// Name, declared length and body of a chunk.
type Part<'p> = (&'p [u8; 4], u32, &'p [u8]);

/// A file of chunks that begins with `head`, whose length field says `length` or what is right.
fn container(head: &[u8; 12], length: Option<u32>, chunks: &[Part<'_>]) -> Vec<u8> {
    let big_endian = head.starts_with(b"FORM");
    let number = |n: u32| {
        if big_endian {
            n.to_be_bytes()
        } else {
            n.to_le_bytes()
        }
    };
    let mut out = head.to_vec();
    for (id, declared, body) in chunks {
        out.extend(*id);
        out.extend(number(*declared));
        out.extend(*body);
        out.resize(out.len().next_multiple_of(2), 0);
    }
    let length = length.unwrap_or(out.len() as u32 - 8);
    out[4..8].copy_from_slice(&number(length));
    out
}

const RIFF: &[u8; 12] = b"RIFF\0\0\0\0WAVE";

/// The first 16 bytes of a `fmt ` chunk.
fn format(tag: u16, channels: u16, rate: u32, bits: u16) -> Vec<u8> {
    let align = channels * bits.div_ceil(8);
    let mut out = [tag, channels].map(u16::to_le_bytes).concat();
    out.extend(
        [rate, rate * u32::from(align)]
            .map(u32::to_le_bytes)
            .concat(),
    );
    out.extend([align, bits].map(u16::to_le_bytes).concat());
    out
}

/// The `fmt ` chunk of an extensible format.
fn extensible(tag: u8, bits: u16, valid: u16) -> Vec<u8> {
    let mut out = format(0xFFFE, 1, 16_000, bits);
    out.extend([22, valid, 0, 0].map(u16::to_le_bytes).concat());
    out.extend([tag, 0]);
    out.extend(b"\0\0\0\0\x10\0\x80\0\0\xAA\0\x38\x9B\x71");
    out
}

fn wav(format: &[u8], data: &[u8]) -> Vec<u8> {
    let (f, d) = (format.len() as u32, data.len() as u32);
    container(RIFF, None, &[(b"fmt ", f, format), (b"data", d, data)])
}

fn bytes_of(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|s| s.to_le_bytes()).collect()
}

fn decoded(name: &str, bytes: &[u8]) -> Result<Vec<i16>, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, bytes).unwrap();
    let pcm = pcm(name, &path, 16_000).map_err(|e| e.to_string())?;
    Ok(pcm
        .as_chunks()
        .0
        .iter()
        .map(|b| i16::from_le_bytes(*b))
        .collect())
}

fn refused(name: &str, bytes: &[u8]) -> String {
    let error = decoded(name, bytes).unwrap_err();
    assert!(error.contains(&format!("`{name}`")), "{error}");
    error
}

const SAMPLES: [i16; 4] = [0, -32768, 32767, 5];

#[test]
fn sixteen_bit_mono_goes_through_untouched() {
    let file = wav(&format(1, 1, 16_000, 16), &bytes_of(&SAMPLES));
    assert_eq!(decoded("a.wav", &file).unwrap(), SAMPLES);
}

#[test]
fn channels_are_averaged_and_other_depths_are_scaled() {
    let stereo = wav(&format(1, 2, 16_000, 16), &bytes_of(&[100, 200, -4, 4]));
    assert_eq!(decoded("a.wav", &stereo).unwrap(), [150, 0]);
    let deep: Vec<u8> = [256 * 77, -256 * 3 - 129]
        .map(i32::to_le_bytes)
        .map(|b| [b[0], b[1], b[2]])
        .concat();
    let deep = wav(&format(1, 1, 16_000, 24), &deep);
    assert_eq!(decoded("a.wav", &deep).unwrap(), [77, -4]);
    let many = wav(&format(1, 40, 16_000, 16), &bytes_of(&[7; 80]));
    assert_eq!(decoded("a.wav", &many).unwrap(), [7, 7]);
}

#[test]
fn floats_are_rounded_and_clipped_and_must_be_numbers() {
    let file = |samples: &[f32]| {
        let data: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
        wav(&format(3, 1, 16_000, 32), &data)
    };
    let found = decoded("a.wav", &file(&[1.5 / 32768.0, -0.5 / 32768.0, 2.0, -2.0])).unwrap();
    assert_eq!(found, [2, -1, 32767, -32768]);
    for bad in [f32::NAN, f32::INFINITY] {
        let error = refused("a.wav", &file(&[0.0, bad]));
        assert!(error.contains("sample 1 is not a finite number"), "{error}");
    }
}

#[test]
fn chunks_of_any_kind_and_length_may_stand_around_the_sound() {
    let (format, data) = (format(1, 1, 16_000, 16), bytes_of(&SAMPLES));
    let chunks: [(&[u8; 4], u32, &[u8]); 6] = [
        (b"odd ", 3, b"abc"),
        (b"fmt ", 16, &format),
        (b"fact", 1, b"x"),
        (b"LIST", 8, b"INFO\xFF\xFF\xFF\xFF"),
        (b"data", 8, &data),
        (b"id3 ", 99, b"cut"),
    ];
    assert_eq!(
        decoded("a.wav", &container(RIFF, None, &chunks)).unwrap(),
        SAMPLES
    );
    for more in [2, 4, 24] {
        let longer = [format.clone(), vec![0; more]].concat();
        assert_eq!(decoded("a.wav", &wav(&longer, &data)).unwrap(), SAMPLES);
    }
}

#[test]
fn a_length_that_the_writer_did_not_know_means_all_that_follows() {
    let (format, data) = (format(1, 1, 16_000, 16), bytes_of(&SAMPLES));
    for (riff, length) in [
        (0, 0),
        (36, 0),
        (u32::MAX, u32::MAX),
        (0, u32::MAX),
        (0x7FFF_F024, 0x7FFF_F000),
        (0x8000_0024, 0x8000_0000),
    ] {
        let chunks: [(&[u8; 4], u32, &[u8]); 2] =
            [(b"fmt ", 16, &format), (b"data", length, &data)];
        let file = container(RIFF, Some(riff), &chunks);
        assert_eq!(decoded("a.wav", &file).unwrap(), SAMPLES, "{riff} {length}");
    }
    // Of a file that says itself that it has no sound, none is made up.
    let chunks: [(&[u8; 4], u32, &[u8]); 3] = [
        (b"fmt ", 16, &format),
        (b"data", 0, b""),
        (b"LIST", 4, b"abcd"),
    ];
    let found = decoded("a.wav", &container(RIFF, None, &chunks)).unwrap();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_wav_with_two_sounds_or_formats_is_refused() {
    let (format, data) = (format(1, 1, 16_000, 16), bytes_of(&SAMPLES));
    let (fmt, sound): (Part<'_>, Part<'_>) = ((b"fmt ", 16, &format), (b"data", 8, &data));
    let list: Part<'_> = (b"LIST", 3, b"abc");
    let two = |what: &str| format!("a WAV with two `{what}` chunks");
    for (chunks, what) in [
        (vec![fmt, fmt, sound], two("fmt ")),
        (vec![fmt, sound, list, fmt], two("fmt ")),
        (vec![fmt, sound, sound], two("data")),
        (vec![fmt, list, sound, list, sound], two("data")),
        (vec![fmt, (b"data", 0, b""), sound], two("data")),
        (
            vec![fmt, (b"data", 0, &data)],
            "declares 0 bytes and has 8 bytes behind it".to_owned(),
        ),
    ] {
        let error = refused("a.wav", &container(RIFF, None, &chunks));
        assert!(error.contains(&what), "{error}");
    }
    let chunks = [
        fmt,
        (b"LIST", 20, b"data\x08\0\0\0fmt \x08\0\0\0abcd"),
        sound,
    ];
    let found = decoded("a.wav", &container(RIFF, None, &chunks)).unwrap();
    assert_eq!(found, SAMPLES);
}

#[test]
fn an_aiff_or_caf_with_two_sounds_is_refused() {
    let aiff = fixture("s16.aiff");
    let at = aiff.windows(4).position(|w| w == b"SSND").unwrap();
    let error = refused("a.aiff", &[&aiff, &aiff[at..]].concat());
    assert!(error.contains("two `SSND` chunks"), "{error}");
    let caf = fixture("s16.caf");
    let at = caf.windows(4).position(|w| w == b"data").unwrap();
    let error = refused("a.caf", &[&caf, &caf[at..]].concat());
    assert!(error.contains("two `data` chunks"), "{error}");
}

#[test]
fn bits_that_are_not_valid_are_the_low_ones() {
    let deep = [0x0012_3400i32, -0x0012_3400]
        .map(|s| (s << 8).to_le_bytes())
        .concat();
    let file = wav(&extensible(1, 32, 24), &deep);
    assert_eq!(decoded("a.wav", &file).unwrap(), [0x1234, -0x1234]);
    let twelve = bytes_of(&[0x1230, -0x1230]);
    for format in [extensible(1, 16, 12), format(1, 1, 16_000, 12)] {
        assert_eq!(
            decoded("a.wav", &wav(&format, &twelve)).unwrap(),
            [0x1230, -0x1230]
        );
    }
}

#[test]
fn an_extensible_format_is_the_plain_one_of_its_number() {
    let codes: Vec<u8> = (0..=255).collect();
    for tag in [6, 7] {
        let plain = decoded("a.wav", &wav(&format(tag.into(), 1, 16_000, 8), &codes)).unwrap();
        let found = decoded("a.wav", &wav(&extensible(tag, 8, 8), &codes)).unwrap();
        assert_eq!(plain, found);
        let greatest = plain.iter().map(|s| s.unsigned_abs()).max();
        assert_eq!(greatest, Some(if tag == 6 { 32256 } else { 32124 }));
    }
}

#[test]
fn a_cut_or_senseless_wav_is_refused_by_name() {
    let whole = wav(&format(1, 1, 16_000, 16), &bytes_of(&SAMPLES));
    for (file, what) in [
        (
            whole[..whole.len() - 1].to_vec(),
            "it is cut: 7 of 8 bytes of sound are there",
        ),
        (whole[..30].to_vec(), "cut in its `fmt ` chunk"),
        (whole[..40].to_vec(), "it is cut, or has no `data` chunk"),
        (wav(&format(1, 1, 16_000, 16), b"abc"), "inside a frame"),
        (wav(&format(1, 0, 16_000, 16), b"ab"), "no channels"),
        (wav(&format(1, 1, 0, 16), b"ab"), "sample rate"),
        (wav(&[1, 0], b"ab"), "too short"),
        (wav(&format(2, 1, 16_000, 4), b"ab"), "Microsoft's ADPCM"),
        (
            wav(&format(3, 1, 16_000, 16), b"ab"),
            "float samples of 16 bits",
        ),
    ] {
        let error = refused("a.wav", &file);
        assert!(error.contains(what), "{error}");
    }
    let slow = wav(&format(1, 1, 1, 16), &vec![0; 200_000]);
    let error = refused("a.wav", &slow);
    assert!(error.contains("too large"), "{error}");
}

#[test]
fn a_tone_keeps_its_pitch_and_level_when_resampled() {
    let tone = |i: usize| {
        (8000.0 * (2.0 * std::f64::consts::PI * 440.0 * i as f64 / 48_000.0).sin()) as i16
    };
    let samples: Vec<i16> = (0..48_000).map(tone).collect();
    let found = decoded(
        "a.wav",
        &wav(&format(1, 1, 48_000, 16), &bytes_of(&samples)),
    )
    .unwrap();
    assert!((15_990..=16_010).contains(&found.len()), "{}", found.len());
    let middle = &found[1000..15_000];
    let loudest = middle.iter().map(|s| s.unsigned_abs()).max().unwrap();
    assert!((7_950..=8_050).contains(&loudest), "{loudest}");
    let crossings = middle
        .windows(2)
        .filter(|w| (w[0] < 0) != (w[1] < 0))
        .count();
    assert!((768..=772).contains(&crossings), "{crossings} for 770");
}

fn fixture(name: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sound");
    std::fs::read(root.join(name)).unwrap()
}

#[test]
fn an_aiff_or_caf_of_unknown_length_goes_to_the_end_of_the_file() {
    let mut aiff = fixture("s16.aiff");
    let expected = decoded("a.aiff", &aiff).unwrap();
    let at = aiff.windows(4).position(|w| w == b"SSND").unwrap();
    aiff[at + 4..at + 8].copy_from_slice(&0x7FFF_FFF0u32.to_be_bytes());
    assert_eq!(decoded("a.aiff", &aiff).unwrap(), expected);
    let mut caf = fixture("s16.caf");
    let at = caf.windows(4).position(|w| w == b"data").unwrap();
    caf[at + 4..at + 12].fill(0xFF);
    assert!(decoded("a.caf", &caf).unwrap().starts_with(&expected));
}

#[test]
fn a_flac_that_does_not_say_its_length_must_be_whole_frames() {
    let mut flac = fixture("s16.flac");
    let expected = decoded("a.flac", &flac).unwrap();
    flac[21] &= 0xF0;
    flac[22..42].fill(0);
    assert_eq!(decoded("a.flac", &flac).unwrap(), expected);
    let error = refused("a.flac", &flac[..flac.len() - 9]);
    assert!(error.contains("no whole frame"), "{error}");
}

#[test]
fn an_mp3_must_be_frame_after_frame_and_as_many_as_it_says() {
    let mp3 = fixture("mono.mp3");
    let error = refused("a.mp3", &mp3[..mp3.len() - 5]);
    let (_, last) = error.split_once("it is cut in the frame at byte ").unwrap();
    let error = refused("a.mp3", &mp3[..last.parse().unwrap()]);
    assert!(error.contains("its header says"), "{error}");
    let junk = [mp3.as_slice(), b"junk"].concat();
    let error = refused("a.mp3", &junk);
    assert!(error.contains("no frame begins at byte"), "{error}");
}

#[test]
fn ogg_pages_must_be_whole_in_order_and_of_one_stream() {
    let ogg = fixture("vorbis.ogg");
    let starts: Vec<usize> = (0..ogg.len())
        .filter(|at| ogg[*at..].starts_with(b"OggS"))
        .collect();
    let last = *starts.last().unwrap();
    let middle = [&ogg[..starts[1]], &ogg[starts[2]..]].concat();
    let twice = [ogg.as_slice(), &ogg].concat();
    for (file, what) in [
        (&ogg[..last], "no page is marked as the last one"),
        (&middle, "pages are missing"),
        (&twice, "several streams"),
    ] {
        let error = refused("a.ogg", file);
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn a_file_of_another_kind_is_named_by_its_ending() {
    for (name, format) in [
        ("a.flac", "FLAC"),
        ("a.WAV", "WAV"),
        ("a.aif", "AIFF"),
        ("a.mp3", "MP3"),
    ] {
        let error = refused(name, b"<html>not found</html>");
        assert!(
            error.contains(&format!("not a valid {format} file")),
            "{error}"
        );
    }
}
