//! The driver's objects: open cards, and what is freed or kept for the next model when it is dropped.
#![expect(unsafe_code, reason = "calls into NVIDIA's driver")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::{DriverError, result, sys};

use super::device::DeviceError;
use super::module::Functions;
use super::spare::Spare;
use crate::Dtype;

pub(super) fn failed(what: &str) -> impl Fn(DriverError) -> DeviceError + '_ {
    move |e| DeviceError::Failed(format!("the card could not {what}: {e}"))
}

/// An open card, which all models on it share.
pub(super) struct Context {
    context: sys::CUcontext,
    capability: u32,
    functions: Mutex<BTreeMap<Dtype, Arc<Functions>>>,
    memory: Spare<u64>,
    pinned: Spare<Pages>,
}

/// Host memory that the driver pinned.
struct Pages(*mut u8);

// SAFETY: it is plain memory with one owner.
unsafe impl Send for Pages {}
// SAFETY: a context may be used from any thread that made it current.
unsafe impl Send for Context {}
// SAFETY: as above; the driver locks by itself.
unsafe impl Sync for Context {}

/// Cards are opened once and stay open: it takes a second, and their kernels and memory serve every model.
static OPEN: Mutex<BTreeMap<usize, Arc<Context>>> = Mutex::new(BTreeMap::new());

impl Context {
    /// Card number `number`, of compute capability `capability`; the driver has been initialised.
    pub(super) fn of(number: usize, capability: u32) -> Result<Arc<Self>, DeviceError> {
        let mut open = lock(&OPEN);
        if let Some(context) = open.get(&number) {
            return Ok(Arc::clone(context));
        }
        let device = result::device::get(number as i32).map_err(failed("be found"))?;
        // SAFETY: the device was just found.
        let context = unsafe { result::primary_ctx::retain(device) };
        let context = Arc::new(Self {
            context: context.map_err(failed("be opened"))?,
            capability,
            functions: Mutex::default(),
            memory: Spare::default(),
            pinned: Spare::default(),
        });
        open.insert(number, Arc::clone(&context));
        Ok(context)
    }

    /// Makes it the one that this thread's calls are for.
    pub(super) fn enter(&self) -> Result<(), DeviceError> {
        // SAFETY: cards stay open.
        unsafe { result::ctx::set_current(self.context) }.map_err(failed("be used"))
    }

    /// The kernels of a number format.
    pub(super) fn functions(&self, dtype: Dtype) -> Result<Arc<Functions>, DeviceError> {
        self.enter()?;
        let mut known = lock(&self.functions);
        if let Some(functions) = known.get(&dtype) {
            return Ok(Arc::clone(functions));
        }
        let functions = Arc::new(Functions::load(dtype, self.capability)?);
        known.insert(dtype, Arc::clone(&functions));
        Ok(functions)
    }

    /// Takes memory of the card, with anything in it.
    pub(super) fn take(&self, bytes: usize) -> Result<u64, DeviceError> {
        if let Some(address) = self.memory.take(bytes) {
            return Ok(address);
        }
        match self.allocate(bytes) {
            Err(DeviceError::OutOfMemory { .. }) if self.memory.bytes() > 0 => {
                for address in self.memory.empty() {
                    // SAFETY: taken from the driver, and in use by nobody.
                    let _ = unsafe { result::free_sync(address) };
                }
                self.allocate(bytes)
            }
            other => other,
        }
    }

    fn allocate(&self, bytes: usize) -> Result<u64, DeviceError> {
        self.enter()?;
        // SAFETY: whoever takes memory writes before reading.
        unsafe { result::malloc_sync(bytes.max(1)) }.map_err(|e| match e.0 {
            sys::cudaError_enum::CUDA_ERROR_OUT_OF_MEMORY => DeviceError::OutOfMemory { bytes },
            _ => DeviceError::Failed(format!("the card gives no memory: {e}")),
        })
    }

    /// Gives memory back that nothing uses any more, also nothing that is still to run.
    pub(super) fn give_back(&self, address: u64, bytes: usize) {
        self.memory.keep(bytes, address);
    }

    /// Bytes that can be taken.
    pub(super) fn free_memory(&self) -> Result<usize, DeviceError> {
        self.enter()?;
        let info = result::mem_get_info().map_err(failed("say how much memory is free"));
        info.map(|(free, _)| free + self.memory.bytes())
    }
}

