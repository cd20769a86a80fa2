//! The cards of this machine.
#![expect(unsafe_code, reason = "calls into NVIDIA's driver")]

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::Arc;

use cudarc::driver::{result, sys};
use cudarc::{cublaslt, nvrtc};

use super::card::Card;
use super::device::Device;
use super::forward::OnCard;
use super::slots::{Slot, Slots};
use crate::batch::{Arrival, Rows};
use crate::gpt_neox::GptNeox;
use crate::kernels::Matrix;
use crate::{CardFacts, Dtype, LmError};

/// The first version of CUDA whose driver runs what our NVRTC compiles.
const CUDA: i32 = 13_000;
/// The first compute capability with the tensor cores that the kernels use.
const CAPABILITY: u32 = 80;

/// The cards that a run may use.
pub(crate) struct Cards(Slots);

impl Cards {
    /// All that can be used.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn all() -> Result<Self, String> {
        let (usable, refused): (Vec<_>, Vec<_>) =
            (0..count()?).partition(|number| capability(*number).is_ok());
        match (usable.is_empty(), refused.first()) {
            (false, _) => Ok(Self(Slots::new(usable))),
            (true, Some(first)) => Self::one(*first),
            (true, None) => Err("the NVIDIA driver shows no card; use `--device cpu`".into()),
        }
    }

    /// The card of this number.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(crate) fn one(number: usize) -> Result<Self, String> {
        usable(number)?;
        Ok(Self(Slots::new(vec![number])))
    }

    /// Waits for a place on one of them.
    pub(crate) fn take(&self) -> Slot<'_> {
        self.0.take()
    }

    /// Threads for each node, so that two nodes for each card run at once.
    pub(crate) fn threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        (cores / (2 * self.0.cards())).max(1)
    }
}

/// Checks that the card of this number is there and new enough.
fn usable(number: usize) -> Result<(), String> {
    let count = count()?;
    if number >= count {
        return Err(format!(
            "there is no card cuda:{number}: the driver shows {count}, counted from 0"
        ));
    }
    capability(number).map(|_| ())
}

/// A model on a card.
pub(crate) struct Loaded {
    facts: CardFacts,
    model: OnCard,
    card: Arc<Card>,
}

impl Loaded {
    /// Opens card `number` and brings a model there.
    pub(crate) fn new(
        number: usize,
        layers: &GptNeox,
        output: &Matrix,
        dtype: Dtype,
    ) -> Result<Self, LmError> {
        let capability = capability(number).map_err(LmError::Device)?;
        let card = Arc::new(Card::open(number, capability, dtype)?);
        let device: Arc<dyn Device> = card.clone();
        Ok(Self {
            facts: CardFacts {
                name: name(number),
                driver: driver(),
                capability: format!("{}.{}", capability / 10, capability % 10),
                bytes: 0,
                seconds: BTreeMap::new(),
            },
            model: OnCard::new(&device, layers, output, dtype)?,
            card,
        })
    }

    /// Tokens that a batch may have.
    pub(crate) fn tokens(&self) -> usize {
        self.model.tokens()
    }

    /// Asks for the log-probabilities of a batch's targets, which has one at least.
    pub(crate) fn submit(&self, rows: &Rows) -> Result<Arrival, LmError> {
        self.model.submit(rows).map_err(LmError::from)
    }

    /// Seconds of each kernel and product of what `work` asks the model for.
    pub(crate) fn details(
        &self,
        work: impl FnOnce() -> Result<(), LmError>,
    ) -> Result<BTreeMap<String, f64>, LmError> {
        self.card.details(work)
    }

    /// What is known of the card, and what the model has cost there so far.
    pub(crate) fn facts(&self) -> CardFacts {
        let (seconds, bytes) = self.card.costs();
        CardFacts {
            bytes,
            seconds,
            ..self.facts.clone()
        }
    }
}

/// How many cards the driver shows; an error says what is missing.
fn count() -> Result<usize, String> {
    let missing = |library: &str, what: &str| {
        Err(format!(
            "{what}: {library} could not be loaded; use `--device cpu`"
        ))
    };
    // SAFETY: these only look for libraries.
    unsafe {
        if !sys::is_culib_present() {
            return missing("libcuda.so.1", "no NVIDIA driver");
        }
        if !nvrtc::sys::is_culib_present() {
            return missing(
                "libnvrtc.so.13",
                "no CUDA 13 compiler for kernels (put its folder into LD_LIBRARY_PATH)",
            );
        }
        if !cublaslt::sys::is_culib_present() {
            return missing(
                "libcublasLt.so.13",
                "no cuBLASLt of CUDA 13 (put its folder into LD_LIBRARY_PATH)",
            );
        }
    }
    let version = cuda_version();
    if version < CUDA {
        let (major, minor) = (version / 1000, version % 1000 / 10);
        return Err(format!(
            "the NVIDIA driver is for CUDA {major}.{minor}, and 13.0 or later is needed: update it, or use `--device cpu`"
        ));
    }
    let asked = |e| format!("the NVIDIA driver shows no card ({e}); use `--device cpu`");
    result::init().map_err(asked)?;
    result::device::get_count()
        .map(|n| n as usize)
        .map_err(asked)
}

/// The first card, if it can be used.
#[cfg(test)]
pub(super) fn open_first(dtype: Dtype) -> Option<Arc<dyn Device>> {
    usable(0).ok()?;
    Some(Arc::new(Card::open(0, capability(0).ok()?, dtype).unwrap()))
}

/// Such as 90 for 9.0; too old a card is an error.
fn capability(number: usize) -> Result<u32, String> {
    use sys::CUdevice_attribute_enum as Attribute;
    let asked = |e| format!("cuda:{number} does not answer ({e}); use `--device cpu`");
    let device = result::device::get(number as i32).map_err(asked)?;
    // SAFETY: the device was just found.
    let get =
        |attribute| unsafe { result::device::get_attribute(device, attribute) }.map_err(asked);
    let major = get(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    let minor = get(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
    let capability = (10 * major + minor) as u32;
    if capability < CAPABILITY {
        let name = name(number);
        return Err(format!(
            "cuda:{number} ({name}) has compute capability {major}.{minor}, and 8.0 or later is needed; use `--device cpu`"
        ));
    }
    Ok(capability)
}

fn name(number: usize) -> String {
    let name = result::device::get(number as i32).and_then(result::device::get_name);
    name.unwrap_or_else(|_| "unknown".into())
}

/// Such as 13000.
fn cuda_version() -> i32 {
    let mut version = 0;
    // SAFETY: a place for a number; an error leaves 0.
    unsafe { sys::cuDriverGetVersion(&raw mut version) };
    version
}

/// The driver's own version where the system tells it, with the CUDA version that it is for.
fn driver() -> String {
    let (major, minor) = (cuda_version() / 1000, cuda_version() % 1000 / 10);
    let text = std::fs::read_to_string("/sys/module/nvidia/version").unwrap_or_default();
    match text.trim() {
        "" => format!("CUDA {major}.{minor}"),
        own => format!("{own} (CUDA {major}.{minor})"),
    }
}
