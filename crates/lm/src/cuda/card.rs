//! An NVIDIA card.
#![expect(unsafe_code, reason = "calls into NVIDIA's driver")]

use std::collections::BTreeMap;
use std::ffi::{CString, c_void};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cudarc::driver::{DriverError, result, sys};

use super::compiler::machine_code;
use super::device::{Arg, Device, DeviceError, Kernel, Launch, Product};
use super::handles::{Context, Event, Pinned, Stream, failed};
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
    functions: BTreeMap<Kernel, Function>,
    module: Module,
    products: Mutex<Products>,
    workspace: u64,
    staging: Mutex<Staging>,
    arrivals: Arc<Mutex<Vec<Pinned>>>,
    times: Mutex<Times>,
    taken: Mutex<[usize; 2]>,
}

struct Function(sys::CUfunction);
struct Module(sys::CUmodule);

// SAFETY: a module's functions may be launched from any thread.
unsafe impl Send for Function {}
// SAFETY: as above.
unsafe impl Sync for Function {}
// SAFETY: only unloaded, once.
unsafe impl Send for Module {}
// SAFETY: as above.
unsafe impl Sync for Module {}

/// Pinned memory that the card copies from while the next is filled.
struct Staging {
    next: usize,
    buffers: [(Pinned, Option<Event>); 2],
}

impl Card {
    /// Opens a card of compute capability `capability`.
    pub(super) fn open(number: usize, capability: u32, dtype: Dtype) -> Result<Self, DeviceError> {
        let context = Context::open(number)?;
        let stream = Stream::new(&context)?;
        let (module, functions) = load(dtype, capability)?;
        // SAFETY: the context is current; freed in `drop`.
        let workspace = unsafe { result::malloc_sync(WORKSPACE) }.map_err(refused(WORKSPACE))?;
        let buffer = || Ok::<_, DeviceError>((Pinned::new(&context, STAGING)?, None));
        let staging = Staging {
            next: 0,
            buffers: [buffer()?, buffer()?],
        };
        Ok(Self {
            functions,
            module,
            products: Mutex::new(Products::new(dtype)?),
            workspace,
            staging: Mutex::new(staging),
            arrivals: Arc::default(),
            times: Mutex::default(),
            taken: Mutex::new([WORKSPACE; 2]),
            stream,
            context,
        })
    }

    /// Seconds of each part, and the most bytes that the model has taken.
    pub(crate) fn costs(&self) -> (BTreeMap<&'static str, f64>, usize) {
        (lock(&self.times).seconds(), lock(&self.taken)[1])
    }
}

/// Loads the kernels; once more from the compiler if what the cache had is no use.
fn load(
    dtype: Dtype,
    capability: u32,
) -> Result<(Module, BTreeMap<Kernel, Function>), DeviceError> {
    match load_code(&machine_code(dtype, capability, false)?, dtype) {
        Ok(loaded) => Ok(loaded),
        Err(_) => load_code(&machine_code(dtype, capability, true)?, dtype),
    }
}

fn load_code(
    code: &[u8],
    dtype: Dtype,
) -> Result<(Module, BTreeMap<Kernel, Function>), DeviceError> {
    if !code.starts_with(b"\x7fELF") {
        return Err(DeviceError::Failed("kernels are no machine code".into()));
    }
    // SAFETY: an ELF image, as the compiler made it.
    let module = unsafe { result::module::load_data(code.as_ptr().cast()) };
    let module = Module(module.map_err(failed("load its kernels"))?);
    let function = |kernel: Kernel| {
        let name = CString::new(kernel.name()).unwrap_or_default();
        // SAFETY: the module is loaded.
        let function = unsafe { result::module::get_function(module.0, name) };
        let function = function.map_err(failed("find a kernel"))?;
        if matches!(kernel, Kernel::Attention(_)) {
            allow_shared_memory(function)?;
        }
        Ok::<_, DeviceError>((kernel, Function(function)))
    };
    let kernels = Kernel::all(dtype != Dtype::F32).into_iter();
    let functions = kernels.map(function).collect::<Result<_, _>>()?;
    Ok((module, functions))
}

