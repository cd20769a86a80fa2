//! Tags that programs for music put before and behind the sound.

use super::bytes::{le32, take};

/// The bytes behind the ID3 tags at the beginning.
pub(super) fn without_front(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while let Some([b'I', b'D', b'3', version, _, flags, size @ ..]) = rest.first_chunk::<10>() {
        let footer = if *version >= 4 && flags & 0x10 != 0 {
            10
        } else {
            0
        };
        let end = 10 + safe(*size) + footer;
        rest = rest.get(end..).unwrap_or_default();
    }
    rest
}

/// The bytes before the ID3, APE and Lyrics3 tags at the end.
pub(super) fn without_end(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while let Some(tag) = tag_at_end(rest).filter(|tag| *tag > 0) {
        match rest.len().checked_sub(tag) {
            Some(before) => rest = &rest[..before],
            None => break,
        }
    }
    rest
}

/// The length of the tag that ends the file.
fn tag_at_end(bytes: &[u8]) -> Option<usize> {
    let from_end = |n: usize| bytes.len().checked_sub(n).and_then(|at| bytes.get(at..));
    if from_end(128).is_some_and(|tag| tag.starts_with(b"TAG")) {
        let extended = from_end(128 + 227).is_some_and(|tag| tag.starts_with(b"TAG+"));
        return Some(if extended { 128 + 227 } else { 128 });
    }
    if let Some(footer) = from_end(32).filter(|tag| tag.starts_with(b"APETAGEX")) {
        // The size counts the footer, and not the header that bit 31 of the flags announces.
        let header = if le32(footer, 20)? >> 31 == 1 { 32 } else { 0 };
        return Some(le32(footer, 12)? as usize + header);
    }
    if let Some(footer) = from_end(10).filter(|tag| tag.starts_with(b"3DI")) {
        return Some(safe(take(footer, 6)?) + 20);
    }
    if from_end(9) == Some(b"LYRICS200") {
        let digits = std::str::from_utf8(&from_end(15)?[..6]).ok()?;
        return digits.parse::<usize>().ok().map(|size| size + 15);
    }
    None
}

/// A number of four bytes of seven bits.
fn safe(bytes: [u8; 4]) -> usize {
    bytes
        .iter()
        .fold(0, |sum, byte| sum << 7 | usize::from(byte & 0x7F))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_taken_off_at_both_ends() {
        let mut front = b"ID3\x04\0\0\0\0\x01\x02".to_vec();
        front.resize(10 + 130, 7);
        front.extend(b"fLaC");
        assert_eq!(without_front(&front), b"fLaC");
        assert_eq!(without_front(&front[..100]), b"");
        let footer = |size: u32, flags: u32| {
            let mut tag = b"APETAGEX\xd0\x07\0\0".to_vec();
            tag.extend(size.to_le_bytes());
            tag.extend(1u32.to_le_bytes());
            tag.extend(flags.to_le_bytes());
            [tag, vec![0; 8]].concat()
        };
        let ape = [footer(42, 1 << 31), vec![9; 10], footer(42, 1 << 31)].concat();
        let lyrics = b"LYRICSBEGIN000011LYRICS200".to_vec();
        let id3 = [b"TAG".to_vec(), vec![0; 125]].concat();
        for tags in [
            vec![],
            ape.clone(),
            lyrics.clone(),
            id3.clone(),
            [ape, lyrics, id3].concat(),
        ] {
            let file = [b"sound".to_vec(), tags].concat();
            assert_eq!(without_end(&file), b"sound");
        }
    }
}
