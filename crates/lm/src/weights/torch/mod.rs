//! Weights as `torch.save` wrote them: `pytorch_model.bin`.
//!
//! Such a file is a ZIP archive of one pickle and the bytes of every storage, which stay where they
//! are. A pickle is a program that may call anything; ours is read by an interpreter that knows only
//! what a dictionary of tensors needs and refuses the rest by name, so that nothing of it is ever run.

mod archive;
mod pickle;
mod value;

use archive::Archive;
use value::Tensor;

use super::{Place, Places};

/// Begins a file that `torch.save` wrote before version 1.6: a bare pickle of protocol 2.
const OLD: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19";

/// The name and place of every tensor of a file.
///
/// # Errors
/// What is wrong with the file. What is only wrong with one tensor is told when it is read.
pub(super) fn tensors(bytes: &[u8]) -> Result<Places, String> {
    if bytes.starts_with(OLD) {
        return Err(
            "it is in the format from before PyTorch 1.6, which is not read: save it \
                    again with `torch.save(torch.load(FILE, weights_only=True), FILE)`"
                .into(),
        );
    }
    let archive = Archive::open(bytes)?;
    let entries = pickle::state_dict(archive.pickle())?;
    let place = |(name, tensor): (&str, Tensor<'_>)| match locate(&archive, &tensor) {
        Ok(place) => Ok((name.to_owned(), place)),
        Err(reason) => Err(format!("tensor `{name}`: {reason}")),
    };
    entries.into_iter().map(place).collect()
}

/// Where a tensor's elements lie in the file; an error if that is not inside its storage.
fn locate(archive: &Archive<'_>, tensor: &Tensor<'_>) -> Result<Place, String> {
    let element = tensor.storage.element;
    let record = archive.storage(tensor.storage.key)?;
    let stored = tensor.storage.count.checked_mul(element.bytes);
    if stored != Some(record.len() as u64) {
        let (key, count) = (tensor.storage.key, tensor.storage.count);
        let (name, size) = (element.name, record.len());
        return Err(format!(
            "storage `{key}` of {count} elements ({name}) has {size} bytes"
        ));
    }
    let end = tensor
        .end()
        .filter(|end| *end <= tensor.storage.count)
        .ok_or("it reaches beyond its storage")?;
    let start = record.start + (tensor.offset * element.bytes) as usize;
    let stored = element.stored.ok_or_else(|| {
        let name = element.name;
        format!("has dtype {name}, expected Half, BFloat16 or Float")
    });
    let place = Place {
        bytes: start..record.start + (end * element.bytes) as usize,
        shape: tensor.shape.iter().map(|n| *n as usize).collect(),
        stored,
    };
    if tensor.is_contiguous() {
        return Ok(place);
    }
    let (shape, strides) = (&tensor.shape, &tensor.strides);
    let reason = format!(
        "of shape {shape:?} is a view with strides {strides:?}: save it after `.contiguous()`"
    );
    Ok(Place {
        stored: Err(reason),
        ..place
    })
}

#[cfg(test)]
mod tests;
