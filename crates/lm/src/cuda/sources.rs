//! The text of the kernels.

use crate::Dtype;

/// What machine instructions stand behind; the emulator of the tests has another.
#[cfg(feature = "cuda")]
pub(crate) const INSTRUCTIONS: &str = include_str!("kernels/instructions.cuh");

const KERNELS: [&str; 7] = [
    include_str!("kernels/common.cuh"),
    include_str!("kernels/embed.cu"),
    include_str!("kernels/layer_norm.cu"),
    include_str!("kernels/pointwise.cu"),
    include_str!("kernels/attention_plain.cu"),
    include_str!("kernels/attention.cu"),
    include_str!("kernels/log_probs.cu"),
];

/// All kernels for a number format in one text, over these instructions.
pub(crate) fn source(dtype: Dtype, instructions: &str) -> String {
    let element = match dtype {
        Dtype::F32 => 0,
        Dtype::Bf16 => 1,
        Dtype::F16 => 2,
    };
    let define = format!("#define ELEMENT {element}\n");
    let mut text = define + instructions;
    text.extend(KERNELS);
    text
}
