use std::fs::File;
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

use cpipe_engine::digest::{Algorithm, Hasher, Pin};
use cpipe_engine::spec::without_query;

use super::client::{Client, Token};
use super::error::HttpError;
use super::remote::Remote;

const BLOCK: usize = 1 << 16;

/// A file that is wanted, and all that is known of it.
pub(crate) struct Wanted<'w> {
    /// Where it can be had, in the order in which they are tried.
    pub(crate) urls: &'w [String],
    pub(crate) token: Option<&'w Token>,
    /// Bytes that it has.
    pub(crate) size: Option<u64>,
    /// The most bytes that it may have.
    pub(crate) limit: Option<u64>,
    /// The digest that it has.
    pub(crate) digest: Option<&'w Pin>,
    /// Told (bytes there, bytes in all).
    pub(crate) progress: &'w dyn Fn(u64, u64),
}

/// A file that has arrived and was checked.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) digest: Pin,
    pub(crate) size: u64,
    /// Place in the list of URLs that it came from.
    pub(crate) place: usize,
}

/// Brings a file to `target`, which appears whole or not at all.
///
/// What has arrived so far lies in `TARGET.part`, so that the next attempt, also of a later run,
/// fetches only the rest.
pub(crate) fn download(
    client: &Client<'_>,
    wanted: &Wanted<'_>,
    target: &Path,
) -> Result<Arrived, HttpError> {
    let mut errors = Vec::new();
    for (place, url) in wanted.urls.iter().enumerate() {
        match from_place(client, wanted, url, target) {
            Ok((digest, size)) => {
                return Ok(Arrived {
                    digest,
                    size,
                    place,
                });
            }
            Err(error) if error.is_of_the_place() => errors.push(error),
            Err(error) => return Err(error),
        }
    }
    Err(HttpError::of_places(errors))
}

/// A file that turns out to be another one than before is fetched anew, once.
fn from_place(
    client: &Client<'_>,
    wanted: &Wanted<'_>,
    url: &str,
    target: &Path,
) -> Result<(Pin, u64), HttpError> {
    let part = Part::open(target, wanted)?;
    let resumed = part.size > 0;
    match part.fill(client, wanted, url) {
        Err(HttpError::Changed { .. } | HttpError::Digest { .. } | HttpError::Length { .. })
            if resumed =>
        {
            Part::open(target, wanted)?.fill(client, wanted, url)
        }
        other => other,
    }
}

/// What of a file has arrived.
struct Part {
    target: PathBuf,
    path: PathBuf,
    /// Names the version of the file that these bytes are of.
    validator_path: PathBuf,
    file: File,
    hasher: Hasher,
    size: u64,
}

impl Part {
    fn open(target: &Path, wanted: &Wanted<'_>) -> Result<Self, HttpError> {
        let beside = |suffix: &str| {
            let mut name = target.file_name().unwrap_or_default().to_owned();
            name.push(suffix);
            target.with_file_name(name)
        };
        let path = beside(".part");
        let algorithm = wanted.digest.map_or(Algorithm::Sha256, |pin| pin.algorithm);
        let mut hasher = Hasher::new(algorithm);
        let mut open = || {
            let mut options = File::options();
            let mut file = options
                .create(true)
                .truncate(false)
                .read(true)
                .write(true)
                .open(&path)?;
            let size = hash_rest(&mut file, &mut hasher)?;
            Ok((file, size))
        };
        let (file, size) = open().map_err(|e| HttpError::io(&path, e))?;
        Ok(Self {
            target: target.to_owned(),
            validator_path: beside(".part.version"),
            path,
            file,
            hasher,
            size,
        })
    }

    fn fill(
        mut self,
        client: &Client<'_>,
        wanted: &Wanted<'_>,
        url: &str,
    ) -> Result<(Pin, u64), HttpError> {
        let received = self.receive(client, wanted, url);
        let outcome = received.and_then(|()| self.digest(wanted, url));
        if outcome.as_ref().is_err_and(is_about_content) {
            self.discard();
        }
        self.finish(outcome?)
    }

