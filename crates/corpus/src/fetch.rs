//! Remote sources: finding out what one is, and bringing its files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cpipe_engine::digest::{Algorithm, Pin};
use cpipe_engine::lock::{Locked, Origin, today};
use cpipe_engine::spec::{Location, SourceEntry, Take, Unpack, UrlSource, without_query};
use cpipe_engine::tree::{self, Links, copy_file};
use cpipe_engine::{EngineError, InputFiles};

use crate::error::CorpusError;
use crate::http::{Client, HttpError, Patience, Proxies, Remote, Wanted, download};
use crate::hub::{Hub, HubSettings};
use crate::staging::Staging;
use crate::unpack;

/// Fetches remote sources.
///
/// Files from web servers wait in a folder of their own below `downloads`, checked and unpacked, until
/// a node takes them into the cache; what a broken attempt left there is gone on with.
pub struct Fetcher<'f> {
    client: Client<'f>,
    hub: HubSettings,
    downloads: PathBuf,
    progress: &'f dyn Fn(u64, u64),
}

/// A file on a web server as it arrived.
struct Served {
    place: usize,
    size: u64,
    digest: Option<Pin>,
}

impl<'f> Fetcher<'f> {
    /// A fetcher with the hub's settings from the environment.
    ///
    /// `progress` is told (bytes there, bytes in all, or 0 if nobody knows).
    pub fn new(
        downloads: PathBuf,
        cancelled: &'f (dyn Fn() -> bool + Sync),
        progress: &'f dyn Fn(u64, u64),
    ) -> Self {
        Self {
            client: Client::new(Patience::from_env(), Proxies::from_env(), cancelled),
            hub: HubSettings::from_env(),
            downloads,
            progress,
        }
    }

    /// Finds out what a remote source is now: what cpipe.lock will say.
    ///
    /// Of a repository only the small files are fetched for it; a file on a web server is fetched
    /// whole, since nobody else knows its digest, and waits for the node that takes it.
    pub fn resolve(&self, name: &str, entry: &SourceEntry) -> Result<Locked, CorpusError> {
        match &entry.location {
            Location::Hub(source) => {
                let hub = Hub::new(&self.client, &self.hub, source, self.progress);
                let resolved = hub.resolve()?;
                Ok(Locked {
                    source: name.to_owned(),
                    from: Origin::Hub(source.clone()),
                    digest: resolved.pin(),
                    served: None,
                    size: resolved.size(),
                    date: today(),
                    commit: Some(resolved.commit),
                    files: resolved.files,
                })
            }
            Location::Url(source) => self.resolve_url(name, source),
            Location::Path(path) => Err(CorpusError::io(
                path,
                std::io::ErrorKind::Unsupported.into(),
            )),
        }
    }

    fn resolve_url(&self, name: &str, source: &UrlSource) -> Result<Locked, CorpusError> {
        let staging = Staging::open(&self.downloads, source)?;
        staging.clear()?;
        let served = self.stage(source, source.digest.as_ref(), None, &staging)?;
        let url = without_query(&source.urls[served.place]).to_owned();
        Ok(Locked {
            source: name.to_owned(),
            from: Origin::Url {
                url,
                unpack: source.unpack,
                take: source.take,
            },
            commit: None,
            digest: listing_of(&staging.files, Algorithm::Blake3)?,
            served: served.digest.map(|pin| pin.to_string()),
            size: served.size,
            date: today(),
            files: BTreeMap::new(),
        })
    }

    /// Puts the files of a source whose digest is known into `target`.
    pub fn fetch(&self, entry: &SourceEntry, target: &Path) -> Result<(), CorpusError> {
        let pin = entry.pin.as_ref().ok_or(CorpusError::Unresolved)?;
        match &entry.location {
            Location::Url(source) => self.fetch_url(source, entry.locked.as_ref(), target)?,
            Location::Hub(source) => {
                let locked = entry.locked.as_ref().ok_or(CorpusError::Unresolved)?;
                let commit = locked.commit.as_deref().unwrap_or(&source.revision);
                let hub = Hub::new(&self.client, &self.hub, source, self.progress);
                for (name, path) in hub.fetch(commit, &locked.files)? {
                    copy(&path, &target.join(name))?;
                }
            }
            Location::Path(path) => copy(path, target)?,
        }
        let found = listing_of(target, pin.algorithm)?;
        if found == *pin {
            return Ok(());
        }
        Err(CorpusError::OtherContent {
            expected: pin.to_string(),
            found: found.to_string(),
        })
    }