/// What is kept behind a lock is right after a panic: each change is one step.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is done in order.
pub(super) struct Stream {
    context: Arc<Context>,
    stream: sys::CUstream,
}

// SAFETY: streams may be used from any thread in whose context they are.
unsafe impl Send for Stream {}
// SAFETY: as above; the driver locks by itself.
unsafe impl Sync for Stream {}

impl Stream {
    pub(super) fn new(context: &Arc<Context>) -> Result<Arc<Self>, DeviceError> {
        context.enter()?;
        let stream = result::stream::create(result::stream::StreamKind::NonBlocking);
        Ok(Arc::new(Self {
            context: Arc::clone(context),
            stream: stream.map_err(failed("make a stream"))?,
        }))
    }

    /// The driver's handle, with its context current.
    pub(super) fn enter(&self) -> Result<sys::CUstream, DeviceError> {
        self.context.enter()?;
        Ok(self.stream)
    }

    pub(super) fn wait(&self) -> Result<(), DeviceError> {
        let stream = self.enter()?;
        // SAFETY: the stream lives as long as `self`.
        unsafe { result::stream::synchronize(stream) }.map_err(failed("finish its work"))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.wait();
        // SAFETY: made in `new`, used by nobody any more.
        let _ = unsafe { result::stream::destroy(self.stream) };
    }
}

/// A moment in a stream.
pub(super) struct Event {
    stream: Arc<Stream>,
    event: sys::CUevent,
}

// SAFETY: as for streams.
unsafe impl Send for Event {}
// SAFETY: as for streams.
unsafe impl Sync for Event {}

impl Event {
    /// The moment when all that was asked for so far is done.
    pub(super) fn now(stream: &Arc<Stream>) -> Result<Self, DeviceError> {
        let handle = stream.enter()?;
        let event = result::event::create(sys::CUevent_flags::CU_EVENT_DEFAULT);
        let event = Self {
            stream: Arc::clone(stream),
            event: event.map_err(failed("make an event"))?,
        };
        // SAFETY: both were made and live.
        unsafe { result::event::record(event.event, handle) }.map_err(failed("record an event"))?;
        Ok(event)
    }

    pub(super) fn wait(&self) -> Result<(), DeviceError> {
        self.stream.enter()?;
        // SAFETY: the event lives as long as `self`.
        unsafe { result::event::synchronize(self.event) }.map_err(failed("finish its work"))
    }

    pub(super) fn is_over(&self) -> bool {
        // SAFETY: as above.
        self.stream.enter().is_ok() && unsafe { result::event::query(self.event) }.is_ok()
    }

    /// Seconds from `earlier` to this one; both are over.
    pub(super) fn since(&self, earlier: &Self) -> f64 {
        // SAFETY: both events live and are of one stream.
        let milliseconds = unsafe { result::event::elapsed(earlier.event, self.event) };
        f64::from(milliseconds.unwrap_or_default()) / 1000.0
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if self.stream.enter().is_ok() {
            // SAFETY: made in `now`, used by nobody any more.
            let _ = unsafe { result::event::destroy(self.event) };
        }
    }
}

/// Host memory that a card copies from and to by itself.
pub(super) struct Pinned {
    context: Arc<Context>,
    pages: Pages,
    bytes: usize,
}

impl Pinned {
    pub(super) fn new(context: &Arc<Context>, bytes: usize) -> Result<Self, DeviceError> {
        let pages = match context.pinned.take(bytes) {
            Some(pages) => pages,
            None => pin(context, bytes)?,
        };
        Ok(Self {
            context: Arc::clone(context),
            pages,
            bytes,
        })
    }

    /// Its bytes; no copy to or from them may be under way.
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: `bytes` initialised bytes with one owner.
        unsafe { std::slice::from_raw_parts_mut(self.pages.0, self.bytes) }
    }
}

fn pin(context: &Context, bytes: usize) -> Result<Pages, DeviceError> {
    context.enter()?;
    // SAFETY: whoever gets the memory writes before reading: it is zeroed below.
    let start = unsafe { result::malloc_host(bytes.max(1), 0) };
    let start = start.map_err(failed("pin host memory"))?.cast::<u8>();
    // SAFETY: `bytes` bytes were just taken there.
    unsafe { start.write_bytes(0, bytes) };
    Ok(Pages(start))
}

impl Drop for Pinned {
    /// Owners wait for copies before they drop it.
    fn drop(&mut self) {
        let pages = Pages(self.pages.0);
        self.context.pinned.keep(self.bytes, pages);
    }
}
