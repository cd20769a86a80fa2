//! The driver's objects, each freed when it is dropped.
#![expect(unsafe_code, reason = "calls into NVIDIA's driver")]

use std::ffi::c_void;
use std::sync::Arc;

use cudarc::driver::{DriverError, result, sys};

use super::device::DeviceError;

pub(super) fn failed(what: &str) -> impl Fn(DriverError) -> DeviceError + '_ {
    move |e| DeviceError::Failed(format!("the card could not {what}: {e}"))
}

/// The context of a card, which all models on it share.
pub(super) struct Context {
    device: sys::CUdevice,
    context: sys::CUcontext,
}

// SAFETY: a context may be used from any thread that made it current.
unsafe impl Send for Context {}
// SAFETY: as above; the driver locks by itself.
unsafe impl Sync for Context {}

impl Context {
    /// Opens card number `number`; the driver has been initialised.
    pub(super) fn open(number: usize) -> Result<Arc<Self>, DeviceError> {
        let device = result::device::get(number as i32).map_err(failed("be found"))?;
        // SAFETY: the device was just found.
        let context = unsafe { result::primary_ctx::retain(device) };
        let context = context.map_err(failed("be opened"))?;
        Ok(Arc::new(Self { device, context }))
    }

    /// Makes it the one that this thread's calls are for.
    pub(super) fn enter(&self) -> Result<(), DeviceError> {
        // SAFETY: the context lives as long as `self`.
        unsafe { result::ctx::set_current(self.context) }.map_err(failed("be used"))
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: it was retained once, and all that needs it holds an `Arc` of it. An error at the end
        // of its use helps nobody.
        let _ = unsafe { result::primary_ctx::release(self.device) };
    }
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
    start: *mut u8,
    bytes: usize,
}

// SAFETY: it is plain memory with one owner.
unsafe impl Send for Pinned {}

impl Pinned {
    pub(super) fn new(context: &Arc<Context>, bytes: usize) -> Result<Self, DeviceError> {
        context.enter()?;
        // SAFETY: whoever gets the memory writes before reading: it is zeroed below.
        let start = unsafe { result::malloc_host(bytes.max(1), 0) };
        let start = start.map_err(failed("pin host memory"))?.cast::<u8>();
        // SAFETY: `bytes` bytes were just taken there.
        unsafe { start.write_bytes(0, bytes) };
        Ok(Self {
            context: Arc::clone(context),
            start,
            bytes,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.bytes
    }

    /// Its bytes; no copy to or from them may be under way.
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: `bytes` initialised bytes with one owner.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.bytes) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if self.context.enter().is_ok() {
            // SAFETY: taken in `new`; owners wait for copies before they drop it.
            let _ = unsafe { result::free_host(self.start.cast::<c_void>()) };
        }
    }
}
