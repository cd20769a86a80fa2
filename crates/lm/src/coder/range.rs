//! The coder: 64 bits of range, carries into bytes that are already out, one or two bytes of flush.

/// The range never falls below this, so an interval of 2⁻³² still has 2²⁴ values in it.
const LEAST: u64 = 1 << 56;

/// The range that is left; all that decides how long a stream becomes.
#[derive(Clone, Copy, Debug)]
struct Range(u64);

impl Range {
    /// Narrows to `width` of 2^`bits` equal parts. Gives the size of a part before it.
    fn narrow(&mut self, width: u64, bits: u32) -> u64 {
        debug_assert!(bits <= 32 && width > 0 && width <= 1 << bits);
        let part = self.0 >> bits;
        self.0 = part * width;
        part
    }

    /// Whether a byte is decided; the range then grows by a byte.
    fn shift(&mut self) -> bool {
        let small = self.0 < LEAST;
        if small {
            self.0 <<= 8;
        }
        small
    }

    /// Bytes that pin a value down, whatever bytes follow it.
    fn flush_bytes(self) -> u32 {
        if self.0 >= 2 * LEAST { 1 } else { 2 }
    }
}

/// How long a stream is, without writing it.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    range: Range,
    shifted: u64,
}

impl Default for Length {
    fn default() -> Self {
        Self {
            range: Range(u64::MAX),
            shifted: 0,
        }
    }
}

impl Length {
    /// Adds a symbol whose interval is `width` of 2^`bits` parts.
    pub fn add(&mut self, width: u64, bits: u32) {
        self.range.narrow(width, bits);
        while self.range.shift() {
            self.shifted += 1;
        }
    }

    /// Bytes of the finished stream.
    pub fn bytes(&self) -> u64 {
        self.shifted + u64::from(self.range.flush_bytes())
    }
}

/// Writes a stream.
#[derive(Clone, Debug)]
pub struct Encoder {
    range: Range,
    low: u64,
    out: Vec<u8>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self {
            range: Range(u64::MAX),
            low: 0,
            out: Vec::new(),
        }
    }
}

impl Encoder {
    /// Adds a symbol whose interval is `start..start + width` of 2^`bits` parts.
    pub fn encode(&mut self, start: u64, width: u64, bits: u32) {
        let part = self.range.narrow(width, bits);
        self.raise(part * start);
        while self.range.shift() {
            self.out.push((self.low >> 56) as u8);
            self.low <<= 8;
        }
    }

    fn raise(&mut self, by: u64) {
        let (low, carry) = self.low.overflowing_add(by);
        self.low = low;
        if carry {
            for byte in self.out.iter_mut().rev() {
                *byte = byte.wrapping_add(1);
                if *byte != 0 {
                    break;
                }
            }
        }
    }

    /// The stream. What follows it in a file does not matter to who decodes it.
    pub fn finish(mut self) -> Vec<u8> {
        let bytes = self.range.flush_bytes();
        // Up to a multiple of the last byte's unit, so that every continuation lies in the range.
        self.raise((1 << (64 - 8 * bytes)) - 1);
        self.out
            .extend_from_slice(&self.low.to_be_bytes()[..bytes as usize]);
        self.out
    }
}

/// Reads a stream.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    range: Range,
    /// The value minus the low end of the range.
    offset: u64,
    rest: std::slice::Iter<'a, u8>,
    shifted: usize,
}

impl<'a> Decoder<'a> {
    /// Starts at the first byte of a stream; there may be more behind it.
    pub fn new(stream: &'a [u8]) -> Self {
        let mut rest = stream.iter();
        let offset = (0..8).fold(0, |value, _| value << 8 | next(&mut rest));
        Self {
            range: Range(u64::MAX),
            offset,
            rest,
            shifted: 0,
        }
    }

    /// Which of the 2^`bits` parts the value lies in: a symbol's interval holds it.
    pub fn peek(&self, bits: u32) -> u64 {
        (self.offset / (self.range.0 >> bits)).min((1 << bits) - 1)
    }

    /// Takes the symbol whose interval is `start..start + width` of 2^`bits` parts.
    pub fn take(&mut self, start: u64, width: u64, bits: u32) {
        let part = self.range.narrow(width, bits);
        // A damaged stream may lie outside every interval; it then decodes to anything.
        self.offset = self.offset.saturating_sub(part * start);
        while self.range.shift() {
            self.offset = self.offset << 8 | next(&mut self.rest);
            self.shifted += 1;
        }
    }

    /// Bytes that the stream has, once its last symbol is taken.
    pub fn bytes(&self) -> usize {
        self.shifted + self.range.flush_bytes() as usize
    }
}

fn next(bytes: &mut std::slice::Iter<'_, u8>) -> u64 {
    bytes.next().copied().map_or(0, u64::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Symbols as (start, width) of 2^bits parts.
    fn symbols() -> impl Strategy<Value = Vec<(u64, u64, u32)>> {
        let symbol = (1u32..=32).prop_flat_map(|bits| {
            let whole = 1u64 << bits;
            // Small, large and any widths.
            let width = prop_oneof![1..=whole.min(3), whole.max(3) - 2..=whole, 1..=whole];
            width
                .prop_flat_map(move |width| (0..=whole - width.min(whole), Just(width), Just(bits)))
        });
        proptest::collection::vec(symbol, 0..200)
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_whatever_follows(symbols in symbols(), follows: [u8; 12]) {
            let (mut encoder, mut length) = (Encoder::default(), Length::default());
            for (start, width, bits) in &symbols {
                encoder.encode(*start, *width, *bits);
                length.add(*width, *bits);
            }
            let stream = encoder.finish();
            prop_assert_eq!(stream.len() as u64, length.bytes());
            let mut file = stream.clone();
            file.extend(follows);
            let mut decoder = Decoder::new(&file);
            for (start, width, bits) in &symbols {
                let part = decoder.peek(*bits);
                prop_assert!((*start..start + width).contains(&part));
                decoder.take(*start, *width, *bits);
            }
            prop_assert_eq!(decoder.bytes(), stream.len());
        }

        #[test]
        fn the_overhead_is_below_two_bytes(symbols in symbols()) {
            let mut length = Length::default();
            let mut ideal = 0.0;
            for (_, width, bits) in &symbols {
                length.add(*width, *bits);
                ideal += f64::from(*bits) - (*width as f64).log2();
            }
            let overhead = length.bytes() as f64 - ideal / 8.0;
            prop_assert!((0.0..2.001).contains(&overhead), "{}", overhead);
        }
    }

    #[test]
    fn carries_run_through_bytes_that_are_out() {
        let mut encoder = Encoder::default();
        // The middle of the interval, again and again, keeps the next byte undecided at 0x7f ff ….
        for _ in 0..40 {
            encoder.encode(127, 1, 8);
            encoder.encode(255, 1, 8);
        }
        let symbols = [(127, 1, 8), (255, 1, 8)].repeat(40);
        let stream = encoder.finish();
        let mut decoder = Decoder::new(&stream);
        for (start, width, bits) in symbols {
            assert_eq!(decoder.peek(bits), start);
            decoder.take(start, width, bits);
        }
    }
}
