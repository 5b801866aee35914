//! Files and folders that appear whole or not at all: written beside their place under a temporary name,
//! flushed to disk, then renamed.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::FileError;

/// Writes a file through `write`, replacing the one that is there. A reader sees the old file or the new one.
///
/// # Errors
/// [`FileError`] where anything fails; the old file, if any, is then untouched and no temporary file stays.
///
/// ```
/// use std::io::Write;
/// let folder = tempfile::tempdir().unwrap();
/// let path = folder.path().join("labels.txt");
/// derm_core::atomic::write_file(&path, |file| file.write_all(b"nv\nmel\n")).unwrap();
/// assert_eq!(std::fs::read(&path).unwrap(), b"nv\nmel\n");
/// ```
pub fn write_file(
    path: impl AsRef<Path>,
    write: impl FnOnce(&mut BufWriter<&mut File>) -> io::Result<()>,
) -> Result<(), FileError> {
    let path = path.as_ref();
    let attempt = || -> io::Result<()> {
        let folder = parent(path);
        fs::create_dir_all(folder)?;
        let mut file = tempfile::Builder::new().prefix(".tmp-").tempfile_in(folder)?;
        let mut buffer = BufWriter::new(file.as_file_mut());
        write(&mut buffer)?;
        buffer.flush()?;
        drop(buffer);
        set_readable(file.as_file())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        sync_folder(folder)
    };
    attempt().map_err(FileError::at(path, "write"))
}

/// A folder that is filled under a temporary name and appears at its place when it is committed. Dropped
/// before that, it leaves nothing behind.
///
/// ```
/// use derm_core::atomic::Folder;
/// let place = tempfile::tempdir().unwrap();
/// let target = place.path().join("bundle");
/// let folder = Folder::new(&target).unwrap();
/// std::fs::write(folder.path().join("config.json"), "{}").unwrap();
/// assert!(!target.exists());
/// folder.commit().unwrap();
/// assert!(target.join("config.json").exists());
/// ```
#[derive(Debug)]
pub struct Folder {
    temporary: tempfile::TempDir,
    target: PathBuf,
}

impl Folder {
    /// A temporary folder beside `target`, which must not exist.
    ///
    /// # Errors
    /// [`FileError`] where `target` exists already or the temporary folder cannot be made.
    pub fn new(target: impl AsRef<Path>) -> Result<Self, FileError> {
        let target = target.as_ref().to_owned();
        if target.exists() {
            let exists = io::Error::new(io::ErrorKind::AlreadyExists, "it exists already");
            return Err(FileError::new(target, "create", exists));
        }
        let make = || -> io::Result<tempfile::TempDir> {
            fs::create_dir_all(parent(&target))?;
            tempfile::Builder::new().prefix(".tmp-").tempdir_in(parent(&target))
        };
        let temporary = make().map_err(FileError::at(&target, "create"))?;
        Ok(Self { temporary, target })
    }

    /// Where to write the contents.
    pub fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// Flushes every file and renames the folder to its place.
    ///
    /// # Errors
    /// [`FileError`] where that fails; nothing is left behind.
    pub fn commit(self) -> Result<PathBuf, FileError> {
        let attempt = || -> io::Result<()> {
            sync_tree(self.temporary.path())?;
            set_searchable(self.temporary.path())?;
            fs::rename(self.temporary.path(), &self.target)?;
            sync_folder(parent(&self.target))
        };
        attempt().map_err(FileError::at(&self.target, "create"))?;
        // The temporary name is gone, so there is nothing for the guard to remove.
        let _ = self.temporary.keep();
        Ok(self.target)
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn sync_tree(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_tree(&path)?;
        } else {
            File::open(&path)?.sync_all()?;
        }
    }
    sync_folder(folder)
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

// Temporary files are made for their owner alone; results are as readable as any other file.
#[cfg(unix)]
fn set_readable(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn set_readable(_file: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn set_searchable(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn set_searchable(_folder: &Path) -> io::Result<()> {
    Ok(())
}
