//! The kernels of a number format, loaded to a card once.
#![expect(unsafe_code, reason = "calls into NVIDIA's driver")]

use std::collections::BTreeMap;
use std::ffi::CString;

use cudarc::driver::{result, sys};

use super::compiler::machine_code;
use super::device::{DeviceError, Kernel};
use super::handles::failed;
use crate::Dtype;

/// Functions of a module that stays loaded as long as its card is open.
pub(super) struct Functions(BTreeMap<Kernel, sys::CUfunction>);

// SAFETY: a module's functions may be launched from any thread.
unsafe impl Send for Functions {}
// SAFETY: as above.
unsafe impl Sync for Functions {}

impl Functions {
    /// Loads the kernels, with the card's context current; once more from the compiler if what the cache
    /// had is no use.
    pub(super) fn load(dtype: Dtype, capability: u32) -> Result<Self, DeviceError> {
        match load(&machine_code(dtype, capability, false)?, dtype) {
            Ok(loaded) => Ok(loaded),
            Err(_) => load(&machine_code(dtype, capability, true)?, dtype),
        }
    }

    /// The driver's handle.
    pub(super) fn get(&self, kernel: Kernel) -> Result<sys::CUfunction, DeviceError> {
        let found = self.0.get(&kernel).copied();
        found.ok_or_else(|| DeviceError::Failed(format!("no kernel `{}`", kernel.name())))
    }
}

fn load(code: &[u8], dtype: Dtype) -> Result<Functions, DeviceError> {
    if !code.starts_with(b"\x7fELF") {
        return Err(DeviceError::Failed("kernels are no machine code".into()));
    }
    // SAFETY: an ELF image, as the compiler made it.
    let module = unsafe { result::module::load_data(code.as_ptr().cast()) };
    let module = module.map_err(failed("load its kernels"))?;
    let function = |kernel: Kernel| {
        let name = CString::new(kernel.name()).unwrap_or_default();
        // SAFETY: the module is loaded.
        let function = unsafe { result::module::get_function(module, name) };
        let function = function.map_err(failed("find a kernel"))?;
        if matches!(kernel, Kernel::Attention(_)) {
            allow_shared_memory(function)?;
        }
        Ok::<_, DeviceError>((kernel, function))
    };
    let kernels = Kernel::all(dtype != Dtype::F32).into_iter();
    Ok(Functions(kernels.map(function).collect::<Result<_, _>>()?))
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
