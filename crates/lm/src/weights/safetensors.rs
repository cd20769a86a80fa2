//! Tensors of safetensors files.

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::{Place, Places};
use crate::kernels::Stored;

/// The name and place of every tensor of a file.
pub(super) fn tensors(bytes: &[u8]) -> Result<Places, String> {
    let parsed = SafeTensors::deserialize(bytes).map_err(|e| damage(bytes, &e.to_string()))?;
    let tensors = parsed.tensors().into_iter();
    let place = |(name, view): (String, TensorView<'_>)| {
        let start = view.data().as_ptr().addr() - bytes.as_ptr().addr();
        let place = Place {
            bytes: start..start + view.data().len(),
            shape: view.shape().to_vec(),
            stored: stored(view.dtype()),
        };
        (name, place)
    };
    Ok(tensors.map(place).collect())
}

fn stored(dtype: Dtype) -> Result<Stored, String> {
    match dtype {
        Dtype::F16 => Ok(Stored::F16),
        Dtype::BF16 => Ok(Stored::Bf16),
        Dtype::F32 => Ok(Stored::F32),
        other => Err(format!("has dtype {other:?}, expected F16, BF16 or F32")),
    }
}

/// Says what is wrong with a file, with the two numbers that tell a cut file from a foreign one.
fn damage(bytes: &[u8], reason: &str) -> String {
    let size = bytes.len();
    match bytes.first_chunk::<8>() {
        Some(length) => {
            let header = u64::from_le_bytes(*length);
            format!(
                "not a whole safetensors file: {reason} (header of {header} bytes, file of {size})"
            )
        }
        None => format!("not a whole safetensors file: {size} bytes"),
    }
}
