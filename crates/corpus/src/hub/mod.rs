//! The Hugging Face Hub: revisions to commits, commits to files, through the user's own hub cache.
//!
//! The cache's layout, repository names and the saved token are those of the `hf-hub` crate; bytes
//! come through our own client, which resumes and checks them (docs/decisions).

mod api;
mod choose;
mod settings;
mod store;

use std::collections::BTreeMap;
use std::path::PathBuf;

use cpipe_engine::digest::{Algorithm, Pin};
use cpipe_engine::lock::LockedFile;
use cpipe_engine::spec::{HubSource, RepoKind};
use hf_hub::{CacheRepo, Repo, RepoType};

pub(crate) use settings::HubSettings;
pub use store::{hub_cache, hub_file, missing_bytes};

use crate::error::CorpusError;
use crate::http::Client;

/// What a revision was found to be.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) commit: String,
    pub(crate) files: BTreeMap<String, LockedFile>,
}

impl Resolved {
    /// Digest of the files' listing.
    pub(crate) fn pin(&self) -> Pin {
        let files = self.files.iter();
        let listing = files.map(|(name, file)| (name.clone(), file.sha256.clone()));
        Pin::of_files(Algorithm::Sha256, listing)
    }

    pub(crate) fn size(&self) -> u64 {
        self.files.values().map(|file| file.size).sum()
    }
}

/// A repository at some revision, and the means to reach it.
pub(crate) struct Hub<'h> {
    client: &'h Client<'h>,
    settings: &'h HubSettings,
    source: &'h HubSource,
    progress: &'h dyn Fn(u64, u64),
}

impl<'h> Hub<'h> {
    pub(crate) fn new(
        client: &'h Client<'h>,
        settings: &'h HubSettings,
        source: &'h HubSource,
        progress: &'h dyn Fn(u64, u64),
    ) -> Self {
        Self {
            client,
            settings,
            source,
            progress,
        }
    }

    fn repo(&self) -> CacheRepo {
        let kind = match self.source.kind {
            RepoKind::Model => RepoType::Model,
            RepoKind::Dataset => RepoType::Dataset,
        };
        let (name, revision) = (self.source.repo.clone(), self.source.revision.clone());
        self.settings
            .cache
            .repo(Repo::with_revision(name, kind, revision))
    }

    /// Finds the commit of the revision and the digests of the files that are wanted.
    pub(crate) fn resolve(&self) -> Result<Resolved, CorpusError> {
        let (commit, listed) = if self.settings.offline {
            self.known_offline()
        } else {
            self.ask()?
        };
        let chosen = choose::choose(self.source, &listed)?;
        let mut files = BTreeMap::new();
        for name in chosen {
            let known = &listed[&name];
            let file = match (&known.sha256, known.size) {
                (Some(sha256), Some(size)) => LockedFile {
                    size,
                    sha256: sha256.clone(),
                },
                _ => self.look_at(&commit, &name, known.size)?,
            };
            files.insert(name, file);
        }
        Ok(Resolved { commit, files })
    }

    /// Every file, in the user's hub cache.
    pub(crate) fn fetch(
        &self,
        commit: &str,
        files: &BTreeMap<String, LockedFile>,
    ) -> Result<BTreeMap<String, PathBuf>, CorpusError> {
        let wanted = files.iter();
        wanted
            .map(|(name, file)| Ok((name.clone(), self.fetch_file(commit, name, file)?)))
            .collect()
    }
}
