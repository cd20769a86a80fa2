//! A walk over the codes of a scan.

use super::bits::{Bits, Huffman};
use super::frame::Frame;

/// What an `SOS` segment says.
pub(super) struct Scan {
    /// Place of a component in the frame, and its tables.
    components: Vec<(usize, usize, usize)>,
    first: usize,
    last: usize,
    refines: bool,
}

impl Scan {
    pub(super) fn read(header: &[u8], frame: &Frame) -> Option<Self> {
        let (count, rest) = header.split_first()?;
        let (chosen, rest) = rest.split_at_checked(2 * usize::from(*count))?;
        let [first, last, steps, ..] = *rest else {
            return None;
        };
        let component = |[id, tables]: &[u8; 2]| {
            let place = frame.components.iter().position(|c| c.id == *id)?;
            let (dc, ac) = (tables >> 4, tables & 15);
            (dc < 4 && ac < 4).then(|| (place, dc.into(), ac.into()))
        };
        let components = chosen
            .as_chunks()
            .0
            .iter()
            .map(component)
            .collect::<Option<Vec<_>>>()?;
        let (first, last) = if frame.progressive {
            (first.into(), last.into())
        } else {
            (0, 63)
        };
        let one = components.len() == 1;
        let fits =
            first <= last && last < 64 && (!frame.progressive || (first == 0) == (last == 0));
        (fits && !components.is_empty() && (first == 0 || one)).then_some(Self {
            components,
            first,
            last,
            refines: frame.progressive && steps >> 4 != 0,
        })
    }

    /// Whether a colour of the picture is not in this scan.
    pub(super) fn leaves_out(&self, frame: &Frame) -> bool {
        self.components.len() < frame.components.len()
    }

    /// Takes the codes of all blocks; none if they end before.
    pub(super) fn walk(
        &self,
        frame: &mut Frame,
        dc: &[Huffman; 4],
        ac: &[Huffman; 4],
        restart: usize,
        bits: &mut Bits<'_>,
    ) -> Option<()> {
        let alone = self.components.len() == 1;
        let (columns, rows) = match self.components[0] {
            (place, ..) if alone => frame.components[place].blocks,
            _ => frame.units,
        };
        let mut run = 0;
        for unit in 0..columns * rows {
            if restart > 0 && unit > 0 && unit % restart == 0 {
                bits.restart()?;
                run = 0;
            }
            let (row, column) = (unit / columns, unit % columns);
            for (place, dc_table, ac_table) in &self.components {
                let component = &mut frame.components[*place];
                let (h, v) = if alone { (1, 1) } else { component.sampling };
                for block in 0..h * v {
                    let at = (row * v + block / h) * component.stride + column * h + block % h;
                    let mut unused = 0;
                    let nonzero = component.nonzero.get_mut(at).unwrap_or(&mut unused);
                    let tables = (&dc[*dc_table], &ac[*ac_table]);
                    if frame.progressive {
                        self.progressive(tables, nonzero, &mut run, bits)?;
                    } else {
                        sequential(tables, bits)?;
                    }
                }
            }
        }
        Some(())
    }

    fn progressive(
        &self,
        (dc, ac): (&Huffman, &Huffman),
        nonzero: &mut u64,
        run: &mut u32,
        bits: &mut Bits<'_>,
    ) -> Option<()> {
        match (self.first, self.refines) {
            (0, false) => difference(dc, bits),
            (0, true) => bits.take(1).map(|_| ()),
            (_, false) => self.first_pass(ac, nonzero, run, bits),
            (_, true) => self.refinement(ac, nonzero, run, bits),
        }
    }

    fn first_pass(
        &self,
        ac: &Huffman,
        nonzero: &mut u64,
        run: &mut u32,
        bits: &mut Bits<'_>,
    ) -> Option<()> {
        if *run > 0 {
            *run -= 1;
            return Some(());
        }
        let mut at = self.first;
        while at <= self.last {
            let symbol = bits.symbol(ac)?;
            let (zeros, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
            at += zeros as usize;
            match (size, zeros) {
                (0, 15) => {}
                (0, _) => {
                    *run = (1 << zeros) - 1 + bits.take(zeros)?;
                    return Some(());
                }
                _ => {
                    bits.take(size)?;
                    (at <= self.last).then(|| *nonzero |= 1 << at)?;
                }
            }
            at += 1;
        }
        Some(())
    }

    fn refinement(
        &self,
        ac: &Huffman,
        nonzero: &mut u64,
        run: &mut u32,
        bits: &mut Bits<'_>,
    ) -> Option<()> {
        let known = *nonzero;
        let mut at = self.first;
        while *run == 0 && at <= self.last {
            let symbol = bits.symbol(ac)?;
            let (mut zeros, size) = (u32::from(symbol >> 4), symbol & 15);
            if size == 0 && zeros < 15 {
                *run = (1 << zeros) + bits.take(zeros)?;
                break;
            }
            if size != 0 {
                bits.take(1)?;
            }
            // Known coefficients on the way have a bit each, and don't count as zeros.
            while at <= self.last {
                if known >> at & 1 == 1 {
                    bits.take(1)?;
                } else if zeros == 0 {
                    break;
                } else {
                    zeros -= 1;
                }
                at += 1;
            }
            if size != 0 {
                (at <= self.last).then(|| *nonzero |= 1 << at)?;
            }
            at += 1;
        }
        if *run > 0 {
            for at in at..=self.last {
                if known >> at & 1 == 1 {
                    bits.take(1)?;
                }
            }
            *run -= 1;
        }
        Some(())
    }
}

fn difference(dc: &Huffman, bits: &mut Bits<'_>) -> Option<()> {
    let size = bits.symbol(dc)?.into();
    (size <= 16).then(|| bits.take(size)).flatten().map(|_| ())
}

fn sequential((dc, ac): (&Huffman, &Huffman), bits: &mut Bits<'_>) -> Option<()> {
    difference(dc, bits)?;
    let mut at = 1;
    while at < 64 {
        let symbol = bits.symbol(ac)?;
        let (zeros, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        match (size, zeros) {
            (0, 15) => at += 16,
            (0, _) => return Some(()),
            _ => {
                bits.take(size)?;
                at += zeros + 1;
            }
        }
    }
    (at == 64).then_some(())
}
