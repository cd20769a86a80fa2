//! GGML's block-quantised formats: a few shared scales, then small integers.
//!
//! The layouts are those of ggml-quants.h. An element is scale · integer (- offset), in f32, as
//! GGML's reference dequantisation has it.

use super::weight::from_f16;

/// Elements that are read together: in every format they share a scale.
const PART: usize = 16;

/// A block-quantised number format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(non_camel_case_types, reason = "GGML's names")]
pub(crate) enum Blocks {
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q4_K,
    Q5_K,
    Q6_K,
}

impl Blocks {
    /// Elements of a block.
    pub(crate) fn elements(self) -> usize {
        match self {
            Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 | Self::Q8_0 => 32,
            Self::Q4_K | Self::Q5_K | Self::Q6_K => 256,
        }
    }

    /// Bytes of a block.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::Q5_0 => 22,
            Self::Q5_1 => 24,
            Self::Q8_0 => 34,
            Self::Q4_K => 144,
            Self::Q5_K => 176,
            Self::Q6_K => 210,
        }
    }

    /// Elements `first..` of the blocks in `bytes`; `first` and the length are multiples of 16.
    #[inline(always)]
    pub(super) fn read(self, bytes: &[u8], first: usize, out: &mut [f32]) {
        for (i, out) in out.as_chunks_mut::<PART>().0.iter_mut().enumerate() {
            let at = first + i * PART;
            let start = at / self.elements() * self.bytes();
            let block = &bytes[start..start + self.bytes()];
            let part = at % self.elements() / PART;
            match self {
                Self::Q4_0 => nibbles(block, part, 2, None, out),
                Self::Q4_1 => nibbles(block, part, 4, None, out),
                Self::Q5_0 => nibbles(block, part, 6, Some(2), out),
                Self::Q5_1 => nibbles(block, part, 8, Some(4), out),
                Self::Q8_0 => bytes_of_8(block, part, out),
                Self::Q4_K => k_nibbles(block, part, 16, None, out),
                Self::Q5_K => k_nibbles(block, part, 48, Some(16), out),
                Self::Q6_K => k_sixes(block, part, out),
            }
        }
    }
}

#[inline(always)]
fn half(block: &[u8], at: usize) -> f32 {
    from_f16(u16::from_le_bytes([block[at], block[at + 1]]))
}

/// `Q4_0`, `Q4_1`, `Q5_0` and `Q5_1`: a scale; an offset in those of type 1; fifth bits at `fifths`; at
/// `low` sixteen bytes, of which part 0 is the low halves and part 1 the high ones.
#[inline(always)]
fn nibbles(block: &[u8], part: usize, low: usize, fifths: Option<usize>, out: &mut [f32; PART]) {
    let scale = half(block, 0);
    let has_offset = low == 4 || low == 8;
    let high = fifths.map_or(0, |at| {
        u16::from_le_bytes([block[at + 2 * part], block[at + 2 * part + 1]])
    });
    for (j, out) in out.iter_mut().enumerate() {
        let four = block[low + j] >> (4 * part) & 15;
        let five = i16::from(four) + (((high >> j & 1) as i16) << 4);
        *out = match (has_offset, fifths) {
            (true, _) => scale * f32::from(five) + half(block, 2),
            (false, None) => scale * f32::from(five - 8),
            (false, Some(_)) => scale * f32::from(five - 16),
        };
    }
}

/// `Q8_0`: a scale and 32 signed bytes.
#[inline(always)]
fn bytes_of_8(block: &[u8], part: usize, out: &mut [f32; PART]) {
    let scale = half(block, 0);
    for (out, byte) in out.iter_mut().zip(&block[2 + PART * part..]) {
        *out = scale * f32::from(byte.cast_signed());
    }
}

