//! Where models compute: the CPU, or cards that a run was given.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::OnceLock;

use crate::cuda::{Cards, Slot};
use crate::{Dtype, LmError};

/// What `--device` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// Cards, where the build can use them and the machine shows one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The NVIDIA card of this number.
    Cuda(usize),
}

/// The kind of device that a result is from: part of the key of `score`, since the last bits differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceClass {
    /// Any CPU: results are equal bit by bit.
    Cpu,
    /// NVIDIA cards: results are equal within a stated tolerance.
    Cuda,
}

impl DeviceClass {
    /// As keys and records have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        }
    }
}

impl Device {
    /// The kind that is meant. Looks whether there is a card without opening the driver, which would take
    /// longer than a run that finds everything done.
    pub fn class(self) -> DeviceClass {
        match self {
            Self::Auto if cfg!(feature = "cuda") && card_is_visible() => DeviceClass::Cuda,
            Self::Auto | Self::Cpu => DeviceClass::Cpu,
            Self::Cuda(_) => DeviceClass::Cuda,
        }
    }
}

/// Whether the system has a card that is not hidden from this process.
fn card_is_visible() -> bool {
    let hidden = std::env::var("CUDA_VISIBLE_DEVICES").is_ok_and(|v| v.trim().is_empty());
    let files = ["/dev/nvidiactl", "/dev/dxg"];
    !hidden && files.iter().any(|file| Path::new(file).exists())
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_prefix("cuda:").map(str::parse);
        match (text, number) {
            ("auto", _) => Ok(Self::Auto),
            ("cpu", _) => Ok(Self::Cpu),
            (_, Some(Ok(number))) => Ok(Self::Cuda(number)),
            _ => Err("expected `auto`, `cpu` or `cuda:N`".into()),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

/// What the run may compute on.
struct Choice {
    device: Device,
    /// Opened when the first node needs one; an error says why they cannot be used.
    cards: OnceLock<Result<Cards, String>>,
}

impl Choice {
    fn cards(&self) -> Result<Option<&Cards>, LmError> {
        if self.device.class() == DeviceClass::Cpu {
            return Ok(None);
        }
        let open = || match self.device {
            Device::Cuda(number) => Cards::one(number),
            Device::Auto | Device::Cpu => Cards::all(),
        };
        let cards = self.cards.get_or_init(open).as_ref();
        cards
            .map(Some)
            .map_err(|reason| LmError::Device(reason.clone()))
    }
}

static CHOICE: OnceLock<Choice> = OnceLock::new();

/// Decides for this process where `score` computes; the first call counts. Without one it is the CPU.
pub fn use_device(device: Device) {
    CHOICE.get_or_init(|| Choice {
        device,
        cards: OnceLock::new(),
    });
}

/// Opens the card that was asked for by its number, if one was, before any node needs it.
///
/// # Errors
/// When it is not there, or this build cannot use it.
pub fn check_device() -> Result<(), LmError> {
    match CHOICE.get() {
        Some(choice) if matches!(choice.device, Device::Cuda(_)) => choice.cards().map(drop),
        _ => Ok(()),
    }
}

/// The most threads that a node can use: one on each card has enough to do with feeding it.
pub(crate) fn threads() -> usize {
    let cards = CHOICE.get().and_then(|choice| choice.cards().ok()?);
    cards.map_or(usize::MAX, Cards::threads)
}

/// Where one node computes.
pub(crate) enum Place {
    Cpu,
    Card {
        slot: Slot<'static>,
        /// Whether it must not be the CPU.
        asked: bool,
    },
}

impl Place {
    /// Waits for a place to compute in this number format.
    pub(crate) fn take(dtype: Dtype) -> Result<Self, LmError> {
        let Some(choice) = CHOICE.get() else {
            return Self::cpu(dtype);
        };
        match choice.cards()? {
            Some(cards) => Ok(Self::Card {
                slot: cards.take(),
                asked: matches!(choice.device, Device::Cuda(_)),
            }),
            None => Self::cpu(dtype),
        }
    }

    /// The driver's number of the card, if it is one.
    pub(crate) fn card(&self) -> Option<usize> {
        match self {
            Self::Cpu => None,
            Self::Card { slot, .. } => Some(slot.number()),
        }
    }

    /// The CPU, which computes in f32 only.
    pub(crate) fn cpu(dtype: Dtype) -> Result<Self, LmError> {
        if dtype == Dtype::F32 {
            return Ok(Self::Cpu);
        }
        Err(LmError::Device(format!(
            "dtype {} needs a card and this node would run on the CPU, which computes in f32: use `dtype: f32`, or a \
             build with the feature `cuda` on a machine with an NVIDIA card (`--device cuda:0` says what is missing)",
            dtype.name()
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_as_they_are_written() {
        for device in [Device::Auto, Device::Cpu, Device::Cuda(3)] {
            assert_eq!(device.to_string().parse(), Ok(device));
        }
        for wrong in ["gpu", "cuda", "cuda:", "cuda:x", ""] {
            let error = wrong.parse::<Device>().unwrap_err();
            assert!(error.contains("cuda:N"), "{error}");
        }
    }

    #[test]
    fn a_card_that_is_asked_for_is_in_the_key_whatever_this_machine_has() {
        assert_eq!(Device::Cuda(0).class(), DeviceClass::Cuda);
        assert_eq!(Device::Cpu.class(), DeviceClass::Cpu);
    }

    #[test]
    fn formats_of_16_bits_need_a_card() {
        assert!(Place::cpu(Dtype::F32).is_ok());
        let error = Place::cpu(Dtype::Bf16).err().map(|e| e.to_string());
        assert!(
            error
                .unwrap_or_default()
                .contains("dtype bf16 needs a card")
        );
    }
}
