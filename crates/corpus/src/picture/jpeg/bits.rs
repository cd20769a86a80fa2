//! Bits of a scan, and the codes that they make.

/// The first of the eight restart markers.
const RESTART: u8 = 0xD0;

/// The bits between two markers.
pub(super) struct Bits<'b> {
    data: &'b [u8],
    at: usize,
    buffer: u64,
    /// Valid bits of the buffer, at its low end.
    count: u32,
    /// Restart markers so far.
    restarts: usize,
}

impl<'b> Bits<'b> {
    pub(super) fn new(data: &'b [u8]) -> Self {
        Self {
            data,
            at: 0,
            buffer: 0,
            count: 0,
            restarts: 0,
        }
    }

    /// Fills the buffer as far as the next marker allows.
    fn fill(&mut self) {
        while self.count <= 48 {
            let length = match self.data.get(self.at..self.at + 2) {
                Some([0xFF, 0x00]) => 2,
                Some([0xFF, _]) | None => return,
                Some(_) => 1,
            };
            self.buffer = self.buffer << 8 | u64::from(self.data[self.at]);
            self.count += 8;
            self.at += length;
        }
    }

    /// The next bits, at most 16.
    pub(super) fn take(&mut self, n: u32) -> Option<u32> {
        if self.count < n {
            self.fill();
        }
        self.count = self.count.checked_sub(n)?;
        Some((self.buffer >> self.count) as u32 & ((1 << n) - 1))
    }

    /// The symbol of the next code.
    pub(super) fn symbol(&mut self, table: &Huffman) -> Option<u8> {
        if self.count < 16 {
            self.fill();
        }
        // Bits behind the end are taken as 0, and found missing below.
        let ahead = if self.count < 16 {
            self.buffer << (16 - self.count)
        } else {
            self.buffer >> (self.count - 16)
        } as u16;
        let (length, symbol) = table.find(ahead)?;
        self.count = self.count.checked_sub(length)?;
        Some(symbol)
    }

    /// Goes behind the restart marker that must be next; they are numbered from 0 to 7, over and over.
    pub(super) fn restart(&mut self) -> Option<()> {
        let next = RESTART + (self.restarts % 8) as u8;
        self.restarts += 1;
        self.fill();
        let spare = self.count / 8;
        self.count = 0;
        while self.data.get(self.at..self.at + 2)? == [0xFF, 0xFF] {
            self.at += 1;
        }
        match self.data.get(self.at..self.at + 2)? {
            [0xFF, marker] if *marker == next && spare == 0 => self.at += 2,
            _ => return None,
        }
        Some(())
    }

    /// Bytes up to the next marker, and how many of them were not needed.
    pub(super) fn finish(mut self) -> (usize, usize) {
        let mut spare = self.count as usize / 8;
        while let Some(pair) = self.data.get(self.at..self.at + 2) {
            match pair {
                [0xFF, 0x01..=0xCF | 0xD8..=0xFE] => break,
                // Fill bytes before a marker.
                [0xFF, 0xFF] => {}
                _ => spare += 1,
            }
            self.at += 1;
        }
        (self.at, spare)
    }
}

/// A table of codes of 1 to 16 bits.
#[derive(Default)]
pub(super) struct Huffman {
    /// For each length: one above its greatest code, and the place of its first symbol less its first code.
    lengths: [(u32, i32); 16],
    symbols: Vec<u8>,
}

impl Huffman {
    /// A table and how many bytes describe it.
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let counts = bytes.first_chunk::<16>()?;
        let total = counts.iter().map(|n| usize::from(*n)).sum::<usize>();
        let symbols = bytes.get(16..16 + total)?.to_vec();
        let (mut lengths, mut code, mut place) = ([(0, 0); 16], 0u32, 0i32);
        for (length, count) in lengths.iter_mut().zip(counts) {
            let count = u32::from(*count);
            *length = (code + count, place - code as i32);
            place += count as i32;
            code = (code + count) << 1;
        }
        Some((Self { lengths, symbols }, 16 + total))
    }

    /// Length and symbol of the code that 16 bits begin with.
    fn find(&self, ahead: u16) -> Option<(u32, u8)> {
        let ahead = u32::from(ahead);
        for (length, (end, shift)) in (1..).zip(&self.lengths) {
            let code = ahead >> (16 - length);
            if code < *end {
                let place = usize::try_from(code as i32 + shift).ok()?;
                return Some((length, *self.symbols.get(place)?));
            }
        }
        None
    }
}
