//! Weights from the files of a model, checked against the shapes that the config asks for.
//!
//! Matrices stay where they are, memory-mapped in their stored format; vectors are upcast to f32.

mod files;
mod gguf;
mod safetensors;
mod tensors;
mod torch;

pub(crate) use files::Weights;
pub(crate) use tensors::Tensors;
use tensors::{Place, Places};
