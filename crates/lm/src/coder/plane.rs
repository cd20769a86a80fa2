//! The bits that the text does not hold, one a byte, as an adaptive binary code.
//!
//! Whoever decodes has the text, so seven bits of every byte are known, and all earlier bytes in
//! full. The code starts with a flag: a chunk of plain ASCII has no high bit and pays for that one
//! decision only.

use super::{Decoder, Encoder};

const BITS: u32 = 16;
/// Counts are halved here, so that the estimate follows the data.
const MOST: u32 = 255;

/// How often a bit was 0 and 1 in one context, estimated after Krichevsky and Trofimov.
#[derive(Clone, Copy, Default)]
struct Counts([u32; 2]);

impl Counts {
    /// Width of the interval of a 1; that of a 0 is the rest, and stands in front.
    fn width_of_one(self) -> u64 {
        let [zeros, ones] = self.0.map(u64::from);
        ((2 * ones + 1) << BITS) / (2 * (zeros + ones) + 2)
    }

    fn interval(self, bit: u8) -> (u64, u64) {
        let one = self.width_of_one();
        let zero = (1 << BITS) - one;
        if bit == 0 { (0, zero) } else { (zero, one) }
    }

    fn add(&mut self, bit: u8) {
        self.0[usize::from(bit)] += 1;
        if self.0[0] + self.0[1] > MOST {
            self.0 = self.0.map(|n| n / 2);
        }
    }
}

/// What is known before a bit is coded.
struct Model {
    counts: [Counts; 16],
    mask: u8,
    /// The two bytes before this one, the nearer first.
    before: [u8; 2],
}

impl Model {
    fn new(mask: u8) -> Self {
        Self {
            counts: [Counts::default(); 16],
            mask,
            before: [0; 2],
        }
    }

    /// Counts for a byte of which `known` is the rest: the last two bits of the plane, and for each
    /// of the last two bytes which of the two values is nearer to it (16-bit samples look two back).
    fn counts(&mut self, known: u8) -> &mut Counts {
        let candidates = [known & !self.mask, known | self.mask];
        let context = self.before.iter().fold(0, |context, byte| {
            let set = usize::from(byte & self.mask != 0);
            let [low, high] = candidates.map(|value| value.abs_diff(*byte));
            context << 2 | set << 1 | usize::from(high < low)
        });
        &mut self.counts[context]
    }

    fn add(&mut self, known: u8, bit: u8) -> u8 {
        self.counts(known).add(bit);
        let byte = if bit == 0 {
            known & !self.mask
        } else {
            known | self.mask
        };
        self.before = [byte, self.before[0]];
        byte
    }
}

/// Codes the bit `mask` of every byte of `raw`; nothing if there is no such bit.
pub fn encode_plane(raw: &[u8], mask: u8) -> Vec<u8> {
    if mask == 0 {
        return Vec::new();
    }
    let mut encoder = Encoder::default();
    let some = raw.iter().any(|byte| byte & mask != 0);
    encoder.encode(u64::from(some), 1, 1);
    let mut model = Model::new(mask);
    for byte in raw.iter().filter(|_| some) {
        let (known, bit) = (byte & !mask, u8::from(byte & mask != 0));
        let (start, width) = model.counts(known).interval(bit);
        encoder.encode(start, width, BITS);
        model.add(known, bit);
    }
    encoder.finish()
}

/// Puts the bits of `stream` back into bytes that lack the bit `mask`; gives the length of the stream.
pub fn decode_plane(stream: &[u8], known: &mut [u8], mask: u8) -> usize {
    if mask == 0 {
        return 0;
    }
    let mut decoder = Decoder::new(stream);
    let some = decoder.peek(1);
    decoder.take(some, 1, 1);
    let mut model = Model::new(mask);
    for byte in known.iter_mut().filter(|_| some == 1) {
        let counts = *model.counts(*byte);
        let bit = u8::from(decoder.peek(BITS) >= counts.interval(1).0);
        let (start, width) = counts.interval(bit);
        decoder.take(start, width, BITS);
        *byte = model.add(*byte, bit);
    }
    decoder.bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(raw: &[u8], mask: u8) -> usize {
        let mut stream = encode_plane(raw, mask);
        let length = stream.len();
        stream.extend([0x5a; 9]);
        let mut back: Vec<u8> = raw.iter().map(|b| b & !mask).collect();
        assert_eq!(decode_plane(&stream, &mut back, mask), length);
        assert_eq!(back, raw);
        length
    }

    proptest! {
        #[test]
        fn the_bits_come_back(raw: Vec<u8>, mask in prop_oneof![Just(128u8), Just(1), Just(0)]) {
            round_trip(&raw, mask);
        }
    }

    #[test]
    fn ascii_pays_one_byte_and_noise_a_bit_a_byte() {
        assert_eq!(
            round_trip(b"the quick brown fox".repeat(100).as_slice(), 128),
            1
        );
        assert_eq!(round_trip(&[200; 2048], 0), 0);
        let mut state = 1u32;
        let noise: Vec<u8> = (0..2048)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        let length = round_trip(&noise, 128);
        assert!((240..290).contains(&length), "{length} bytes for 256");
    }

    #[test]
    fn smooth_samples_cost_little() {
        // 16-bit little-endian samples around zero: the sign is the high bit of every other byte.
        let samples = (0..1024).map(|i| (f64::from(i) / 20.0).sin() * 300.0);
        let raw: Vec<u8> = samples.flat_map(|s| (s as i16).to_le_bytes()).collect();
        let length = round_trip(&raw, 128);
        assert!(length < 200, "{length} bytes for 256");
    }
}
