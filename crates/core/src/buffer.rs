//! Pooled memory: a buffer goes back to the pool it came from, so a steady training step asks the operating
//! system for nothing.

use crate::PoolStats;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A run of `f32` values that returns to its pool when dropped.
pub(crate) struct Buffer {
    /// At least `len` values; the whole size class, so that it can be reused without being filled again.
    data: Vec<f32>,
    len: usize,
    pool: Arc<Pool>,
}

impl Buffer {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn host(&self) -> &[f32] {
        &self.data[..self.len]
    }

    pub(crate) fn host_mut(&mut self) -> &mut [f32] {
        &mut self.data[..self.len]
    }

    /// A copy from the same pool.
    pub(crate) fn duplicate(&self) -> Self {
        let mut copy = Pool::take(&self.pool, self.len);
        copy.host_mut().copy_from_slice(self.host());
        copy
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.pool.used.fetch_sub(bytes(size_class(self.len)), Ordering::Relaxed);
        self.pool.taken.fetch_sub(bytes(self.data.len()), Ordering::Relaxed);
        self.pool.give_back(std::mem::take(&mut self.data));
    }
}

/// Free buffers by size class.
#[derive(Default)]
pub(crate) struct Pool {
    free: Mutex<BTreeMap<usize, Vec<Vec<f32>>>>,
    fresh: AtomicU64,
    fresh_bytes: AtomicU64,
    held_bytes: AtomicU64,
    /// Bytes of values now in use, and the most that ever were.
    used: AtomicU64,
    most_used: AtomicU64,
    /// The same of the buffers that they are in.
    taken: AtomicU64,
    most_taken: AtomicU64,
    tight: AtomicBool,
    /// Rows of a batch that is as large as any.
    most_rows: AtomicUsize,
}

thread_local! {
    /// Rows of the batch at hand: passes may run side by side.
    static BATCH: Cell<usize> = const { Cell::new(0) };
}

impl Pool {
    /// A buffer of `len` values whose contents are unspecified (those of its last user).
    pub(crate) fn take(pool: &Arc<Self>, len: usize) -> Buffer {
        Self::take_of(pool, len, pool.room(len))
    }

    /// The same in a buffer that has room for more, if `room` is more.
    pub(crate) fn take_of(pool: &Arc<Self>, len: usize, room: usize) -> Buffer {
        let class = size_class(room.max(len));
        let data = pool.reuse(class).unwrap_or_else(|| pool.allocate(class));
        count(bytes(size_class(len)), &pool.used, &pool.most_used);
        count(bytes(data.len()), &pool.taken, &pool.most_taken);
        Buffer { data, len, pool: Arc::clone(pool) }
    }

    /// What follows is computed for a batch of so many rows. Where no batch was as large, the buffers there are too
    /// small, and the free ones go.
    pub(crate) fn begin(&self, rows: usize) {
        BATCH.set(rows);
        let most = rows.next_multiple_of(ROWS);
        if self.most_rows.fetch_max(most, Ordering::Relaxed) < most {
            self.drop_all_free();
        }
    }

    /// Rows of a batch that is as large as any so far.
    pub(crate) fn most_rows(&self) -> usize {
        self.most_rows.load(Ordering::Relaxed)
    }

    /// What a buffer of `len` values is made for. One with values for each row of the batch is made for the largest
    /// batch, so that batches of all lengths find theirs among the same buffers; memory that nobody writes to
    /// is not taken.
    fn room(&self, len: usize) -> usize {
        let (rows, most) = (BATCH.get(), self.most_rows());
        let of_rows = rows > 0 && len.is_multiple_of(rows);
        // Much smaller batches use so little that it does not matter.
        if of_rows && most <= 4 * rows { len / rows * most } else { len }
    }

