//! A file mapped into memory: the one place outside the kernels that needs `unsafe`.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::error::{Error, Result};

/// A file that is read where it lies. Its pages come in when touched and count as this process's memory until
/// released.
#[derive(Debug)]
pub(crate) struct Map {
    path: PathBuf,
    bytes: Mmap,
}

impl Map {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::io("read", path))?;
        // SAFETY: the mapping is private and read-only, so this process cannot change it. Another process
        // that cuts the file off while it is open ends this one with a bus error; that is the price of
        // mapping, and weight files are replaced by renaming, which leaves the mapped one whole.
        #[allow(unsafe_code)]
        let bytes = unsafe { Mmap::map(&file) }.map_err(Error::io("map", path))?;
        Ok(Self { path: path.to_path_buf(), bytes })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Gives the pages of a range back to the system; they are read from the file again if touched.
    pub(crate) fn release(&self, range: Range<usize>) {
        #[cfg(unix)]
        {
            use memmap2::UncheckedAdvice::DontNeed;
            // SAFETY: the pages of a read-only file mapping are clean, so what is read after this call is the
            // same.
            #[allow(unsafe_code)]
            let advised = unsafe { self.bytes.unchecked_advise_range(DontNeed, range.start, range.len()) };
            if let Err(cause) = advised {
                tracing::debug!("pages of {} stay in memory: {cause}", self.path.display());
            }
        }
        #[cfg(not(unix))]
        let _ = range;
    }
}

impl AsRef<[u8]> for Map {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
