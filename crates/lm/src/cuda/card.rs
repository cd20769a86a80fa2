//! An NVIDIA card.
#![expect(unsafe_code, reason = "calls into NVIDIA's driver")]

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::{Arc, Mutex};

use cudarc::driver::result;

use super::device::{Arg, Device, DeviceError, Launch, Product};
use super::handles::{Context, Event, Pinned, Stream, failed, lock};
use super::module::Functions;
use super::product::{Products, WORKSPACE};
use super::times::Times;
use crate::Dtype;
use crate::batch::Arrival;

/// Bytes of host memory that are on their way to a card at once, twice.
const STAGING: usize = 16 << 20;

/// A card as one model uses it: a stream of its own, and kernels for its number format.
pub(crate) struct Card {
    stream: Arc<Stream>,
    context: Arc<Context>,
    functions: Arc<Functions>,
    products: Mutex<Products>,
    workspace: u64,
    staging: Mutex<Staging>,
    times: Mutex<Times>,
    /// As `times`, for each kernel and product, while somebody asks for that.
    details: Mutex<Option<Times>>,
    taken: Mutex<[usize; 2]>,
}

/// Pinned memory that the card copies from while the next is filled.
struct Staging {
    next: usize,
    buffers: [(Pinned, Option<Event>); 2],
}

impl Card {
    /// Opens a card of compute capability `capability`.
    pub(super) fn open(number: usize, capability: u32, dtype: Dtype) -> Result<Self, DeviceError> {
        let context = Context::of(number, capability)?;
        let functions = context.functions(dtype)?;
        let stream = Stream::new(&context)?;
        let buffer = || Ok::<_, DeviceError>((Pinned::new(&context, STAGING)?, None));
        let staging = Staging {
            next: 0,
            buffers: [buffer()?, buffer()?],
        };
        Ok(Self {
            functions,
            products: Mutex::new(Products::new(dtype)?),
            workspace: context.take(WORKSPACE)?,
            staging: Mutex::new(staging),
            times: Mutex::default(),
            details: Mutex::default(),
            taken: Mutex::new([WORKSPACE; 2]),
            stream,
            context,
        })
    }

    /// Seconds of each part, and the most bytes that the model has taken.
    pub(crate) fn costs(&self) -> (BTreeMap<String, f64>, usize) {
        (lock(&self.times).seconds(), lock(&self.taken)[1])
    }

    /// Seconds of each kernel and product of what `work` asks for, which waits for its results.
    pub(crate) fn details<E>(
        &self,
        work: impl FnOnce() -> Result<(), E>,
    ) -> Result<BTreeMap<String, f64>, E> {
        *lock(&self.details) = Some(Times::default());
        let done = work();
        let details = lock(&self.details).take();
        done.map(|()| details.map(|mut times| times.seconds()).unwrap_or_default())
    }

    fn detail(&self, what: impl FnOnce() -> String) {
        if let Some(times) = &mut *lock(&self.details) {
            // As for `mark`.
            let _ = times.mark(&what(), &self.stream);
        }
    }
}

impl Staging {
    /// Copies at most [`STAGING`] bytes.
    fn copy(&mut self, to: u64, bytes: &[u8], stream: &Arc<Stream>) -> Result<(), DeviceError> {
        let (buffer, before) = &mut self.buffers[self.next];
        self.next = 1 - self.next;
        if let Some(before) = before.take() {
            before.wait()?;
        }
        let buffer_bytes = &mut buffer.bytes()[..bytes.len()];
        buffer_bytes.copy_from_slice(bytes);
        // SAFETY: the memory on the card is as large as its owner says; the buffer is not touched
        // before the event below.
        unsafe { result::memcpy_htod_async(to, buffer_bytes, stream.enter()?) }
            .map_err(failed("copy"))?;
        *before = Some(Event::now(stream)?);
        Ok(())
    }
}

impl Device for Card {
    fn allocate(&self, bytes: usize) -> Result<u64, DeviceError> {
        let address = self.context.take(bytes)?;
        let stream = self.stream.enter()?;
        // SAFETY: as many bytes were just taken there.
        unsafe { result::memset_d8_async(address, 0, bytes, stream) }
            .map_err(failed("write zeros"))?;
        let mut taken = lock(&self.taken);
        taken[0] += bytes;
        taken[1] = taken[1].max(taken[0]);
        Ok(address)
    }

