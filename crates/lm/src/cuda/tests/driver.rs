//! The card's own code, from opening it to its results, over a driver that is emulated, too.

use std::path::Path;
use std::process::Command;

use super::emulator::{compiled, program_with};
use super::forward::{batch, nano};
use crate::cuda::device::Kernel;
use crate::{Device, Dtype, Model, check_device, use_device};

/// The names under which CUDA's libraries are looked for.
const LIBRARIES: [&str; 3] = ["libcuda.so.1", "libnvrtc.so.13", "libcublasLt.so.13"];

/// The emulated driver with all kernels in bf16.
fn text() -> String {
    let entry = |kernel: Kernel| {
        let name = kernel.name();
        format!("function_of(\"{name}\", {name}, [](void **a) {{ call({name}, a); }}),\n")
    };
    let entries: String = Kernel::all(true).into_iter().map(entry).collect();
    let table = format!(
        "static std::vector<Function> &functions() {{\n    static std::vector<Function> all = {{\n{entries}}};\n    \
         return all;\n}}\n"
    );
    program_with(
        Dtype::Bf16,
        &(include_str!("driver.cpp").to_owned() + &table),
    )
}

/// Libraries are looked for where a process was told to when it began: so the test begins itself again.
#[test]
#[allow(clippy::print_stderr, reason = "says that it tested nothing")]
fn a_card_that_is_emulated_down_to_its_driver_scores_as_the_cpu() {
    let dir = tempfile::tempdir().unwrap();
    if !compiled(&text(), &dir.path().join(LIBRARIES[0])) {
        eprintln!("skipped: no C++ compiler");
        return;
    }
    for name in &LIBRARIES[1..] {
        std::os::unix::fs::symlink(LIBRARIES[0], dir.path().join(name)).unwrap();
    }
    let test = "cuda::tests::driver::with_the_emulated_driver";
    let run = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", test, "--nocapture"])
        .env("LD_LIBRARY_PATH", dir.path())
        .env("XDG_CACHE_HOME", dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout) + String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success() && said.contains("1 passed"), "{said}");
    assert!(
        has_cubin(&dir.path().join("cpipe/kernels")),
        "nothing was kept"
    );
}

fn has_cubin(dir: &Path) -> bool {
    let files = std::fs::read_dir(dir).unwrap();
    files
        .flatten()
        .any(|f| f.path().extension().is_some_and(|e| e == "cubin"))
}

#[test]
#[ignore = "run by the test above, with the emulated driver"]
fn with_the_emulated_driver() {
    use_device(Device::Cuda(0));
    check_device().unwrap();
    for name in ["nano-25k", "nano-57k"] {
        let (model, cpu) = (
            Model::load_dir_there(&nano(name), Dtype::Bf16).unwrap(),
            Model::load_dir(&nano(name)).unwrap(),
        );
        let batches = [batch(&[40, 3]), batch(&[70]), batch(&[9, 2, 8])];
        // All are asked for before the first is looked at, and one is never looked at.
        let submitted = batches.each_ref().map(|batch| model.submit(batch).unwrap());
        drop(model.submit(&batches[0]).unwrap());
        for (batch, submitted) in batches.iter().zip(submitted) {
            let (found, truth) = (submitted.wait().unwrap(), cpu.log_probs(batch).unwrap());
            let sum = |x: &[Vec<f32>]| x.concat().iter().map(|x| f64::from(*x)).sum::<f64>();
            let apart = (sum(&found) / sum(&truth) - 1.0).abs();
            assert_eq!(found.concat().len(), truth.concat().len());
            assert!(apart < 2e-3, "{name}: {apart}");
        }
        let kernels = model.time_kernels(&batches[0]).unwrap();
        for kernel in [
            "embed",
            "layer_norm",
            "attention_",
            "add_logits",
            "product ",
        ] {
            let timed = kernels
                .iter()
                .any(|(k, t)| k.starts_with(kernel) && *t > 0.0);
            assert!(timed, "{kernel}: {kernels:?}");
        }
        let card = model.card().unwrap();
        assert_eq!(
            (card.name.as_str(), card.capability.as_str()),
            ("Emulated", "9.0")
        );
        assert!(
            card.bytes > 1 << 20 && card.seconds["forward"] > 0.0,
            "{card:?}"
        );
        assert_eq!(model.facts().dtype, "bf16");
    }
}
