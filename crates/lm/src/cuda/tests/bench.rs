//! Where the tests run kernels: on twins, in the emulator, and on a card where this build and machine have one.

use std::sync::Arc;

use super::host::{Host, bits, number};
use super::{emulator, twins};
use crate::Dtype;
use crate::cuda::device::{Arg, Device, Kernel, Launch, Memory};

/// A device that holds one number format.
pub(super) struct Bench {
    pub(super) name: &'static str,
    pub(super) device: Arc<dyn Device>,
    dtype: Dtype,
    /// Whether the device notices what is written outside of memory that was given out.
    host: Option<Arc<Host>>,
}

impl Bench {
    /// Host memory of so many bytes, with twins of the kernels.
    pub(super) fn twins(dtype: Dtype, bytes: usize) -> Self {
        Self::host("twin", dtype, Host::new(dtype, bytes, Box::new(twins::run)))
    }

    fn host(name: &'static str, dtype: Dtype, host: Host) -> Self {
        let host = Arc::new(host);
        Self {
            name,
            device: host.clone(),
            dtype,
            host: Some(host),
        }
    }

    /// All that this machine has; host memory is of so many bytes.
    #[allow(clippy::print_stderr, reason = "says that it tested less")]
    pub(super) fn all(dtype: Dtype, bytes: usize) -> Vec<Self> {
        let mut all = vec![Self::twins(dtype, bytes)];
        for (name, backwards) in [("kernel", false), ("kernel, backwards", true)] {
            match emulator::run(dtype, backwards) {
                Some(run) => all.push(Self::host(name, dtype, Host::new(dtype, bytes, run))),
                None => eprintln!("no C++ compiler: only the twins of the kernels are tested"),
            }
        }
        all.extend(Self::card(dtype));
        all
    }

    /// Those that are fast enough for long texts.
    pub(super) fn fast(dtype: Dtype, bytes: usize) -> Vec<Self> {
        let mut fast = vec![Self::twins(dtype, bytes)];
        fast.extend(Self::card(dtype));
        fast
    }

    /// Whether sums are in a fixed order whatever the batch.
    pub(super) fn is_exact(&self) -> bool {
        self.host.is_some()
    }

    #[cfg(not(feature = "cuda"))]
    fn card(_dtype: Dtype) -> Option<Self> {
        None
    }

    /// The first card, if there is one that can be used.
    #[cfg(feature = "cuda")]
    fn card(dtype: Dtype) -> Option<Self> {
        Some(Self {
            name: "card",
            device: crate::cuda::cards::open_first(dtype)?,
            dtype,
            host: None,
        })
    }

    /// Memory with these numbers in the compute format.
    pub(super) fn elements(&self, values: &[f32]) -> Memory {
        let bytes: Vec<u8> = match self.dtype {
            Dtype::F32 => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
            _ => values
                .iter()
                .flat_map(|x| bits(self.dtype, *x).to_le_bytes())
                .collect(),
        };
        let memory = Memory::new(&self.device, bytes.len()).unwrap();
        self.device.write(memory.address(), &bytes).unwrap();
        memory
    }

    /// Memory with these words.
    pub(super) fn words(&self, words: &[u32]) -> Memory {
        let floats: Vec<f32> = words.iter().map(|w| f32::from_bits(*w)).collect();
        self.floats(&floats)
    }

    pub(super) fn floats(&self, values: &[f32]) -> Memory {
        Memory::of(&self.device, values).unwrap()
    }

    /// The numbers in the compute format that lie there.
    pub(super) fn read_elements(&self, memory: &Memory) -> Vec<f32> {
        if self.dtype == Dtype::F32 {
            return self.read_floats(memory);
        }
        let words = self.read(memory, memory.bytes().div_ceil(4));
        let halves = words
            .iter()
            .flat_map(|w| [w.to_bits() as u16, (w.to_bits() >> 16) as u16]);
        let numbers = halves.map(|half| number(self.dtype, half));
        numbers.take(memory.bytes() / 2).collect()
    }

    pub(super) fn read_floats(&self, memory: &Memory) -> Vec<f32> {
        self.read(memory, memory.bytes() / 4)
    }

    fn read(&self, memory: &Memory, count: usize) -> Vec<f32> {
        self.device.read(memory.address(), count).unwrap()().unwrap()
    }

    /// Runs a kernel.
    pub(super) fn launch(&self, kernel: Kernel, grid: [usize; 2], threads: usize, args: &[Arg]) {
        let launch = Launch {
            kernel,
            grid,
            threads,
            shared: kernel.shared(self.dtype.bytes()),
            args,
        };
        self.device.launch(&launch).unwrap();
        self.check();
    }

    /// Panics if anything was written to where nobody has memory.
    pub(super) fn check(&self) {
        if let Some(host) = &self.host {
            host.check();
        }
    }
}
