//! Kernels compiled for a card: by NVRTC at first use, from the user's cache folder later.
#![expect(unsafe_code, reason = "calls into NVRTC")]

use std::ffi::{CStr, CString, c_char};
use std::path::PathBuf;

use cpipe_engine::Digest;
use cudarc::nvrtc::{result, sys};

use super::device::DeviceError;
use super::sources::{INSTRUCTIONS, source};
use crate::Dtype;

/// Machine code for cards of compute capability `capability`, such as 90; compiled only where `fresh`
/// asks for it or the cache lacks it.
pub(super) fn machine_code(
    dtype: Dtype,
    capability: u32,
    fresh: bool,
) -> Result<Vec<u8>, DeviceError> {
    let text = source(dtype, INSTRUCTIONS);
    let kept = cache_file(&text, capability);
    if let Some(Ok(code)) = kept.as_ref().filter(|_| !fresh).map(fs_err::read) {
        return Ok(code);
    }
    let code = compile(&text, capability)?;
    if let Some(path) = kept {
        // A cache that cannot be written costs the next start a second and nothing else.
        let _ = keep(&path, &code);
    }
    Ok(code)
}

/// Where the code of this text lies.
fn cache_file(text: &str, capability: u32) -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let folder = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(home)?;
    let (major, minor) = version();
    let key = format!("sm_{capability}\nnvrtc {major}.{minor}\n{text}");
    let digest = Digest::of(key.as_bytes());
    let name = digest
        .to_string()
        .replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    Some(folder.join("cpipe").join("kernels").join(name + ".cubin"))
}

fn keep(path: &PathBuf, code: &[u8]) -> std::io::Result<()> {
    fs_err::create_dir_all(path.parent().unwrap_or(path))?;
    let part = path.with_extension(std::process::id().to_string());
    fs_err::write(&part, code)?;
    fs_err::rename(part, path)
}

fn version() -> (i32, i32) {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: both are places for a number. An error leaves 0.0, which is a version as well.
    unsafe { sys::nvrtcVersion(&raw mut major, &raw mut minor) };
    (major, minor)
}

/// Compiles for one kind of card.
pub(super) fn compile(text: &str, capability: u32) -> Result<Vec<u8>, DeviceError> {
    let text = CString::new(text).map_err(|e| DeviceError::Failed(e.to_string()))?;
    let program = result::create_program(&text, Some(c"cpipe.cu"));
    let program = program.map_err(|e| DeviceError::Failed(format!("NVRTC: {e}")))?;
    let options = [
        format!("--gpu-architecture=sm_{capability}"),
        "--std=c++17".into(),
    ];
    // SAFETY: the program was made above and is destroyed below.
    let compiled = unsafe { result::compile_program(program, &options) };
    let code = match compiled {
        Ok(()) => code(program),
        Err(e) => Err(DeviceError::Failed(format!(
            "the kernels do not compile for sm_{capability}: {e}\n{}",
            log(program)
        ))),
    };
    // SAFETY: it was made above and is used no more.
    let _ = unsafe { result::destroy_program(program) };
    code
}

fn code(program: sys::nvrtcProgram) -> Result<Vec<u8>, DeviceError> {
    let failed = |e| DeviceError::Failed(format!("NVRTC gives no code: {e}"));
    let mut size = 0;
    // SAFETY: the program is compiled, `size` a place for a number.
    unsafe { sys::nvrtcGetCUBINSize(program, &raw mut size) }
        .result()
        .map_err(failed)?;
    let mut code = vec![0u8; size];
    // SAFETY: as many bytes as it asked for.
    unsafe { sys::nvrtcGetCUBIN(program, code.as_mut_ptr().cast::<c_char>()) }
        .result()
        .map_err(failed)?;
    Ok(code)
}

fn log(program: sys::nvrtcProgram) -> String {
    // SAFETY: the program was made and not destroyed.
    let log = unsafe { result::get_program_log(program) }.unwrap_or_default();
    let bytes: Vec<u8> = log.iter().map(|c| c.cast_unsigned()).collect();
    let text = CStr::from_bytes_until_nul(&bytes);
    text.map(|text| text.to_string_lossy().into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cuda::device::Kernel;

    /// Compiles for Ampere, Hopper and Blackwell wherever NVRTC is there, which needs no card.
    #[test]
    #[allow(clippy::print_stderr, reason = "says that it tested nothing")]
    fn every_kernel_becomes_machine_code() {
        // SAFETY: only looks for the library.
        if !unsafe { sys::is_culib_present() } {
            eprintln!("skipped: no libnvrtc (put its folder into LD_LIBRARY_PATH)");
            return;
        }
        for dtype in [Dtype::F32, Dtype::Bf16, Dtype::F16] {
            for capability in [80, 90, 100] {
                let code = compile(&source(dtype, INSTRUCTIONS), capability).unwrap();
                assert_eq!(code[..4], *b"\x7fELF");
                for kernel in Kernel::all(dtype != Dtype::F32) {
                    let name = format!(".text.{}\0", kernel.name());
                    assert!(
                        code.windows(name.len()).any(|w| w == name.as_bytes()),
                        "{name}"
                    );
                }
            }
        }
    }

    #[test]
    fn errors_in_kernels_say_where() {
        // SAFETY: only looks for the library.
        if unsafe { sys::is_culib_present() } {
            let error = compile("int x = ;", 90).unwrap_err().to_string();
            assert!(
                error.contains("sm_90") && error.contains("cpipe.cu(1)"),
                "{error}"
            );
        }
    }
}