/// `Q4_K` and `Q5_K`: eight groups of 32, each with a scale and an offset of six bits; fifth bits at
/// `fifths`, a plane for each group; at `low` the halves of two groups in each byte.
#[inline(always)]
fn k_nibbles(block: &[u8], part: usize, low: usize, fifths: Option<usize>, out: &mut [f32; PART]) {
    let (group, within) = (part / 2, part % 2 * PART);
    let (scale, offset) = sixes(&block[4..16], group);
    let (scale, offset) = (half(block, 0) * scale, half(block, 2) * offset);
    for (j, out) in out.iter_mut().enumerate() {
        let four = block[low + group / 2 * 32 + within + j] >> (4 * (group % 2)) & 15;
        let high = fifths.map_or(0, |at| block[at + within + j] >> group & 1);
        *out = scale * f32::from(four | high << 4) - offset;
    }
}

/// The scale and the offset of a group, out of the twelve bytes that hold sixteen of six bits.
#[inline(always)]
fn sixes(packed: &[u8], group: usize) -> (f32, f32) {
    let (scale, offset) = if group < 4 {
        (packed[group] & 63, packed[group + 4] & 63)
    } else {
        let low = packed[group + 4];
        let scale = low & 15 | packed[group - 4] >> 6 << 4;
        (scale, low >> 4 | packed[group] >> 6 << 4)
    };
    (f32::from(scale), f32::from(offset))
}

/// `Q6_K`: two halves of eight parts; four bits at 0, two at 128, signed scales at 192, then their scale.
#[inline(always)]
fn k_sixes(block: &[u8], part: usize, out: &mut [f32; PART]) {
    let (side, group, within) = (part / 8, part % 8 / 2, part % 2 * PART);
    let scale = half(block, 208) * f32::from(block[192 + part].cast_signed());
    let low = &block[side * 64 + group % 2 * 32 + within..];
    let high = &block[128 + side * 32 + within..];
    for (j, out) in out.iter_mut().enumerate() {
        let four = low[j] >> (group / 2 * 4) & 15;
        let two = high[j] >> (2 * group) & 3;
        *out = scale * f32::from(i16::from(four | two << 4) - 32);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Reference {
        kind: String,
        /// In hexadecimal.
        bytes: String,
        /// Of the f32 that they stand for.
        bits: Vec<u32>,
    }

    /// `tests/make_gguf_fixtures.py` made them.
    #[test]
    fn every_format_is_read_as_the_reference_does() {
        let text = include_str!("../../tests/fixtures/gguf-blocks.json");
        let references: Vec<Reference> = serde_json::from_str(text).unwrap();
        assert_eq!(references.len(), 8);
        for reference in references {
            let blocks = match reference.kind.as_str() {
                "Q4_0" => Blocks::Q4_0,
                "Q4_1" => Blocks::Q4_1,
                "Q5_0" => Blocks::Q5_0,
                "Q5_1" => Blocks::Q5_1,
                "Q8_0" => Blocks::Q8_0,
                "Q4_K" => Blocks::Q4_K,
                "Q5_K" => Blocks::Q5_K,
                "Q6_K" => Blocks::Q6_K,
                other => panic!("{other}"),
            };
            let byte = |at| u8::from_str_radix(&reference.bytes[at..at + 2], 16).unwrap();
            let bytes: Vec<u8> = (0..reference.bytes.len()).step_by(2).map(byte).collect();
            assert_eq!(bytes.len(), 2 * blocks.bytes());
            let mut whole = vec![0.0; 2 * blocks.elements()];
            blocks.read(&bytes, 0, &mut whole);
            for (i, (ours, bits)) in whole.iter().zip(&reference.bits).enumerate() {
                let theirs = f32::from_bits(*bits);
                assert_eq!(*ours, theirs, "{} element {i}", reference.kind);
            }
            let mut part = vec![0.0; 16];
            blocks.read(&bytes, blocks.elements() + 16, &mut part);
            assert_eq!(part, whole[blocks.elements() + 16..][..16]);
        }
    }
}
