//! Writing files so that a reader sees the old file or the whole new one, never a part.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A file that could not be written: which, why, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path}: {reason}", path = path.display())]
pub struct Error {
    /// The file that was asked for.
    pub path: PathBuf,
    /// What stands in the way, and the way out.
    pub reason: String,
}

/// Writes `path` through a temporary file beside it, which is flushed, synced and then renamed; an existing
/// file is replaced. The file gets the permissions that any new file gets (the umask's).
///
/// # Errors
/// A missing folder, one that cannot be written to, a `path` that is not an ordinary file, a full disk, or
/// what `write` returns. The old file is then as it was, and the temporary file is gone.
pub fn atomic_write(
    path: &Path,
    write: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>,
) -> Result<(), Error> {
    let folder = check(path)?;
    let named = |error: io::Error| Error { path: path.to_owned(), reason: hint(&error, folder) };
    let temporary = Temporary(beside(path, folder));
    let file = OpenOptions::new().write(true).create_new(true).open(&temporary.0).map_err(named)?;
    fill(file, write).map_err(named)?;
    fs::rename(&temporary.0, path).map_err(named)?;
    // The name is a part of the folder: without this a power cut may undo the rename. Some file systems
    // cannot sync a folder, and the file itself is safe by now.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

/// Removes what a writer that was killed left in a folder: hidden files and folders with a temporary name. Nobody
/// may be writing there.
///
/// # Errors
/// If something cannot be removed; a folder that is not there is empty.
pub fn sweep(folder: &Path) -> io::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if !(name.as_encoded_bytes().starts_with(b".") && name.as_encoded_bytes().ends_with(b".tmp")) {
            continue;
        }
        match entry.file_type()?.is_dir() {
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

/// The folder of a path that can take an ordinary file.
fn check(path: &Path) -> Result<&Path, Error> {
    let refuse = |reason: String| Err(Error { path: path.to_owned(), reason });
    let folder = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return refuse("it names no file".into()),
    };
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => refuse("there is a folder of that name; name a file in it".into()),
        Ok(found) if !found.is_file() => refuse("it is not an ordinary file; choose another name".into()),
        _ if !folder.exists() => refuse(format!("there is no folder {}; make it first", folder.display())),
        _ => Ok(folder),
    }
}

/// A name beside `path` that no other writer uses, in this process or another.
fn beside(path: &Path, folder: &Path) -> PathBuf {
    static WRITES: AtomicU32 = AtomicU32::new(0);
    let write = WRITES.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Cut: with the additions, a name that is just short enough would be too long.
    let name: String = name.chars().take(40).collect();
    folder.join(format!(".{name}.{}.{write}.tmp", std::process::id()))
}

fn fill(file: File, write: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>) -> io::Result<()> {
    let mut writer = BufWriter::new(file);
    write(&mut writer)?;
    writer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

fn hint(error: &io::Error, folder: &Path) -> String {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            format!("{error}; the folder {} must be writable, or choose another", folder.display())
        }
        io::ErrorKind::StorageFull => format!("{error}; make room or choose another folder"),
        io::ErrorKind::NotADirectory => format!("{} is not a folder", folder.display()),
        _ => error.to_string(),
    }
}

/// The temporary file, removed when it is not needed; after the rename there is nothing to remove.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.txt");
        for text in ["first", "second"] {
            atomic_write(&path, |writer| writer.write_all(text.as_bytes())).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(names(folder.path()), ["out.txt"]);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.txt");
        fs::write(&path, "old").unwrap();
        let error = atomic_write(&path, |writer| {
            writer.write_all(b"half")?;
            Err(io::Error::other("no more"))
        });
        assert!(error.unwrap_err().to_string().ends_with("out.txt: no more"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(folder.path()), ["out.txt"]);
    }

    #[test]
    fn what_killed_writers_left_is_swept_away() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".a.1.0.tmp", "kept.tmp", ".kept"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        fs::create_dir(folder.path().join(".saving.1.0.tmp")).unwrap();
        fs::write(folder.path().join(".saving.1.0.tmp/half"), "").unwrap();
        sweep(folder.path()).unwrap();
        let mut left = names(folder.path());
        left.sort();
        assert_eq!(left, [".kept", "kept.tmp"]);
        sweep(&folder.path().join("none")).unwrap();
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = atomic_write(&folder.path().join("no/out.txt"), |_| Ok(())).unwrap_err().to_string();
        assert!(error.contains("there is no folder") && error.contains("make it first"), "{error}");
    }

    #[test]
    fn a_folder_in_the_place_of_the_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = atomic_write(folder.path(), |_| Ok(())).unwrap_err().to_string();
        assert!(error.contains("folder of that name"), "{error}");
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(atomic_write(&file.join("out"), |_| Ok(())).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn the_permissions_are_those_of_any_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (ours, plain) = (folder.path().join("ours"), folder.path().join("plain"));
        atomic_write(&ours, |_| Ok(())).unwrap();
        fs::write(&plain, "").unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(ours), mode(plain));
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_not_replaced() {
        assert!(atomic_write(Path::new("/dev/null"), |_| Ok(())).unwrap_err().reason.contains("ordinary"));
    }

    #[test]
    fn a_refused_folder_says_what_must_be_writable() {
        let error = io::Error::from(io::ErrorKind::PermissionDenied);
        assert!(hint(&error, Path::new("results")).contains("the folder results must be writable"));
    }
}
