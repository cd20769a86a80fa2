//! Whether a JPEG is whole: every block of every scan has its codes, and no codes are left over.
//!
//! JPEG has no checksum, and decoders fill what is missing with gray without a word, even strict ones
//! where a cut file was closed with an end marker. What this walk decodes are only the lengths of codes:
//! a cut makes them end too early, and missing restart markers are seen. Other damage is often not
//! seen: codes fall back into step after a changed bit, and many bits are not codes but values.

mod bits;
mod frame;
mod kind;
mod scan;

use bits::{Bits, Huffman};
use frame::Frame;
pub(super) use kind::unread;
use scan::Scan;

/// Why a file is not read.
pub(super) enum Fault {
    Damaged(String),
    /// Of a kind that the decoder does not decode as libjpeg does.
    Unread(&'static str),
    /// So many pixels wide and high.
    TooLarge(usize, usize),
}

impl<T: ToString> From<T> for Fault {
    fn from(reason: T) -> Self {
        Self::Damaged(reason.to_string())
    }
}

const CUT: &str = "it is cut";
/// Scans that a picture may have, as its decoder allows.
const MOST_SCANS: usize = 100;
/// Bytes that may be left over behind a scan: some cameras write one too many.
const SPARE: usize = 1;

/// Tables and frame so far.
#[derive(Default)]
struct State {
    dc: [Huffman; 4],
    ac: [Huffman; 4],
    restart: usize,
    frame: Option<Frame>,
}

/// Walks all segments up to the marker that ends the picture, if it has at most `limit` samples.
pub(super) fn check(bytes: &[u8], limit: u64) -> Result<(), Fault> {
    let mut state = State::default();
    let (mut at, mut scans) = (2, 0);
    loop {
        let marker = match bytes.get(at..at + 2).ok_or(CUT)? {
            [0xFF, 0xD9] if scans == 0 => return Err("it ends before any scan".into()),
            [0xFF, 0xD9] => return Ok(()),
            [0xFF, marker @ (0x02..=0xCF | 0xD8..=0xFE)] => *marker,
            _ => {
                at += 1;
                continue;
            }
        };
        if marker == 0xD8 {
            at += 2;
            continue;
        }
        let [high, low] = *bytes
            .get(at + 2..)
            .and_then(<[u8]>::first_chunk)
            .ok_or(CUT)?;
        let end = at + 2 + usize::from(u16::from_be_bytes([high, low]));
        let body = bytes.get(at + 4..end).ok_or(CUT)?;
        at = end;
        match marker {
            0xC0..=0xC2 => {
                let frame = Frame::read(body, marker == 0xC2);
                let mut frame = frame.ok_or("the header of its frame is damaged")?;
                let (width, height) = frame.size;
                if (width * height * frame.components.len()) as u64 > limit {
                    return Err(Fault::TooLarge(width, height));
                }
                if let Some(found) = frame.unread() {
                    return Err(Fault::Unread(found));
                }
                frame.prepare();
                state.frame = Some(frame);
            }
            0xC4 => tables(&mut state, body).ok_or("a table of its codes is cut")?,
            0xDD => {
                let interval = body.first_chunk().map_or(0, |n| u16::from_be_bytes(*n));
                state.restart = interval.into();
            }
            0xDA => {
                scans += 1;
                if scans > MOST_SCANS {
                    return Err(format!("it has more than {MOST_SCANS} scans").into());
                }
                at += scan(&mut state, body, &bytes[at..])?;
            }
            _ => {}
        }
    }
}

/// Reads the tables of a `DHT` segment.
fn tables(state: &mut State, mut body: &[u8]) -> Option<()> {
    while let Some((kind, rest)) = body.split_first() {
        let (table, length) = Huffman::read(rest)?;
        let tables = if kind >> 4 == 0 {
            &mut state.dc
        } else {
            &mut state.ac
        };
        *tables.get_mut(usize::from(kind & 15))? = table;
        body = &rest[length..];
    }
    Some(())
}

/// Walks a scan and returns how many bytes it has.
fn scan(state: &mut State, header: &[u8], data: &[u8]) -> Result<usize, Fault> {
    // Of frames with other kinds of codes nothing is known here; the decoder refuses them.
    let Some(frame) = &mut state.frame else {
        return Ok(0);
    };
    let scan = Scan::read(header, frame).ok_or("the header of a scan is damaged")?;
    if scan.leaves_out(frame) && !frame.progressive && frame.is_subsampled() {
        return Err(Fault::Unread(
            "a sequential JPEG with fewer pixels in colours that have a scan each",
        ));
    }
    let mut bits = Bits::new(data);
    scan.walk(frame, &state.dc, &state.ac, state.restart, &mut bits)
        .ok_or(
            "it is cut or damaged: its codes or its restart markers are not those of its pixels",
        )?;
    let (used, spare) = bits.finish();
    if spare > SPARE {
        let reason =
            format!("it is damaged: {spare} bytes of codes are left over behind its pixels");
        return Err(reason.into());
    }
    Ok(used)
}