/// Lets a kernel ask for more shared memory than the 48 KiB that need no permission.
fn allow_shared_memory(function: sys::CUfunction) -> Result<(), DeviceError> {
    use sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES as MOST;
    // What every card of capability 8.0 or more has but those of 8.6, 8.9 and 12.0, which have less.
    let tries = [160 << 10, 99 << 10];
    let mut results = tries.iter().map(|bytes| {
        // SAFETY: the function exists.
        unsafe { result::function::set_function_attribute(function, MOST, *bytes) }
    });
    match results.find(Result::is_ok) {
        Some(_) => Ok(()),
        None => Err(DeviceError::Failed(
            "the card has too little shared memory".into(),
        )),
    }
}

fn refused(bytes: usize) -> impl Fn(DriverError) -> DeviceError {
    move |e| match e.0 {
        sys::cudaError_enum::CUDA_ERROR_OUT_OF_MEMORY => DeviceError::OutOfMemory { bytes },
        _ => DeviceError::Failed(format!("the card gives no memory: {e}")),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
        let stream = self.stream.enter()?;
        // SAFETY: freed by `free`; zeros are written before anything else.
        let address = unsafe { result::malloc_sync(bytes.max(1)) }.map_err(refused(bytes))?;
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
            // SAFETY: taken by `allocate`, and all that used it is done.
            let _ = unsafe { result::free_sync(address) };
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
        let kept = lock(&self.arrivals).pop().filter(|p| p.len() >= 4 * count);
        let mut pinned = match kept {
            Some(pinned) => pinned,
            None => Pinned::new(&self.context, (4 * count).next_power_of_two())?,
        };
        let bytes = &mut pinned.bytes()[..4 * count];
        // SAFETY: the card has as many numbers there; the buffer is not touched before the event below.
        unsafe { result::memcpy_dtoh_async(bytes, from, self.stream.enter()?) }
            .map_err(failed("copy"))?;
        let mut landing = Landing {
            over: Event::now(&self.stream)?,
            pinned: Some(pinned),
            arrivals: Arc::clone(&self.arrivals),
        };
        Ok(Box::new(move || Ok(landing.values(count)?)))
    }

    fn launch(&self, launch: &Launch<'_>) -> Result<(), DeviceError> {
        let stream = self.stream.enter()?;
        let kernel = launch.kernel;
        let Some(function) = self.functions.get(&kernel) else {
            return Err(DeviceError::Failed(format!(
                "no kernel `{}`",
                kernel.name()
            )));
        };
        let mut places: Vec<*mut c_void> = launch.args.iter().map(place).collect();
        let grid = (launch.grid[0] as u32, launch.grid[1] as u32, 1);
        let block = (launch.threads as u32, 1, 1);
        let shared = launch.shared as u32;
        // SAFETY: the arguments are those that the kernel declares; the emulator of the tests runs the
        // same launches with the same kernels.
        unsafe { result::launch_kernel(function.0, grid, block, shared, stream, &mut places) }
            .map_err(failed(&format!("run `{}`", kernel.name())))
    }

    fn multiply(&self, product: &Product) -> Result<(), DeviceError> {
        let stream = self.stream.enter()?;
        lock(&self.products).multiply(product, self.workspace, stream.cast())
    }

    fn free_memory(&self) -> Result<usize, DeviceError> {
        self.stream.enter()?;
        result::mem_get_info()
            .map(|(free, _)| free)
            .map_err(failed("say how much memory is free"))
    }

    fn mark(&self, part: &'static str) {
        // Times are a courtesy: a card that cannot take them says so at the next real call.
        let _ = lock(&self.times).mark(part, &self.stream);
    }
}

/// Results on their way to pinned memory, which goes back to where it was taken from.
struct Landing {
    over: Event,
    pinned: Option<Pinned>,
    arrivals: Arc<Mutex<Vec<Pinned>>>,
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
        if self.over.wait().is_ok() {
            lock(&self.arrivals).extend(self.pinned.take());
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
            // SAFETY: nothing runs any more; taken and loaded in `open`.
            unsafe {
                let _ = result::free_sync(self.workspace);
                let _ = result::module::unload(self.module.0);
            }
        }
    }
}
