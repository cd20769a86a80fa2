//! The models that this process used last.
//!
//! A checkpoint is scored on several modalities, maybe at the same time; it is loaded once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cpipe_engine::Digest;

use crate::place::Place;
use crate::{Dtype, LmError, Model};

/// Models that are kept at most, besides those in use.
const KEPT: usize = 2;

type Slot = Arc<Mutex<Option<Arc<Model>>>>;

/// Whose weights, where, in which number format and without what.
type Key = (Digest, Option<usize>, Dtype, BTreeSet<String>);

/// Latest use last.
static SLOTS: Mutex<Vec<(Key, Slot)>> = Mutex::new(Vec::new());

/// The model whose files have this digest, loaded now if it is not there.
///
/// Whoever asks for the same model while it is being loaded waits for it.
pub(crate) fn get(
    digest: Digest,
    files: &BTreeMap<String, PathBuf>,
    place: &Place,
    dtype: Dtype,
    ignore: &BTreeSet<String>,
) -> Result<Arc<Model>, LmError> {
    let slot = slot((digest, place.card(), dtype, ignore.clone()));
    let mut model = lock(&slot);
    if let Some(model) = &*model {
        return Ok(Arc::clone(model));
    }
    let loaded = Arc::new(Model::load_at(files, place, dtype, ignore)?);
    *model = Some(Arc::clone(&loaded));
    Ok(loaded)
}

fn slot(key: Key) -> Slot {
    let mut slots = lock(&SLOTS);
    let known = slots.iter().position(|(k, _)| *k == key);
    let entry = known.map_or_else(|| (key, Slot::default()), |at| slots.remove(at));
    let slot = Arc::clone(&entry.1);
    slots.push(entry);
    let surplus = slots.len().saturating_sub(KEPT);
    slots.drain(..surplus);
    slot
}

/// A slot stays usable after a panic: its value is set in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
