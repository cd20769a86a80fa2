//! The real kernels on the CPU: compiled by the system's C++ compiler over `emulator.h`.
#![expect(unsafe_code, reason = "calls compiled kernels")]

use std::ffi::{CString, c_char, c_int, c_void};
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use libloading::Library;

use super::host::{Bytes, Run};
use crate::Dtype;
use crate::cuda::device::{Arg, Kernel, Launch};
use crate::cuda::sources::source;

type Emulate =
    unsafe extern "C" fn(*const c_char, u32, u32, u32, usize, *mut *mut c_void, c_int) -> c_int;

/// The compiled kernels of each number format. One launch at a time: they are not made for more.
static LIBRARIES: [OnceLock<Option<Mutex<Library>>>; 3] = [const { OnceLock::new() }; 3];

/// What runs kernels for this format, if there is a C++ compiler; threads of a block take turns from the last to
/// the first if `backwards`.
pub(super) fn run(dtype: Dtype, backwards: bool) -> Option<Run> {
    let library = LIBRARIES[dtype as usize]
        .get_or_init(|| compile(dtype).map(Mutex::new))
        .as_ref()?;
    Some(Box::new(move |memory, launch| {
        let library = library.lock().unwrap_or_else(PoisonError::into_inner);
        emulate(&library, memory, launch, backwards);
    }))
}

fn compile(dtype: Dtype) -> Option<Library> {
    let dir = tempfile::tempdir().unwrap();
    let library = dir.path().join("kernels.so");
    // SAFETY: the library was just compiled from our sources and does nothing when it is loaded.
    compiled(&program(dtype), &library).then(|| unsafe { Library::new(library) }.unwrap())
}

/// Compiles C++ to a library, if there is a compiler.
pub(super) fn compiled(text: &str, library: &Path) -> bool {
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
    let file = library.with_extension("cpp");
    std::fs::write(&file, text).unwrap();
    let options = "-std=c++17 -O1 -w -shared -fPIC -ffp-contract=off -U_FORTIFY_SOURCE -o";
    let mut command = Command::new(&compiler);
    command.args(options.split(' ')).arg(library).arg(&file);
    let Ok(made) = command.output() else {
        return false;
    };
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(
        made.status.success(),
        "the kernels do not compile with {compiler}:\n{said}"
    );
    true
}

/// The kernels over the emulator, and what else belongs to a library.
pub(super) fn program_with(dtype: Dtype, rest: &str) -> String {
    source(dtype, include_str!("emulator.h")) + rest
}

/// The kernels, and a function that finds them by name.
fn program(dtype: Dtype) -> String {
    let names = Kernel::all(dtype != Dtype::F32)
        .into_iter()
        .map(Kernel::name);
    let entry = |name: String| format!("{{\"{name}\", [](void **a) {{ call({name}, a); }}}},\n");
    let entries: String = names.map(entry).collect();
    let find = format!(
        "static const Entry entries[] = {{\n{entries}}};\nextern \"C\" int emulate(const char *name, u32 columns, \
         u32 rows, u32 threads, size_t shared, void **arguments, int backwards) {{\n    return emulate_with(entries, \
         sizeof entries / sizeof *entries, name, columns, rows, threads, shared, arguments, backwards);\n}}\n"
    );
    program_with(dtype, &find)
}

fn emulate(library: &Library, memory: &mut Bytes, launch: &Launch<'_>, backwards: bool) {
    // SAFETY: that is the function's type.
    let run = unsafe { library.get::<Emulate>(b"emulate") }.unwrap();
    let base = memory.all.as_mut_ptr();
    let mut values: Vec<u64> = launch
        .args
        .iter()
        .map(|arg| match arg {
            Arg::Address(0) => 0,
            // SAFETY: whatever is on the device lies in its memory.
            Arg::Address(address) => unsafe { base.add(*address as usize) }.addr() as u64,
            Arg::Int(n) => u64::from(n.cast_unsigned()),
            Arg::Float(x) => u64::from(x.to_bits()),
        })
        .collect();
    let mut places: Vec<*mut c_void> = values
        .iter_mut()
        .map(|v| std::ptr::from_mut(v).cast())
        .collect();
    let name = CString::new(launch.kernel.name()).unwrap();
    let [columns, rows] = launch.grid.map(|n| n as u32);
    // SAFETY: the arguments are what the kernel declares, as on a card; its addresses lie in `memory`.
    let result = unsafe {
        run(
            name.as_ptr(),
            columns,
            rows,
            launch.threads as u32,
            launch.shared,
            places.as_mut_ptr(),
            backwards.into(),
        )
    };
    assert_eq!(result, 0, "no kernel {name:?}");
}
