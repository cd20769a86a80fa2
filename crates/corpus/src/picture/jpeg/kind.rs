//! Kinds of JPEG that are known and not read.

/// What a file is by the segments before its first scan; none if it is read, or damaged.
pub(in crate::picture) fn unread(bytes: &[u8]) -> Option<&'static str> {
    let mut at = 2;
    loop {
        let [0xFF, marker] = *bytes.get(at..)?.first_chunk()? else {
            at += 1;
            continue;
        };
        match marker {
            0x00 | 0x01 | 0xD0..=0xD8 | 0xFF => {
                at += 1;
                continue;
            }
            0xC0..=0xC2 => return of_frame(bytes.get(at + 4..)?),
            0xD9 | 0xDA => return None,
            _ => {}
        }
        if let Some(found) = of_marker(marker) {
            return Some(found);
        }
        let [high, low] = *bytes.get(at + 2..)?.first_chunk()?;
        at += 2 + usize::from(u16::from_be_bytes([high, low]));
    }
}

/// By the marker of the frame.
fn of_marker(marker: u8) -> Option<&'static str> {
    Some(match marker {
        0xC3 => "a lossless JPEG",
        0xC5..=0xC7 | 0xCD..=0xCF | 0xDE => "a hierarchical JPEG",
        0xC9 | 0xCA => "a JPEG with arithmetic codes",
        0xCB => "a lossless JPEG with arithmetic codes",
        0xF7 => "a JPEG-LS",
        _ => return None,
    })
}

/// By the bits of a sample and the height, which begin a frame that is read otherwise.
fn of_frame(body: &[u8]) -> Option<&'static str> {
    match body {
        [12, ..] => Some("a JPEG with 12 bits a sample"),
        [_, 0, 0, ..] => Some("a JPEG whose height is given behind its first scan"),
        _ => None,
    }
}
