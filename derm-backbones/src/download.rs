//! Published weights over HTTPS into a folder of the caller's: resumed where a connection broke, verified, and at
//! their place whole or not at all.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use derm_core::FileError;
use ureq::http::header::{CONTENT_RANGE, ETAG, IF_RANGE, LAST_MODIFIED, RANGE};
use ureq::http::{HeaderMap, Response, StatusCode, Uri};
use ureq::{Agent, Body};

use crate::registry::verify;
use crate::{Error, KnownWeights, WeightsSource};

/// How long a connection, an answer or the next bytes may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Bytes between two reports of progress.
const PIECE: usize = 1 << 18;

/// A file to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteFile {
    /// Its address: `https`, or `http` on this machine.
    pub url: String,
    /// What it is called in the folder.
    pub file_name: String,
    /// Its SHA-256 in lower-case hexadecimal, or the first digits of it, where known.
    pub sha256: Option<String>,
}

impl From<&KnownWeights> for RemoteFile {
    /// The file is called as the weights are, with the extension of its source.
    fn from(weights: &KnownWeights) -> Self {
        let source = match &weights.source {
            WeightsSource::Url { url } => url,
            WeightsSource::Hub { file, .. } => file,
        };
        let extension = Path::new(source).extension().and_then(|extension| extension.to_str());
        let file_name = format!("{}.{}", weights.name, extension.unwrap_or("bin"));
        Self { url: weights.source.url(), file_name, sha256: weights.digest().map(str::to_owned) }
    }
}

/// How far a download is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are there, those of earlier attempts included.
    pub received: u64,
    /// Bytes of the whole file, where the server says it.
    pub total: Option<u64>,
}

/// Fetches known weights into `folder`; gives the file's path, which [`weights::load`](crate::weights::load) takes.
///
/// # Errors
/// [`Error::Gated`] for weights whose publisher asks for consent first, otherwise as [`fetch`].
pub fn fetch_weights(
    weights: &KnownWeights,
    folder: impl AsRef<Path>,
    progress: impl FnMut(Progress),
) -> Result<PathBuf, Error> {
    if weights.gated {
        return Err(Error::Gated { name: weights.name.clone(), url: weights.source.url() });
    }
    fetch(&RemoteFile::from(weights), folder, progress)
}

/// Fetches a file into `folder`, which is created where it is missing, and gives its path.
///
/// A file that is there already is taken if it has the SHA-256 that is known, and fetched anew if not; where none is
/// known it is taken as it is. Bytes arrive in `NAME.part`; after a broken connection the next call goes on there, if
/// the server confirms that the file is the same (`If-Range` with its tag), and starts again otherwise. The file is
/// renamed to its place when its length and its SHA-256 are right. Two processes do not fetch one file at once.
///
/// ```no_run
/// use derm_backbones::{download, known_weights};
///
/// let weights = known_weights("resnet18.tv_imagenet1k_v1").ok_or("unknown")?;
/// let path = download::fetch_weights(weights, "weights", |progress| {
///     eprintln!("{} of {:?} bytes", progress.received, progress.total);
/// })?;
/// # let _ = path;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Url`] for an address or a file name that is refused, [`Error::Http`] for an answer without the file,
/// [`Error::Transfer`] for a connection that fails or breaks (the part stays), [`Error::Digest`] for another file than
/// the known one (the part is removed), [`Error::File`].
pub fn fetch(
    file: &RemoteFile,
    folder: impl AsRef<Path>,
    mut progress: impl FnMut(Progress),
) -> Result<PathBuf, Error> {
    let agent = agent(&file.url)?;
    let folder = folder.as_ref();
    if Path::new(&file.file_name).file_name() != Some(file.file_name.as_ref()) {
        return Err(refused(&file.url, format!("`{}` is no file name", file.file_name)));
    }
    let path = folder.join(&file.file_name);
    let digest = file.sha256.as_deref().unwrap_or_default();
    if path.is_file() {
        match verify(&path, digest) {
            Err(Error::Digest { .. }) => {}
            other => return other.map(|()| path),
        }
    }
    std::fs::create_dir_all(folder).map_err(FileError::at(folder, "create"))?;
    let mut part = Part::open(folder.join(format!("{}.part", file.file_name)))?;
    part.fill(&agent, &file.url, &mut progress)?;
    if let Err(error) = verify(&part.path, digest) {
        part.remove()?;
        return Err(error);
    }
    part.finish(&path)?;
    Ok(path)
}

fn refused(url: &str, reason: impl Into<String>) -> Error {
    Error::Url { url: url.to_owned(), reason: reason.into() }
}

