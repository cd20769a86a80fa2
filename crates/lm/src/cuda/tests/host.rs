//! A device that is host memory. Whoever makes it says what runs a kernel there.

use std::sync::Mutex;

use crate::Dtype;
use crate::batch::Arrival;
use crate::cuda::device::{Arg, Device, DeviceError, Launch, Product, View};

/// Between two pieces of memory lie as many bytes of NaN that nobody may touch.
const GAP: usize = 256;

/// Runs one kernel on memory.
pub(super) type Run = Box<dyn Fn(&mut Bytes, &Launch<'_>) + Send + Sync>;

pub(super) struct Host {
    run: Run,
    bytes: Mutex<Bytes>,
}

/// The memory; an address counts from its beginning.
pub(super) struct Bytes {
    pub(super) dtype: Dtype,
    pub(super) all: Vec<u8>,
    next: usize,
    /// Start and length of what was given out.
    given: Vec<(usize, usize)>,
}

impl Host {
    pub(super) fn new(dtype: Dtype, bytes: usize, run: Run) -> Self {
        let bytes = Bytes {
            dtype,
            all: vec![0xff; bytes],
            next: GAP,
            given: Vec::new(),
        };
        let bytes = Mutex::new(bytes);
        Self { run, bytes }
    }

    /// Panics if anything was written to where nobody has memory.
    pub(super) fn check(&self) {
        let bytes = self.bytes.lock().unwrap();
        let mut end = 0;
        for (start, length) in &bytes.given {
            assert!(
                bytes.all[end..*start].iter().all(|b| *b == 0xff),
                "written before {start}"
            );
            end = start + length;
        }
        assert!(
            bytes.all[end..].iter().all(|b| *b == 0xff),
            "written after {end}"
        );
    }
}

impl Bytes {
    pub(super) fn float(&self, address: u64, index: usize) -> f32 {
        f32::from_bits(self.word(address, index))
    }

    pub(super) fn word(&self, address: u64, index: usize) -> u32 {
        let at = address as usize + 4 * index;
        u32::from_le_bytes(*self.all[at..].first_chunk().unwrap())
    }

    pub(super) fn set_float(&mut self, address: u64, index: usize, x: f32) {
        let at = address as usize + 4 * index;
        self.all[at..at + 4].copy_from_slice(&x.to_le_bytes());
    }

    pub(super) fn half(&self, address: u64, index: usize) -> u16 {
        let at = address as usize + 2 * index;
        u16::from_le_bytes(*self.all[at..].first_chunk().unwrap())
    }

    /// A number in the compute format.
    pub(super) fn get(&self, address: u64, index: usize) -> f32 {
        match self.dtype {
            Dtype::F32 => self.float(address, index),
            dtype => number(dtype, self.half(address, index)),
        }
    }

    pub(super) fn set(&mut self, address: u64, index: usize, x: f32) {
        if self.dtype == Dtype::F32 {
            return self.set_float(address, index, x);
        }
        let at = address as usize + 2 * index;
        self.all[at..at + 2].copy_from_slice(&bits(self.dtype, x).to_le_bytes());
    }
}

/// A number in a format of 16 bits.
pub(super) fn bits(dtype: Dtype, x: f32) -> u16 {
    match dtype {
        Dtype::Bf16 => half::bf16::from_f32(x).to_bits(),
        _ => half::f16::from_f32(x).to_bits(),
    }
}

/// What is written so.
pub(super) fn number(dtype: Dtype, bits: u16) -> f32 {
    match dtype {
        Dtype::Bf16 => half::bf16::from_bits(bits).to_f32(),
        _ => half::f16::from_bits(bits).to_f32(),
    }
}

/// A number as the compute format has it.
pub(super) fn round(dtype: Dtype, x: f32) -> f32 {
    match dtype {
        Dtype::F32 => x,
        _ => number(dtype, bits(dtype, x)),
    }
}

impl Device for Host {
    fn allocate(&self, bytes: usize) -> Result<u64, DeviceError> {
        let mut memory = self.bytes.lock().unwrap();
        let start = memory.next;
        if start + bytes + GAP > memory.all.len() {
            return Err(DeviceError::OutOfMemory { bytes });
        }
        memory.all[start..start + bytes].fill(0);
        memory.given.push((start, bytes));
        memory.next = (start + bytes + GAP).next_multiple_of(GAP);
        Ok(start as u64)
    }

    /// Gives back what was taken last, as far as that is what was taken last.
    fn free(&self, address: u64, bytes: usize) {
        let mut memory = self.bytes.lock().unwrap();
        let start = address as usize;
        memory.all[start..start + bytes].fill(0xff);
        memory.given.retain(|(at, _)| *at != start);
        memory.next = memory
            .given
            .last()
            .map_or(GAP, |(at, n)| (at + n + GAP).next_multiple_of(GAP));
    }

    fn write(&self, to: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        self.bytes.lock().unwrap().all[to as usize..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn read(&self, from: u64, count: usize) -> Result<Arrival, DeviceError> {
        let bytes = self.bytes.lock().unwrap();
        let values = (0..count).map(|i| bytes.float(from, i)).collect();
        Ok(Box::new(|| Ok(values)))
    }

    fn launch(&self, launch: &Launch<'_>) -> Result<(), DeviceError> {
        (self.run)(&mut self.bytes.lock().unwrap(), launch);
        Ok(())
    }

    fn multiply(&self, product: &Product) -> Result<(), DeviceError> {
        let memory = &mut *self.bytes.lock().unwrap();
        let line = |view: View, row: usize| -> Vec<f32> {
            let at = row * view.stride;
            (at..at + product.inner)
                .map(|i| memory.get(view.address, i))
                .collect()
        };
        let weight: Vec<_> = (0..product.width)
            .map(|n| line(product.weight, n))
            .collect();
        let x: Vec<_> = (0..product.rows).map(|row| line(product.x, row)).collect();
        for (row, x) in x.iter().enumerate() {
            for (n, weight) in weight.iter().enumerate() {
                let at = row * product.out.stride + n;
                let mut y = dot(x, weight);
                if product.add {
                    y += memory.float(product.out.address, at);
                }
                if let Some(bias) = product.bias {
                    y += memory.get(bias, n);
                }
                if product.wide {
                    memory.set_float(product.out.address, at, y);
                } else {
                    memory.set(product.out.address, at, y);
                }
            }
        }
        Ok(())
    }

    fn free_memory(&self) -> Result<usize, DeviceError> {
        let memory = self.bytes.lock().unwrap();
        Ok(memory.all.len() - memory.next)
    }
}

/// Sums in f32.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    let (a, b) = (a.chunks(8), b.chunks(8));
    for (a, b) in a.zip(b) {
        for ((sum, x), y) in sums.iter_mut().zip(a).zip(b) {
            *sum += x * y;
        }
    }
    sums.iter().sum()
}

/// The addresses and numbers of a launch, one after the other.
pub(super) struct Args<'a>(std::slice::Iter<'a, Arg>);

impl<'a> Args<'a> {
    pub(super) fn of(launch: &'a Launch<'_>) -> Self {
        Self(launch.args.iter())
    }

    pub(super) fn address(&mut self) -> u64 {
        match self.0.next() {
            Some(Arg::Address(address)) => *address,
            other => panic!("{other:?} is no address"),
        }
    }

    pub(super) fn int(&mut self) -> usize {
        match self.0.next() {
            Some(Arg::Int(n)) => usize::try_from(*n).unwrap(),
            other => panic!("{other:?} is no integer"),
        }
    }

    pub(super) fn real(&mut self) -> f32 {
        match self.0.next() {
            Some(Arg::Float(x)) => *x,
            other => panic!("{other:?} is no float"),
        }
    }
}

impl Drop for Args<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.0.next().is_none(), "a kernel has too many arguments");
        }
    }
}
