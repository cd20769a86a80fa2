//! What stands for cards in a build without them: types without values.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::marker::PhantomData;
use std::sync::MutexGuard;

use crate::batch::{Arrival, Rows};
use crate::gpt_neox::GptNeox;
use crate::kernels::Matrix;
use crate::{CardFacts, Dtype, LmError};

pub(crate) struct Cards(Infallible);

impl Cards {
    pub(crate) fn all() -> Result<Self, String> {
        Self::one(0)
    }

    pub(crate) fn one(number: usize) -> Result<Self, String> {
        Err(format!(
            "this cpipe was built without cards: for cuda:{number} build it with \
             `cargo build --release --features cuda`, or use `--device cpu`"
        ))
    }

    pub(crate) fn take(&self) -> Slot<'_> {
        match self.0 {}
    }

    pub(crate) fn threads(&self) -> usize {
        match self.0 {}
    }
}

pub(crate) struct Slot<'a>(Infallible, PhantomData<&'a ()>);

impl Slot<'_> {
    pub(crate) fn number(&self) -> usize {
        match self.0 {}
    }

    pub(crate) fn compute(&self) -> MutexGuard<'_, ()> {
        match self.0 {}
    }
}

pub(crate) struct Loaded(Infallible);

impl Loaded {
    pub(crate) fn new(
        number: usize,
        _layers: &GptNeox,
        _output: &Matrix,
        _dtype: Dtype,
    ) -> Result<Self, LmError> {
        let cards = Cards::one(number).map_err(LmError::Device)?;
        match cards.0 {}
    }

    pub(crate) fn details(
        &self,
        _work: impl FnOnce() -> Result<(), LmError>,
    ) -> Result<BTreeMap<String, f64>, LmError> {
        match self.0 {}
    }

    pub(crate) fn facts(&self) -> CardFacts {
        match self.0 {}
    }

    pub(crate) fn tokens(&self) -> usize {
        match self.0 {}
    }

    pub(crate) fn submit(&self, _rows: &Rows) -> Result<Arrival, LmError> {
        match self.0 {}
    }
}