    /// The smallest free buffer that fits and wastes little of itself.
    fn reuse(&self, class: usize) -> Option<Vec<f32>> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let found = *free.range(class..=class + class / self.waste().buffer).next()?.0;
        pop(&mut free, found)
    }

    fn waste(&self) -> Waste {
        if self.tight.load(Ordering::Relaxed) { TIGHT } else { LOOSE }
    }

    /// Wastes little from now on.
    pub(crate) fn tighten(&self) {
        self.tight.store(true, Ordering::Relaxed);
    }

    /// Whether a new buffer is no more than is to be held: little more than was ever in use.
    fn has_room(&self, class: usize) -> bool {
        let most = self.most_taken.load(Ordering::Relaxed);
        let held = self.held_bytes.load(Ordering::Relaxed) + bytes(class);
        held <= most + most / self.waste().held
    }

    /// Asks the operating system. Batches differ in length, and so do their buffers: where many are free that
    /// are too small, as much of them is given back first.
    fn allocate(&self, class: usize) -> Vec<f32> {
        if !self.has_room(class) {
            self.drop_free(class);
        }
        let bytes = bytes(class);
        self.fresh.fetch_add(1, Ordering::Relaxed);
        self.fresh_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.held_bytes.fetch_add(bytes, Ordering::Relaxed);
        vec![0.0; class]
    }

    /// Drops free buffers of `class` values together, those nearest below it first.
    fn drop_free(&self, class: usize) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut dropped = 0;
        while dropped < class {
            let below = free.range(..class).next_back().map(|(&found, _)| found);
            let Some(found) = below.or_else(|| free.keys().next_back().copied()) else { break };
            dropped += pop(&mut free, found).map_or(0, |data| data.len());
        }
        self.held_bytes.fetch_sub(bytes(dropped), Ordering::Relaxed);
    }

    fn give_back(&self, data: Vec<f32>) {
        if !data.is_empty() {
            let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
            free.entry(data.len()).or_default().push(data);
        }
    }

    /// Frees what nobody uses, and forgets how large batches were.
    pub(crate) fn shrink(&self) {
        self.most_rows.store(0, Ordering::Relaxed);
        self.drop_all_free();
    }

    fn drop_all_free(&self) {
        let free = std::mem::take(&mut *self.free.lock().unwrap_or_else(PoisonError::into_inner));
        let floats: usize = free.iter().map(|(class, list)| class * list.len()).sum();
        self.held_bytes.fetch_sub(bytes(floats), Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> PoolStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PoolStats {
            allocations: read(&self.fresh),
            allocated_bytes: read(&self.fresh_bytes),
            held_bytes: read(&self.held_bytes),
            used_bytes: read(&self.used),
            most_used_bytes: read(&self.most_used),
        }
    }

    /// Counts the most bytes in use anew.
    pub(crate) fn restart_peak(&self) {
        for (now, most) in [(&self.used, &self.most_used), (&self.taken, &self.most_taken)] {
            most.store(now.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}

/// What may be wasted to save time: a part, one in so many, of a buffer's length beside it, and of the most that
/// was ever in use.
#[derive(Clone, Copy)]
struct Waste {
    buffer: usize,
    held: u64,
}

/// Batches of different lengths share buffers.
const LOOSE: Waste = Waste { buffer: 1, held: 4 };

/// Memory is scarce.
const TIGHT: Waste = Waste { buffer: 4, held: 8 };

/// The largest batch's rows are rounded up to a multiple of this: it seldom grows.
const ROWS: usize = 64;

/// Takes a free buffer of a class.
fn pop(free: &mut BTreeMap<usize, Vec<Vec<f32>>>, class: usize) -> Option<Vec<f32>> {
    let list = free.get_mut(&class)?;
    let data = list.pop();
    if list.is_empty() {
        free.remove(&class);
    }
    data
}

/// Counts bytes that come into use.
fn count(bytes: u64, now: &AtomicU64, most: &AtomicU64) {
    most.fetch_max(now.fetch_add(bytes, Ordering::Relaxed) + bytes, Ordering::Relaxed);
}

/// Bytes of so many values.
fn bytes(values: usize) -> u64 {
    (values * size_of::<f32>()) as u64
}

/// Rounds up to one of eight steps per power of two, so that batches of nearly the same length share buffers.
fn size_class(len: usize) -> usize {
    let step = (len.next_power_of_two() / 8).max(64);
    len.div_ceil(step).max(1) * step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_holds_its_length_and_wastes_little() {
        for len in [0, 1, 63, 64, 65, 1000, 1025, 786_432, 786_433] {
            let class = size_class(len);
            assert!(class >= len && class <= len + len / 4 + 64, "{len} -> {class}");
            assert_eq!(size_class(class), class);
        }
    }

    #[test]
    fn a_dropped_buffer_is_used_again() {
        let pool = Arc::new(Pool::default());
        drop(Pool::take(&pool, 5000));
        drop(Pool::take(&pool, 4900));
        drop(Pool::take(&pool, 3000));
        assert_eq!(pool.stats().allocations, 1, "one allocation serves every length that wastes little");
        drop(Pool::take(&pool, 2000));
        assert_eq!(pool.stats().allocations, 2);
        pool.tighten();
        drop(Pool::take(&pool, 3000));
        assert_eq!(pool.stats().allocations, 3);
        pool.shrink();
        let held = [Pool::take(&pool, 5000), Pool::take(&pool, 5000)];
        assert_eq!(pool.stats().allocations, 5);
        drop(held);
        pool.shrink();
        assert_eq!(pool.stats().held_bytes, 0);
    }

    #[test]
    fn batches_of_all_lengths_use_the_buffers_of_the_largest() {
        let pool = Arc::new(Pool::default());
        let step = |rows: usize| {
            pool.begin(rows);
            drop([64, 192, 192, 1536].map(|cols| Pool::take(&pool, cols * rows)));
            drop(Pool::take_of(&pool, 77 * rows / 2, 77 * pool.most_rows()));
            pool.stats().allocations
        };
        let first = step(500);
        assert!(
            [130, 257, 512, 499, 300].iter().all(|&rows| step(rows) == first),
            "rounded up, 500 rows are 512"
        );
        let held = pool.stats().held_bytes;
        assert!(step(513) > first, "no buffer was as large");
        assert!(pool.stats().held_bytes < held * 5 / 4, "the smaller ones are gone");
    }

    #[test]
    fn little_more_is_held_than_was_ever_in_use() {
        let pool = Arc::new(Pool::default());
        pool.tighten();
        let step = |tokens: usize| {
            let buffers = [64, 192, 192, 1536].map(|cols| Pool::take(&pool, cols * tokens));
            buffers.iter().map(|buffer| buffer.len() as u64 * 4).sum::<u64>()
        };
        let most = [100, 300, 200, 700, 650, 110, 40, 690, 15].map(step).into_iter().max().unwrap();
        let held = pool.stats().held_bytes;
        // A buffer is up to a quarter larger than its length.
        assert!(held <= most + most / 8 + most / 4, "{held} bytes are held, {most} were in use at most");
        step(650);
        let allocations = pool.stats().allocations;
        assert!((0..3).all(|_| step(640) < most));
        assert_eq!(pool.stats().allocations, allocations, "a steady step asks for nothing");
    }
}
