//! Llama and those built like it: Mistral, Qwen2, and Mixtral with its mixture of experts.

mod body;
mod config;
mod experts;
mod load;

pub(crate) use body::build;