    fn receive(
        &mut self,
        client: &Client<'_>,
        wanted: &Wanted<'_>,
        url: &str,
    ) -> Result<(), HttpError> {
        let trusted = wanted.digest.is_some();
        let version = fs_err::read_to_string(&self.validator_path).ok();
        let version = version.filter(|v| !v.is_empty());
        if self.size > 0 && !trusted && version.is_none() {
            self.restart()?;
        }
        let remote = Remote::new(client, url, wanted.token).limited(wanted.limit);
        let mut remote = remote.resume(self.size, version, trusted);
        let total = remote.total()?;
        check_total(url, wanted, total)?;
        let version = remote.validator().unwrap_or_default();
        fs_err::write(&self.validator_path, version)
            .map_err(|e| HttpError::io(&self.validator_path, e))?;
        self.copy(&mut remote, wanted, total)?;
        check_total(url, wanted, Some(self.size))
    }

    fn copy(
        &mut self,
        remote: &mut Remote<'_>,
        wanted: &Wanted<'_>,
        total: Option<u64>,
    ) -> Result<(), HttpError> {
        let mut block = vec![0; BLOCK];
        loop {
            let count = match remote.read(&mut block) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(e) => {
                    let error = remote.take_error();
                    return Err(error.unwrap_or_else(|| HttpError::io(&self.path, e)));
                }
            };
            let written = self.file.write_all(&block[..count]);
            written.map_err(|e| HttpError::io(&self.path, e))?;
            self.hasher.update(&block[..count]);
            self.size += count as u64;
            (wanted.progress)(self.size, total.unwrap_or(0));
        }
    }

    fn digest(&mut self, wanted: &Wanted<'_>, url: &str) -> Result<Pin, HttpError> {
        let fresh = Hasher::new(self.hasher.algorithm());
        let found = std::mem::replace(&mut self.hasher, fresh).finish();
        match wanted.digest {
            Some(expected) if *expected != found => Err(HttpError::Digest {
                url: without_query(url).to_owned(),
                expected: expected.to_string(),
                found: found.to_string(),
            }),
            _ => Ok(found),
        }
    }

    fn restart(&mut self) -> Result<(), HttpError> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.rewind());
        emptied.map_err(|e| HttpError::io(&self.path, e))?;
        (self.hasher, self.size) = (Hasher::new(self.hasher.algorithm()), 0);
        Ok(())
    }

    fn discard(&self) {
        // What can't be removed is found wrong again by its digest or its version.
        let _ = std::fs::remove_file(&self.path);
        let _ = std::fs::remove_file(&self.validator_path);
    }

    fn finish(self, digest: Pin) -> Result<(Pin, u64), HttpError> {
        let sealed = self.file.sync_data();
        let sealed = sealed.and_then(|()| std::fs::rename(&self.path, &self.target));
        sealed.map_err(|e| HttpError::io(&self.target, e))?;
        // A version file that stays behind belongs to nothing and is overwritten.
        let _ = std::fs::remove_file(&self.validator_path);
        Ok((digest, self.size))
    }
}

/// Whether what has arrived is wrong, rather than incomplete.
fn is_about_content(error: &HttpError) -> bool {
    matches!(
        error,
        HttpError::Changed { .. }
            | HttpError::Digest { .. }
            | HttpError::Length { .. }
            | HttpError::TooLarge { .. }
            | HttpError::Answer { .. }
    )
}

/// Hashes what is there; the position is at its end then.
fn hash_rest(file: &mut File, hasher: &mut Hasher) -> std::io::Result<u64> {
    let length = file.metadata()?.len();
    let mut reader = file.take(length);
    let mut block = vec![0; BLOCK];
    let mut size = 0;
    loop {
        match reader.read(&mut block) {
            Ok(0) => return Ok(size),
            Ok(count) => {
                hasher.update(&block[..count]);
                size += count as u64;
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

fn check_total(url: &str, wanted: &Wanted<'_>, total: Option<u64>) -> Result<(), HttpError> {
    let Some(found) = total else { return Ok(()) };
    let url = || without_query(url).to_owned();
    if let Some(expected) = wanted.size.filter(|size| *size != found) {
        let url = url();
        return Err(HttpError::Length {
            url,
            expected,
            found,
        });
    }
    match wanted.limit.filter(|limit| found > *limit) {
        Some(limit) => Err(HttpError::TooLarge { url: url(), limit }),
        None => Ok(()),
    }
}
