//! Where outputs are kept: in memory, then in a file that has no name.

use super::Limits;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Outputs by the row's tokens and the level that they are from.
#[derive(Default)]
pub(super) struct Store {
    held: BTreeMap<Vec<u32>, BTreeMap<usize, Place>>,
    memory: u64,
    file: Option<Spill>,
    /// What the run at hand reads; the rest may go.
    wanted: BTreeSet<usize>,
    /// Why the file is not used any more.
    pub(super) problem: Option<String>,
}

enum Place {
    Memory(Box<[f32]>),
    File(Extent),
}

impl Store {
    /// Says what a run will read.
    pub(super) fn want(&mut self, levels: impl IntoIterator<Item = usize>) {
        self.wanted = levels.into_iter().collect();
    }

    /// Bytes in memory and in the file.
    pub(super) fn bytes(&self) -> (u64, u64) {
        (self.memory, self.file.as_ref().map_or(0, |file| file.len))
    }

    fn used(&self) -> u64 {
        let (memory, file) = self.bytes();
        memory + file
    }

    /// A row's output, if it is held and undamaged.
    pub(super) fn get(&mut self, row: &[u32], level: usize) -> Option<Vec<f32>> {
        match self.held.get(row)?.get(&level)? {
            Place::Memory(values) => return Some(values.to_vec()),
            Place::File(extent) => match self.file.as_mut()?.read(extent) {
                Ok(values) => return Some(values),
                Err(error) => self.problem = Some(format!("the cache's file cannot be read: {error}")),
            },
        }
        // Computed and kept anew.
        self.held.get_mut(row)?.remove(&level);
        None
    }

    /// Keeps a row's output where there is room.
    pub(super) fn put(&mut self, row: &[u32], level: usize, values: &[f32], limits: &Limits) {
        let bytes = size_of_val(values) as u64;
        if self.memory + bytes > limits.memory || self.used() + bytes > limits.total {
            self.drop_unwanted();
        }
        let place = if self.used() + bytes > limits.total {
            None
        } else if self.memory + bytes <= limits.memory {
            self.memory += bytes;
            Some(Place::Memory(values.into()))
        } else {
            self.spill(values, limits.folder.as_deref()).map(Place::File)
        };
        if let Some(place) = place {
            self.held.entry(row.to_vec()).or_default().insert(level, place);
        }
    }

    fn drop_unwanted(&mut self) {
        let (wanted, memory) = (&self.wanted, &mut self.memory);
        for levels in self.held.values_mut() {
            levels.retain(|level, place| {
                let keep = wanted.contains(level);
                if let (false, Place::Memory(values)) = (keep, place) {
                    *memory -= size_of_val::<[f32]>(values) as u64;
                }
                keep
            });
        }
        self.held.retain(|_, levels| !levels.is_empty());
        let in_file =
            |levels: &BTreeMap<usize, Place>| levels.values().any(|place| matches!(place, Place::File(_)));
        if !self.held.values().any(in_file) {
            self.file = None;
        }
    }

    fn spill(&mut self, values: &[f32], folder: Option<&Path>) -> Option<Extent> {
        let folder = folder.filter(|_| self.problem.is_none())?;
        let mut write = || {
            if self.file.is_none() {
                self.file = Some(Spill { file: tempfile::tempfile_in(folder)?, len: 0 });
            }
            self.file.as_mut().map(|file| file.write(values)).transpose()
        };
        write().unwrap_or_else(|error: io::Error| {
            self.problem = Some(format!("{}: the cache cannot be written: {error}", folder.display()));
            None
        })
    }
}

/// A file of outputs, one after the other.
struct Spill {
    file: File,
    len: u64,
}

/// One output in the file.
struct Extent {
    offset: u64,
    values: usize,
    sum: u64,
}

impl Spill {
    fn write(&mut self, values: &[f32]) -> io::Result<Extent> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let extent = Extent { offset: self.len, values: values.len(), sum: checksum(&bytes) };
        self.file.seek(SeekFrom::Start(self.len))?;
        self.file.write_all(&bytes)?;
        self.len += bytes.len() as u64;
        Ok(extent)
    }

    fn read(&mut self, extent: &Extent) -> io::Result<Vec<f32>> {
        let mut bytes = vec![0; extent.values * size_of::<f32>()];
        self.file.seek(SeekFrom::Start(extent.offset))?;
        self.file.read_exact(&mut bytes)?;
        if checksum(&bytes) != extent.sum {
            return Err(io::Error::other("it holds other bytes than were written"));
        }
        Ok(bytes.as_chunks().0.iter().map(|&value| f32::from_le_bytes(value)).collect())
    }
}