    fn free(&self, address: u64, bytes: usize) {
        // An error here comes back from the next call that can report it.
        if self.stream.wait().is_ok() {
            self.context.give_back(address, bytes);
        }
        lock(&self.taken)[0] -= bytes;
    }

    fn write(&self, to: u64, bytes: &[u8]) -> Result<(), DeviceError> {
        let mut staging = lock(&self.staging);
        for (i, piece) in bytes.chunks(STAGING).enumerate() {
            staging.copy(to + (i * STAGING) as u64, piece, &self.stream)?;
        }
        Ok(())
    }

    fn read(&self, from: u64, count: usize) -> Result<Arrival, DeviceError> {
        let mut pinned = Pinned::new(&self.context, (4 * count).next_power_of_two())?;
        let bytes = &mut pinned.bytes()[..4 * count];
        // SAFETY: the card has as many numbers there; the buffer is not touched before the event below.
        unsafe { result::memcpy_dtoh_async(bytes, from, self.stream.enter()?) }
            .map_err(failed("copy"))?;
        let mut landing = Landing {
            over: Event::now(&self.stream)?,
            pinned: Some(pinned),
        };
        Ok(Box::new(move || Ok(landing.values(count)?)))
    }

    fn launch(&self, launch: &Launch<'_>) -> Result<(), DeviceError> {
        let stream = self.stream.enter()?;
        let kernel = launch.kernel;
        let function = self.functions.get(kernel)?;
        let mut places: Vec<*mut c_void> = launch.args.iter().map(place).collect();
        let grid = (launch.grid[0] as u32, launch.grid[1] as u32, 1);
        let block = (launch.threads as u32, 1, 1);
        let shared = launch.shared as u32;
        // SAFETY: the arguments are those that the kernel declares; the emulator of the tests runs the
        // same launches with the same kernels.
        unsafe { result::launch_kernel(function, grid, block, shared, stream, &mut places) }
            .map_err(|e| failed(&format!("run `{}`", kernel.name()))(e))?;
        self.detail(|| kernel.name());
        Ok(())
    }

    fn multiply(&self, product: &Product) -> Result<(), DeviceError> {
        let stream = self.stream.enter()?;
        lock(&self.products).multiply(product, self.workspace, stream.cast())?;
        self.detail(|| format!("product {} x {}", product.inner, product.width));
        Ok(())
    }

    fn free_memory(&self) -> Result<usize, DeviceError> {
        self.context.free_memory()
    }

    fn mark(&self, part: &'static str) {
        // Times are a courtesy: a card that cannot take them says so at the next real call.
        let _ = lock(&self.times).mark(part, &self.stream);
        self.detail(|| part.to_owned());
    }
}

/// Results on their way to pinned memory.
struct Landing {
    over: Event,
    pinned: Option<Pinned>,
}

impl Landing {
    fn values(&mut self, count: usize) -> Result<Vec<f32>, DeviceError> {
        self.over.wait()?;
        let bytes = self.pinned.as_mut().map_or(&mut [][..], Pinned::bytes);
        let numbers = bytes[..4 * count].as_chunks::<4>().0;
        Ok(numbers.iter().map(|b| f32::from_le_bytes(*b)).collect())
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        // The card may still be writing there if nobody asked for the values.
        if self.over.wait().is_err() {
            std::mem::forget(self.pinned.take());
        }
    }
}

/// Where an argument lies.
fn place(arg: &Arg) -> *mut c_void {
    let place: *const c_void = match arg {
        Arg::Address(address) => (&raw const *address).cast(),
        Arg::Int(number) => (&raw const *number).cast(),
        Arg::Float(number) => (&raw const *number).cast(),
    };
    place.cast_mut()
}

impl Drop for Card {
    fn drop(&mut self) {
        if self.stream.wait().is_ok() {
            self.context.give_back(self.workspace, WORKSPACE);
        }
    }
}
