//! What a pickle of a state dict is made of.

use crate::kernels::Stored;

/// How the elements of a storage are kept.
#[derive(Debug, PartialEq)]
pub(super) struct Element {
    /// As in `torch.FloatStorage`, without `Storage`.
    pub(super) name: &'static str,
    /// Bytes of one.
    pub(super) bytes: u64,
    /// As weights; none of what weights are not.
    pub(super) stored: Option<Stored>,
}

const fn element(name: &'static str, bytes: u64, stored: Option<Stored>) -> Element {
    Element {
        name,
        bytes,
        stored,
    }
}

/// The storages that state dicts have: weights, and buffers of integers and truth values.
const ELEMENTS: [Element; 10] = [
    element("Half", 2, Some(Stored::F16)),
    element("BFloat16", 2, Some(Stored::Bf16)),
    element("Float", 4, Some(Stored::F32)),
    element("Double", 8, None),
    element("Bool", 1, None),
    element("Byte", 1, None),
    element("Char", 1, None),
    element("Short", 2, None),
    element("Int", 4, None),
    element("Long", 8, None),
];

/// Everything that a pickle may name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(&'static Element),
}

impl Global {
    /// The one of this name, if there is one.
    pub(super) fn find(module: &str, name: &str) -> Option<Self> {
        match (module, name) {
            ("collections", "OrderedDict") => Some(Self::OrderedDict),
            ("torch._utils", "_rebuild_tensor_v2") => Some(Self::RebuildTensor),
            ("torch._utils", "_rebuild_parameter") => Some(Self::RebuildParameter),
            ("torch", storage) => {
                let kind = storage.strip_suffix("Storage")?;
                let element = ELEMENTS.iter().find(|element| element.name == kind)?;
                Some(Self::Storage(element))
            }
            _ => None,
        }
    }
}

/// A run of elements that tensors share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Storage<'p> {
    pub(super) element: &'static Element,
    /// Its record in the archive.
    pub(super) key: &'p str,
    /// Elements.
    pub(super) count: u64,
}

/// A view of a storage. All counts are of elements.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tensor<'p> {
    pub(super) storage: Storage<'p>,
    pub(super) offset: u64,
    pub(super) shape: Vec<u64>,
    /// One for each dimension.
    pub(super) strides: Vec<u64>,
}

impl Tensor<'_> {
    /// One past its last element in the storage; none if no storage can be that large.
    pub(super) fn end(&self) -> Option<u64> {
        if self.shape.contains(&0) {
            return Some(self.offset);
        }
        let mut last = self.offset;
        for (size, stride) in self.shape.iter().zip(&self.strides) {
            last = last.checked_add((size - 1).checked_mul(*stride)?)?;
        }
        last.checked_add(1)
    }

    /// Whether its elements lie one after the other, row by row.
    pub(super) fn is_contiguous(&self) -> bool {
        let mut expected = Some(1u64);
        let mut dimensions = self.shape.iter().zip(&self.strides).rev();
        self.shape.contains(&0)
            || dimensions.all(|(size, stride)| {
                let fits = *size == 1 || expected == Some(*stride);
                expected = expected.and_then(|n| n.checked_mul(*size));
                fits
            })
    }
}
