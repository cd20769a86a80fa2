use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cpipe_engine::digest::{Algorithm, Pin, sha256_file};
use cpipe_engine::lock::LockedFile;
use cpipe_engine::spec::{Location, SourceEntry};

use super::Hub;
use super::HubSettings;
use super::api::Listed;
use crate::error::CorpusError;
use crate::http::{Client, Patience, Proxies, Wanted, download};

impl Hub<'_> {
    fn pointer(&self, commit: &str, name: &str) -> PathBuf {
        self.repo().pointer_path(commit).join(name)
    }

    /// `models--owner--name` in the hub cache.
    fn folder(&self) -> PathBuf {
        // `FOLDER/snapshots/COMMIT`: the folder itself is not told.
        let snapshot = self.repo().pointer_path("COMMIT");
        let folder = snapshot.parent().and_then(Path::parent);
        folder.unwrap_or(&snapshot).to_owned()
    }

    /// What the user's hub cache knows of the revision.
    pub(super) fn known_offline(&self) -> (String, BTreeMap<String, Listed>) {
        let revision = &self.source.revision;
        let reference = self.folder().join("refs").join(revision);
        let commit = fs_err::read_to_string(reference);
        let commit = commit.map_or_else(|_| revision.clone(), |text| text.trim().to_owned());
        let snapshot = self.repo().pointer_path(&commit);
        let mut files = BTreeMap::new();
        // A folder that is not there has no files, which is told of when they are chosen.
        list_files(&snapshot, "", &mut files);
        (commit, files)
    }

    /// The digest of a file of which the hub tells none.
    pub(super) fn look_at(
        &self,
        commit: &str,
        name: &str,
        size: Option<u64>,
    ) -> Result<LockedFile, CorpusError> {
        let pointer = self.pointer(commit, name);
        if !pointer.is_file() {
            let hashed = Algorithm::Blake3.hash(format!("{commit}/{name}").as_bytes());
            let blobs = self.folder().join("blobs");
            let target = blobs.join(format!("{hashed}.new"));
            let _lock = self.lock(&hashed)?;
            let pin = self.bring(commit, name, size, None, &target)?;
            let blob = blobs.join(&pin.hex);
            fs_err::rename(&target, &blob).map_err(|e| CorpusError::io(&blob, e))?;
            self.point(commit, name, &pin.hex)?;
        }
        let failed = |e| CorpusError::io(&pointer, e);
        Ok(LockedFile {
            size: fs_err::metadata(&pointer).map_err(failed)?.len(),
            sha256: sha256_file(&pointer).map_err(failed)?,
        })
    }

    /// The path of a file in the hub cache, downloaded if it is not there whole.
    pub(super) fn fetch_file(
        &self,
        commit: &str,
        name: &str,
        file: &LockedFile,
    ) -> Result<PathBuf, CorpusError> {
        let pointer = self.pointer(commit, name);
        let blob = self.folder().join("blobs").join(&file.sha256);
        let _lock = self.lock(&file.sha256)?;
        if is_whole(&pointer, file) {
            return Ok(pointer);
        }
        if !is_whole(&blob, file) {
            let pin = Pin {
                algorithm: Algorithm::Sha256,
                hex: file.sha256.clone(),
            };
            self.bring(commit, name, Some(file.size), Some(&pin), &blob)?;
        }
        self.point(commit, name, &file.sha256)?;
        Ok(pointer)
    }

    fn bring(
        &self,
        commit: &str,
        name: &str,
        size: Option<u64>,
        digest: Option<&Pin>,
        target: &Path,
    ) -> Result<Pin, CorpusError> {
        let repo = &self.source.repo;
        if self.settings.offline {
            return Err(CorpusError::Hub {
                message: format!("`{name}` of `{repo}` at {commit} is not in the hub cache"),
                hint: "HF_HUB_OFFLINE is set: unset it to have the file downloaded".into(),
            });
        }
        let folder = target.parent().unwrap_or(target);
        fs_err::create_dir_all(folder).map_err(|e| CorpusError::io(folder, e))?;
        let wanted = Wanted {
            urls: &[self.file_url(commit, name)],
            token: self.settings.token.as_ref(),
            size,
            limit: None,
            digest,
            progress: self.progress,
        };
        let arrived = download(self.client, &wanted, target).map_err(|e| self.explain(e))?;
        Ok(arrived.digest)
    }

    /// Puts the file into the snapshot of the commit, and the revision to that commit.
    fn point(&self, commit: &str, name: &str, blob: &str) -> Result<(), CorpusError> {
        let pointer = self.pointer(commit, name);
        let folder = pointer.parent().unwrap_or(&pointer);
        fs_err::create_dir_all(folder).map_err(|e| CorpusError::io(folder, e))?;
        let up = "../".repeat(name.matches('/').count() + 2);
        // Made beside and renamed, so that the pointer is never missing once it was there.
        let beside = folder.join(format!(".{blob}.link"));
        let _ = std::fs::remove_file(&beside);
        let placed = std::os::unix::fs::symlink(format!("{up}blobs/{blob}"), &beside)
            .and_then(|()| std::fs::rename(&beside, &pointer))
            .and_then(|()| self.repo().create_ref(commit));
        placed.map_err(|e| CorpusError::io(&pointer, e))
    }

    /// Keeps other runs, and other nodes of this one, from fetching the same file meanwhile.
    fn lock(&self, blob: &str) -> Result<std::fs::File, CorpusError> {
        let folder = self.folder();
        let name = folder.file_name().unwrap_or_default();
        let locks = self.settings.cache.path().join(".locks").join(name);
        let path = locks.join(format!("{blob}.lock"));
        let open = || {
            std::fs::create_dir_all(&locks)?;
            let mut options = std::fs::File::options();
            let file = options
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)?;
            file.lock()?;
            Ok(file)
        };
        open().map_err(|e| CorpusError::io(&path, e))
    }
}

/// The folder of the user's hub cache.
pub fn hub_cache() -> PathBuf {
    HubSettings::from_env().cache.path().clone()
}

/// Bytes of a locked repository's files that are not in the user's hub cache, by their sizes.
pub fn missing_bytes(entry: &SourceEntry) -> u64 {
    let files = entry.locked.iter().flat_map(|locked| &locked.files);
    let missing = files.filter(|(name, _)| hub_file(entry, name).is_none());
    missing.map(|(_, file)| file.size).sum()
}

/// A file of a locked repository in the user's hub cache, if it is there with its size.
pub fn hub_file(entry: &SourceEntry, name: &str) -> Option<PathBuf> {
    let (Location::Hub(source), Some(locked)) = (&entry.location, &entry.locked) else {
        return None;
    };
    let file = locked.files.get(name)?;
    let settings = HubSettings::from_env();
    let client = Client::new(Patience::default(), Proxies::default(), &|| false);
    let hub = Hub::new(&client, &settings, source, &|_, _| {});
    let commit = locked.commit.as_deref().unwrap_or(&source.revision);
    let blob = hub.folder().join("blobs").join(&file.sha256);
    let has_size = |path: &PathBuf| std::fs::metadata(path).is_ok_and(|m| m.len() == file.size);
    [hub.pointer(commit, name), blob].into_iter().find(has_size)
}

fn is_whole(path: &Path, file: &LockedFile) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.len() == file.size)
        && sha256_file(path).is_ok_and(|hex| hex == file.sha256)
}

fn list_files(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Listed>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            list_files(&entry.path(), &format!("{name}/"), files);
        } else if entry.path().is_file() {
            files.insert(name, Listed::default());
        }
    }
}