/// FNV-1a over words of 8 bytes; what is left of the last one is taken as zeros.
fn checksum(bytes: &[u8]) -> u64 {
    let word = |chunk: &[u8]| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    };
    bytes.chunks(8).fold(0xcbf2_9ce4_8422_2325, |sum, chunk| {
        // The rotation carries what differs in high bits to the low ones.
        ((sum ^ word(chunk)).wrapping_mul(0x0100_0000_01b3)).rotate_left(23)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(memory: u64, total: u64, folder: Option<&std::path::Path>) -> Limits {
        Limits { memory, total, folder: folder.map(Into::into) }
    }

    #[test]
    fn memory_first_then_the_file_then_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let limits = limits(16, 40, Some(folder.path()));
        let mut store = Store::default();
        store.want([2]);
        for row in 0..4u32 {
            store.put(&[row], 2, &[row as f32, 0.5, -1.0, f32::MIN_POSITIVE], &limits);
        }
        assert_eq!(store.bytes(), (16, 16));
        let found: Vec<_> = (0..4u32).map(|row| store.get(&[row], 2)).collect();
        let value = |row: f32| Some(vec![row, 0.5, -1.0, f32::MIN_POSITIVE]);
        assert_eq!(found, [value(0.0), value(1.0), None, None]);
        assert_eq!(store.get(&[0], 1), None, "another level");
        assert_eq!((store.problem, std::fs::read_dir(folder.path()).unwrap().count()), (None, 0));
    }

    #[test]
    fn without_a_folder_there_is_only_memory() {
        let mut store = Store::default();
        store.want([0]);
        store.put(&[1], 0, &[1.0; 4], &limits(16, 1000, None));
        store.put(&[2], 0, &[1.0; 4], &limits(16, 1000, None));
        assert_eq!((store.get(&[2], 0), store.bytes()), (None, (16, 0)));
    }

    #[test]
    fn what_the_run_does_not_read_makes_room() {
        let limits = limits(32, 32, None);
        let mut store = Store::default();
        store.want([0, 1]);
        store.put(&[1], 0, &[1.0; 4], &limits);
        store.put(&[1], 1, &[2.0; 4], &limits);
        store.put(&[2], 1, &[3.0; 4], &limits);
        assert_eq!(store.get(&[2], 1), None, "all is wanted, all is full");
        store.want([1]);
        store.put(&[2], 1, &[3.0; 4], &limits);
        let found = [(1, 0), (1, 1), (2, 1)].map(|(row, level)| store.get(&[row], level).map(|v| v[0]));
        assert_eq!((found, store.bytes().0), ([None, Some(2.0), Some(3.0)], 32));
    }

    #[test]
    fn a_damaged_file_is_noticed_and_computed_anew() {
        let folder = tempfile::tempdir().unwrap();
        let limits = limits(0, 1000, Some(folder.path()));
        let mut store = Store::default();
        store.put(&[1], 0, &[1.0; 6], &limits);
        let file = &mut store.file.as_mut().unwrap().file;
        file.seek(SeekFrom::Start(9)).unwrap();
        file.write_all(&[0xff]).unwrap();
        assert_eq!(store.get(&[1], 0), None);
        assert!(store.problem.as_ref().unwrap().contains("other bytes"));
        assert_eq!(store.get(&[1], 0), None);
    }

    #[test]
    fn a_folder_that_is_gone_only_ends_the_caching() {
        let folder = tempfile::tempdir().unwrap();
        let gone = folder.path().join("none");
        let mut store = Store::default();
        store.put(&[1], 0, &[1.0; 6], &limits(0, 1000, Some(&gone)));
        assert!(store.problem.unwrap().contains("none"));
    }

    #[test]
    fn the_checksum_sees_every_bit_and_the_order() {
        let bytes: Vec<u8> = (0..27).collect();
        for at in 0..27 * 8 {
            let mut other = bytes.clone();
            other[at / 8] ^= 1 << (at % 8);
            assert_ne!(checksum(&bytes), checksum(&other), "bit {at}");
        }
        let mut turned = bytes.clone();
        turned.rotate_left(8);
        assert_ne!(checksum(&bytes), checksum(&turned));
    }
}
