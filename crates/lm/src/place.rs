//! Where models compute: the CPU, or cards that a run was given.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use crate::cuda::{Cards, Slot};
use crate::{Dtype, LmError};

/// What `--device` says. No part of a key: results agree within a stated tolerance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// Cards, where the build, a driver and the model allow it, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The NVIDIA card of this number.
    Cuda(usize),
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
enum Choice {
    Cpu,
    /// All cards there are, looked for when the first node needs a place: opening a driver takes longer
    /// than a run that finds everything done.
    Any(OnceLock<Option<Cards>>),
    /// The card that was asked for.
    One(Cards),
}

impl Choice {
    fn cards(&self) -> Option<&Cards> {
        match self {
            Self::Cpu => None,
            Self::Any(cards) => cards.get_or_init(Cards::all).as_ref(),
            Self::One(cards) => Some(cards),
        }
    }
}

static CHOICE: OnceLock<Choice> = OnceLock::new();

/// Decides for this process where `score` computes; the first call counts. Without one it is the CPU.
///
/// Gives what a run's record says: `cpu`, `cuda`, or `auto` where a card may be found later.
///
/// # Errors
/// When a card is asked for that is not there, or that this build cannot use.
pub fn use_device(device: Device) -> Result<&'static str, LmError> {
    let choice = match device {
        Device::Auto if cfg!(feature = "cuda") => Choice::Any(OnceLock::new()),
        Device::Auto | Device::Cpu => Choice::Cpu,
        Device::Cuda(number) => Choice::One(Cards::one(number)?),
    };
    Ok(match CHOICE.get_or_init(|| choice) {
        Choice::Cpu => "cpu",
        Choice::Any(_) => "auto",
        Choice::One(_) => "cuda",
    })
}

/// The most threads that a node can use: one on each card has enough to do with feeding it.
pub(crate) fn threads() -> usize {
    let cards = CHOICE.get().and_then(Choice::cards);
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
        let choice = CHOICE.get();
        match choice.and_then(Choice::cards) {
            Some(cards) => Ok(Self::Card {
                slot: cards.take(),
                asked: matches!(choice, Some(Choice::One(_))),
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