    fn fetch_url(
        &self,
        source: &UrlSource,
        locked: Option<&Locked>,
        target: &Path,
    ) -> Result<(), CorpusError> {
        let staging = Staging::open(&self.downloads, source)?;
        if !staging.files.is_dir() {
            let served = locked.and_then(|l| l.served.as_ref()?.parse().ok());
            let digest = source.digest.clone().or(served);
            let size = locked.filter(|l| l.served.is_some()).map(|l| l.size);
            self.stage(source, digest.as_ref(), size, &staging)?;
        }
        let files = tree::walk(&staging.files, Links::OfCopy).map_err(engine)?;
        let files = InputFiles::folder(files);
        files.place(target).map_err(engine)?;
        staging.clear()
    }

    /// Downloads and unpacks, so that `staging.files` is there whole or not at all.
    fn stage(
        &self,
        source: &UrlSource,
        digest: Option<&Pin>,
        size: Option<u64>,
        staging: &Staging,
    ) -> Result<Served, CorpusError> {
        let fresh = staging.folder.join("files.new");
        empty_folder(&fresh)?;
        let served = match source.take {
            Some(take) => self.take(source, take, &fresh)?,
            None => self.whole(source, digest, size, &fresh, staging)?,
        };
        fs_err::rename(&fresh, &staging.files).map_err(|e| CorpusError::io(&staging.files, e))?;
        Ok(served)
    }

    fn whole(
        &self,
        source: &UrlSource,
        digest: Option<&Pin>,
        size: Option<u64>,
        fresh: &Path,
        staging: &Staging,
    ) -> Result<Served, CorpusError> {
        let archive = staging.folder.join("served");
        let wanted = Wanted {
            urls: &source.urls,
            token: None,
            size,
            limit: source.limit,
            digest,
            progress: self.progress,
        };
        let arrived = download(&self.client, &wanted, &archive)?;
        let name = source.file_name();
        let unpacked = match source.unpack {
            Unpack::None => {
                fs_err::rename(&archive, fresh.join(name)).map_err(|e| CorpusError::io(&archive, e))
            }
            kind => unpack::unpack_file(kind, name, &archive, fresh).map_err(CorpusError::from),
        };
        if source.unpack != Unpack::None {
            fs_err::remove_file(&archive).map_err(|e| CorpusError::io(&archive, e))?;
        }
        unpacked.map(|()| Served {
            place: arrived.place,
            size: arrived.size,
            digest: Some(arrived.digest),
        })
    }

    /// Streams an archive from the first place that works, and stops once enough is there.
    fn take(&self, source: &UrlSource, take: Take, fresh: &Path) -> Result<Served, CorpusError> {
        let mut errors = Vec::new();
        for (place, url) in source.urls.iter().enumerate() {
            match self.take_from(url, source, take, fresh) {
                Ok(size) => {
                    return Ok(Served {
                        place,
                        size,
                        digest: None,
                    });
                }
                Err(CorpusError::Http(error)) if error.is_of_the_place() => errors.push(error),
                Err(error) => return Err(error),
            }
            empty_folder(fresh)?;
        }
        Err(HttpError::of_places(errors).into())
    }

    /// The bytes that were read.
    fn take_from(
        &self,
        url: &str,
        source: &UrlSource,
        take: Take,
        fresh: &Path,
    ) -> Result<u64, CorpusError> {
        let mut remote = Remote::new(&self.client, url, None).limited(source.limit);
        remote.total()?;
        let name = source.file_name();
        let taken = unpack::take_beginning(source.unpack, take, name, &mut remote, fresh);
        self.client.check_cancelled()?;
        match remote.take_error() {
            Some(error) => Err(error.into()),
            None => Ok(taken.map(|()| remote.position())?),
        }
    }
}

pub(crate) fn remove_folder(folder: &Path) -> Result<(), CorpusError> {
    if folder.is_dir() {
        fs_err::remove_dir_all(folder).map_err(|e| CorpusError::io(folder, e))?;
    }
    Ok(())
}

fn empty_folder(folder: &Path) -> Result<(), CorpusError> {
    remove_folder(folder)?;
    fs_err::create_dir_all(folder).map_err(|e| CorpusError::io(folder, e))
}

fn copy(from: &Path, to: &Path) -> Result<(), CorpusError> {
    let parent = to.parent().unwrap_or(to);
    fs_err::create_dir_all(parent).map_err(|e| CorpusError::io(parent, e))?;
    copy_file(from, to, false).map_err(|e| CorpusError::io(to, e))
}

fn listing_of(folder: &Path, algorithm: Algorithm) -> Result<Pin, CorpusError> {
    let hash = |path: &Path| algorithm.hash_file(path);
    tree::pin(folder, Links::OfCopy, algorithm, hash).map_err(engine)
}

fn engine(error: EngineError) -> CorpusError {
    CorpusError::Engine(error.to_string())
}