/// A client for this address: HTTPS from the first request to the last redirect, or this machine and nothing else.
fn agent(url: &str) -> Result<Agent, Error> {
    let uri: Uri = url.parse().map_err(|_| refused(url, "it is no address"))?;
    let local = matches!(uri.host(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .timeout_per_read(Some(PATIENCE));
    let config = match uri.scheme_str() {
        Some("https") => config.https_only(true),
        Some("http") if local => config.max_redirects(0).proxy(None),
        _ => return Err(refused(url, "expected https, or http on this machine")),
    };
    Ok(config.build().new_agent())
}

/// The file that is being received, and beside it the tag under which the server knows it.
struct Part {
    path: PathBuf,
    tag_path: PathBuf,
    file: File,
}

impl Part {
    fn open(path: PathBuf) -> Result<Self, Error> {
        let tag_path = path.with_added_extension("tag");
        let open = || -> io::Result<File> {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
            match file.try_lock() {
                Ok(()) => Ok(file),
                Err(TryLockError::Error(error)) => Err(error),
                Err(TryLockError::WouldBlock) => {
                    Err(io::Error::new(io::ErrorKind::WouldBlock, "it is being downloaded already"))
                }
            }
        };
        let file = open().map_err(FileError::at(&path, "write"))?;
        Ok(Self { path, tag_path, file })
    }

    /// Receives what is missing.
    fn fill(&mut self, agent: &Agent, url: &str, progress: &mut impl FnMut(Progress)) -> Result<(), Error> {
        let have = self.file.seek(SeekFrom::End(0)).map_err(FileError::at(&self.path, "read"))?;
        let tag = std::fs::read_to_string(&self.tag_path).ok().filter(|_| have > 0);
        let mut response = request(agent, url, tag.as_deref().map(|tag| (have, tag)))?;
        if tag.is_some() && response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            // the part is no beginning of what is there now
            response = request(agent, url, None)?;
        }
        let (start, total) = match response.status() {
            StatusCode::OK => (0, response.body().content_length()),
            StatusCode::PARTIAL_CONTENT if tag.is_some() => match content_range(response.headers()) {
                Some((start, total)) if start == have => (start, total),
                _ => return Err(transfer(url, have, "the server sent another part than asked for")),
            },
            status => return Err(Error::Http { url: url.to_owned(), status: status.as_u16() }),
        };
        self.start_at(start, validator(response.headers())).map_err(FileError::at(&self.path, "write"))?;
        let mut received = start;
        progress(Progress { received, total });
        let mut reader = response.into_body().into_reader();
        let mut piece = vec![0; PIECE];
        loop {
            let count = match reader.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(transfer(url, received, error.to_string())),
            };
            self.file.write_all(&piece[..count]).map_err(FileError::at(&self.path, "write"))?;
            received += count as u64;
            progress(Progress { received, total });
        }
        match total {
            Some(total) if total != received => {
                Err(transfer(url, received, format!("the connection ended before {total} bytes")))
            }
            _ => Ok(self.file.sync_all().map_err(FileError::at(&self.path, "write"))?),
        }
    }

    /// Keeps the first `start` bytes, and the tag that a later attempt shows.
    fn start_at(&mut self, start: u64, tag: Option<String>) -> io::Result<()> {
        if start == 0 {
            // without a tag, what follows could not be resumed
            remove(&self.tag_path)?;
            self.file.set_len(0)?;
            if let Some(tag) = tag {
                std::fs::write(&self.tag_path, tag)?;
            }
        }
        self.file.seek(SeekFrom::Start(start)).map(drop)
    }

    fn remove(self) -> Result<(), Error> {
        remove(&self.tag_path).map_err(FileError::at(&self.tag_path, "remove"))?;
        remove(&self.path).map_err(FileError::at(&self.path, "remove"))?;
        Ok(())
    }

    fn finish(self, path: &Path) -> Result<(), Error> {
        std::fs::rename(&self.path, path).map_err(FileError::at(path, "create"))?;
        remove(&self.tag_path).map_err(FileError::at(&self.tag_path, "remove"))?;
        Ok(())
    }
}

/// Removes a file that may not be there.
fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Asks for the file, or for what follows the first bytes of it if it still has that tag.
fn request(agent: &Agent, url: &str, from: Option<(u64, &str)>) -> Result<Response<Body>, Error> {
    let mut request = agent.get(url);
    if let Some((have, tag)) = from {
        request = request.header(RANGE, format!("bytes={have}-")).header(IF_RANGE, tag);
    }
    request.call().map_err(|error| transfer(url, from.map_or(0, |(have, _)| have), error.to_string()))
}

fn transfer(url: &str, received: u64, reason: impl Into<String>) -> Error {
    Error::Transfer { url: url.to_owned(), received, reason: reason.into() }
}

/// What identifies this version of the file: a strong tag, or the time of its last change.
fn validator(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    text(ETAG).filter(|tag| !tag.starts_with("W/")).or_else(|| text(LAST_MODIFIED))
}

/// The first byte and the length of the whole in `bytes 100-199/200`.
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?;
    let (range, total) = text.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.trim().parse().ok()?, total.trim().parse().ok()))
}
