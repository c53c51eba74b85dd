//! Downloading one revision's files into the cache, with resume.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::thread;
use std::time::Duration;

use hf_hub::api::sync::{Api, ApiBuilder, ApiError, ApiRepo, Metadata};
use hf_hub::{Cache, Repo, RepoType};
use sha2::{Digest, Sha256};

use super::cache::is_plain;
use super::{HubOptions, ModelId, Progress};
use crate::error::{Error, Result};

/// How often a broken connection is taken up again, and the pause before it (times the number of the
/// attempt).
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(400);

/// A revision of a model on the hub.
pub(crate) struct Remote<'a> {
    options: &'a HubOptions,
    id: &'a ModelId,
    api: Api,
    repo: ApiRepo,
}

impl<'a> Remote<'a> {
    pub(crate) fn new(options: &'a HubOptions, id: &'a ModelId, revision: &str) -> Result<Self> {
        let builder = ApiBuilder::from_cache(Cache::new(options.cache.clone()))
            .with_endpoint(options.endpoint.clone())
            .with_token(options.token.clone())
            .with_user_agent("offshoot", env!("CARGO_PKG_VERSION"));
        let api = builder.build().map_err(|cause| Error::hub(&id.to_string(), cause.to_string()))?;
        let repo = api.repo(Repo::with_revision(id.repo.clone(), RepoType::Model, revision.to_owned()));
        Ok(Self { options, id, api, repo })
    }

    /// Downloads a file that must be there; gives the commit it is of.
    pub(crate) fn require(&self, file: &str, progress: &mut dyn Progress) -> Result<String> {
        let endpoint = &self.options.endpoint;
        self.get(file, progress)?.ok_or_else(|| {
            self.error(&format!(
                "no folder of that name, and {endpoint} has no {file} under it; \
                 check the spelling and the revision"
            ))
        })
    }

    /// Downloads a file, taking up an earlier attempt where it ended; none if the hub has no such file.
    pub(crate) fn get(&self, file: &str, progress: &mut dyn Progress) -> Result<Option<String>> {
        self.persistently(file, &mut || self.try_get(file, progress))
    }

    /// Whether the hub has a file, without downloading it; not if it does not say.
    pub(crate) fn has(&self, file: &str) -> bool {
        let ask = || Ok(self.api.metadata(&self.repo.url(file)).map(drop)?);
        matches!(self.persistently(file, &mut { ask }), Ok(Some(())))
    }

    /// Asks for a file until there is an answer; none if the hub has no such file.
    fn persistently<T>(&self, file: &str, ask: &mut dyn FnMut() -> Result<T, Failure>) -> Result<Option<T>> {
        let mut attempt = 1;
        loop {
            match ask() {
                Ok(answer) => return Ok(Some(answer)),
                Err(Failure::Hub(cause)) if status(&cause) == Some(404) => return Ok(None),
                Err(Failure::Hub(cause)) if attempt < ATTEMPTS && is_passing(&cause) => {
                    tracing::debug!("{file} of {}, attempt {attempt}: {cause}", self.id);
                    thread::sleep(PAUSE * attempt);
                    attempt += 1;
                }
                Err(failure) => return Err(self.error(&self.explain(file, &failure))),
            }
        }
    }

    fn try_get(&self, file: &str, progress: &mut dyn Progress) -> Result<String, Failure> {
        let found = self.api.metadata(&self.repo.url(file))?;
        // Both become parts of paths, and they come from the network.
        let etag = found.etag().strip_prefix("W/").unwrap_or(found.etag());
        if !is_plain(etag) || !is_plain(found.commit_hash()) {
            return Err(Failure::Answer("its etag or commit is not of letters and digits".into()));
        }
        let path = self.repo.download_with_progress(file, Bridge(progress))?;
        match damage(&path, &found).map_err(ApiError::from)? {
            None => Ok(found.commit_hash().to_owned()),
            Some(damage) => {
                discard(&path);
                Err(Failure::Answer(damage))
            }
        }
    }

    /// An error about this model.
    pub(crate) fn error(&self, reason: &str) -> Error {
        Error::hub(&self.id.to_string(), reason)
    }

    fn explain(&self, file: &str, failure: &Failure) -> String {
        let endpoint = &self.options.endpoint;
        match failure {
            Failure::Answer(what) => {
                format!("{file} from {endpoint}: {what}; try again, or another HF_ENDPOINT")
            }
            Failure::Hub(ApiError::LockAcquisition(path)) => {
                format!("another process is downloading {file}; wait for it, or remove {}", path.display())
            }
            Failure::Hub(ApiError::IoError(cause)) => {
                format!("{file} cannot be saved in {}: {cause}", self.options.cache.display())
            }
            Failure::Hub(cause) => match status(cause) {
                Some(code @ (401 | 403)) => format!(
                    "{endpoint} refuses {file} ({code}): there is no such model, or it needs a token; \
                     accept its terms on its page and set HF_TOKEN"
                ),
                _ => format!(
                    "{file} cannot be downloaded from {endpoint}: {cause}. Check the connection and run it \
                     again (it goes on where it stopped), set HF_ENDPOINT to a mirror, or name a folder with \
                     the model's files"
                ),
            },
        }
    }
}

/// Why a file did not come.
enum Failure {
    Hub(ApiError),
    /// It answered, but not what can be kept.
    Answer(String),
}

impl From<ApiError> for Failure {
    fn from(cause: ApiError) -> Self {
        Self::Hub(cause)
    }
}

fn status(cause: &ApiError) -> Option<u16> {
    match cause {
        ApiError::RequestError(cause) => match **cause {
            ureq::Error::StatusCode(code) => Some(code),
            _ => None,
        },
        _ => None,
    }
}

/// Whether trying again can help: a broken connection, or a server that is overloaded.
fn is_passing(cause: &ApiError) -> bool {
    match cause {
        ApiError::RequestError(_) => status(cause).is_none_or(|code| code == 429 || code >= 500),
        // A body that ends early arrives as an error of reading, not of the request.
        ApiError::IoError(cause) => !matches!(
            cause.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
        ),
        _ => false,
    }
}

/// What is wrong with a downloaded file: its size, or its sha256 where the hub names the blob by it.
fn damage(path: &Path, found: &Metadata) -> io::Result<Option<String>> {
    let size = fs::metadata(path)?.len();
    if size != found.size() as u64 {
        return Ok(Some(format!("{size} bytes came instead of {}", found.size())));
    }
    if found.etag().len() == 64 && sha256(path)? != found.etag() {
        return Ok(Some("the file that came has another sha256 than it should".into()));
    }
    Ok(None)
}

/// The sha256 of a file, in hexadecimal digits.
///
/// # Errors
/// If it cannot be read.
pub fn sha256(path: &Path) -> io::Result<String> {
    let mut file = fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => hash.update(&buffer[..count]),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Removes a damaged file and the blob that it links to, so that the next run starts over.
fn discard(path: &Path) {
    if let Ok(blob) = fs::canonicalize(path) {
        let _ = fs::remove_file(blob);
    }
    let _ = fs::remove_file(path);
}

/// Our progress in hf-hub's terms.
struct Bridge<'a>(&'a mut dyn Progress);

impl hf_hub::api::Progress for Bridge<'_> {
    fn init(&mut self, size: usize, file: &str) {
        self.0.start(file, size as u64);
    }

    fn update(&mut self, size: usize) {
        self.0.advance(size as u64);
    }

    fn finish(&mut self) {
        self.0.finish();
    }
}
