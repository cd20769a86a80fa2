use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::files::open_lock;
use super::write_atomically;
use crate::action::{Action, ActionKey};
use crate::error::EngineError;
use crate::manifest::Manifest;
use crate::places::Places;

/// How often a lock that another process holds is asked for.
const LOOK: Duration = Duration::from_millis(20);

/// Action key → manifest, as one readable JSON file each with the action beside it.
#[derive(Debug)]
pub struct ActionCache {
    folder: PathBuf,
    locks: PathBuf,
    places: Places,
}

/// Whether an action has a result.
#[derive(Debug)]
pub enum CacheStatus {
    /// It has.
    Hit(Manifest),
    /// It has none, and only the holder of this guard may make one.
    Miss(MissGuard),
}

/// The exclusive right to record an action's result.
///
/// Holds a lock that the kernel releases when the process ends, however it ends.
#[derive(Debug)]
pub struct MissGuard {
    action: Action,
    manifest_path: PathBuf,
    action_path: PathBuf,
    lock_path: PathBuf,
    lock: File,
    places: Places,
}

impl ActionCache {
    pub(super) fn new(folder: PathBuf, locks: PathBuf) -> Self {
        let places = Places::of_cache(folder.parent().unwrap_or(&folder));
        Self {
            folder,
            locks,
            places,
        }
    }

    /// Folder of all records.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self, key: ActionKey, suffix: &str) -> PathBuf {
        let hex = key.to_string();
        self.folder
            .join(&hex[..2])
            .join(format!("{}{suffix}", &hex[2..]))
    }

    /// The manifest of an action; a record that can't be understood is a miss.
    pub fn lookup(&self, key: ActionKey) -> Option<Manifest> {
        let text = std::fs::read(self.path(key, ".json")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// The action that was recorded under a key.
    pub fn action(&self, key: ActionKey) -> Option<Action> {
        let text = std::fs::read(self.path(key, ".action.json")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Waits for whoever runs this action now, then says whether there is a result.
    ///
    /// With `anew` an existing result does not count: the caller means to replace it. `wait` is
    /// asked again and again while another process has the lock; none comes back once it says no.
    pub fn begin(
        &self,
        action: &Action,
        anew: bool,
        wait: &dyn Fn() -> bool,
    ) -> Result<Option<CacheStatus>, EngineError> {
        let key = action.key();
        let lock_path = self.locks.join(key.to_string());
        let lock = acquire(&lock_path, wait).map_err(|e| EngineError::io("lock", &lock_path, e))?;
        let Some(lock) = lock else { return Ok(None) };
        let status = match self.lookup(key) {
            Some(manifest) if !anew => CacheStatus::Hit(manifest),
            _ => CacheStatus::Miss(MissGuard {
                action: action.clone(),
                manifest_path: self.path(key, ".json"),
                action_path: self.path(key, ".action.json"),
                lock_path,
                lock,
                places: self.places.clone(),
            }),
        };
        Ok(Some(status))
    }
}

/// Locks `path`, and again if its holder removed it in between; none once `wait` says no.
///
/// Asked for again and again instead of waited for, so that an interruption is seen.
fn acquire(path: &Path, wait: &dyn Fn() -> bool) -> std::io::Result<Option<File>> {
    loop {
        let file = open_lock(path)?;
        match file.try_lock() {
            Ok(()) if same_file(&file, path) => return Ok(Some(file)),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) if !wait() => return Ok(None),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK),
            Err(TryLockError::Error(e)) => return Err(e),
        }
    }
}

fn same_file(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(a), Ok(b)) => a.ino() == b.ino() && a.dev() == b.dev(),
        _ => false,
    }
}

impl MissGuard {
    /// The locked file.
    pub(crate) fn lock(&self) -> &File {
        &self.lock
    }

    /// Records the result, without absolute paths: the action first, the manifest last.
    pub fn record(self, manifest: &Manifest) -> Result<(), EngineError> {
        let action = serde_json::to_string_pretty(&self.action).expect("an action is plain data");
        write_atomically(&self.action_path, (action + "\n").as_bytes())?;
        let mut manifest = manifest.clone();
        manifest.execution.report = manifest.execution.report.shared(&self.places);
        let manifest = serde_json::to_string_pretty(&manifest).expect("a manifest is plain data");
        write_atomically(&self.manifest_path, (manifest + "\n").as_bytes())
    }
}

impl Drop for MissGuard {
    fn drop(&mut self) {
        // Lock files are worth nothing once unlocked; one left behind does no harm.
        let _ = std::fs::remove_file(&self.lock_path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Cache;
    use crate::manifest::Execution;
    use crate::stage::{Report, StageId};
    use std::collections::BTreeMap;

    fn action() -> Action {
        Action {
            stage: StageId {
                name: "t".into(),
                version: 1,
            },
            params: serde_json::json!({}),
            inputs: BTreeMap::new(),
            environment: BTreeMap::new(),
        }
    }

    fn manifest() -> Manifest {
        Manifest {
            outputs: BTreeMap::new(),
            execution: Execution {
                node: "t".into(),
                version: "0".into(),
                platform: "p".into(),
                finished: 0,
                seconds: 0.5,
                threads: 1,
                peak_memory: None,
                report: Report::default(),
            },
        }
    }

    fn begin(cache: &Cache) -> CacheStatus {
        let status = cache.actions.begin(&action(), false, &|| true);
        status.unwrap().unwrap()
    }

    #[test]
    fn only_a_guard_records_and_then_it_is_a_hit() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        let CacheStatus::Miss(guard) = begin(&cache) else {
            panic!("nothing was recorded");
        };
        assert!(cache.actions.lookup(action().key()).is_none());
        guard.record(&manifest()).unwrap();
        assert_eq!(cache.actions.lookup(action().key()), Some(manifest()));
        assert_eq!(cache.actions.action(action().key()), Some(action()));
        assert!(matches!(begin(&cache), CacheStatus::Hit(_)));
    }

    #[test]
    fn a_second_asker_waits_and_then_shares_the_result() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        let CacheStatus::Miss(guard) = begin(&cache) else {
            panic!("nothing was recorded");
        };
        std::thread::scope(|scope| {
            let second = scope.spawn(|| begin(&cache));
            std::thread::sleep(std::time::Duration::from_millis(50));
            assert!(!second.is_finished());
            let impatient = cache.actions.begin(&action(), false, &|| false).unwrap();
            assert!(impatient.is_none());
            guard.record(&manifest()).unwrap();
            assert!(matches!(second.join().unwrap(), CacheStatus::Hit(_)));
        });
    }

    #[test]
    fn a_torn_manifest_is_a_miss() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        let path = cache.actions.path(action().key(), ".json");
        write_atomically(&path, b"{\"outputs\": {").unwrap();
        assert!(cache.actions.lookup(action().key()).is_none());
    }
}
