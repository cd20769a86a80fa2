//! Tensors of safetensors files.

use std::collections::BTreeMap;
use std::sync::Arc;

use memmap2::Mmap;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::tensors::Found;
use crate::LmError;
use crate::kernels::Stored;

/// Adds every tensor of one file.
pub(super) fn read<'a>(
    file: &'a str,
    map: &'a Arc<Mmap>,
    found: &mut BTreeMap<String, Found<'a>>,
) -> Result<(), LmError> {
    let parsed = SafeTensors::deserialize(map)
        .map_err(|e| LmError::weights(file, damage(map, &e.to_string())))?;
    let tensors = parsed.tensors().into_iter();
    found.extend(tensors.map(|(name, view)| (name, tensor(file, map, &view))));
    Ok(())
}

fn tensor<'a>(file: &'a str, map: &'a Arc<Mmap>, view: &TensorView<'_>) -> Found<'a> {
    let start = view.data().as_ptr().addr() - map.as_ptr().addr();
    Found {
        file,
        map,
        bytes: start..start + view.data().len(),
        shape: view.shape().to_vec(),
        stored: match view.dtype() {
            Dtype::F16 => Ok(Stored::F16),
            Dtype::BF16 => Ok(Stored::Bf16),
            Dtype::F32 => Ok(Stored::F32),
            other => Err(format!("has dtype {other:?}, expected F16, BF16 or F32")),
        },
        paired_heads: None,
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
