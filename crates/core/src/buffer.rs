//! Pooled memory: a buffer goes back to the pool it came from, so a steady training step asks the operating
//! system for nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
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
}

impl Pool {
    /// A buffer of `len` values whose contents are unspecified (those of its last user).
    pub(crate) fn take(pool: &Arc<Self>, len: usize) -> Buffer {
        let class = size_class(len);
        let data = pool.reuse(class).unwrap_or_else(|| pool.allocate(class));
        Buffer { data, len, pool: Arc::clone(pool) }
    }

    /// The smallest free buffer that fits. Batches differ in length: after the longest, its buffers serve all.
    fn reuse(&self, class: usize) -> Option<Vec<f32>> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let found = *free.range(class..=LARGEST_WASTE * class).next()?.0;
        pop(&mut free, found)
    }

    /// Asks the operating system, and first gives back as much of what is free and too small: so no more is
    /// held than was once in use at a time.
    fn allocate(&self, class: usize) -> Vec<f32> {
        self.drop_smaller(class);
        let bytes = (class * size_of::<f32>()) as u64;
        self.fresh.fetch_add(1, Ordering::Relaxed);
        self.fresh_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.held_bytes.fetch_add(bytes, Ordering::Relaxed);
        vec![0.0; class]
    }

    fn drop_smaller(&self, class: usize) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut dropped = 0;
        while dropped < class {
            let Some(found) = free.range(..class).next_back().map(|(&found, _)| found) else { break };
            dropped += pop(&mut free, found).map_or(0, |data| data.len());
        }
        self.held_bytes.fetch_sub((dropped * size_of::<f32>()) as u64, Ordering::Relaxed);
    }

    fn give_back(&self, data: Vec<f32>) {
        if !data.is_empty() {
            let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
            free.entry(data.len()).or_default().push(data);
        }
    }

    /// Frees what nobody uses.
    pub(crate) fn shrink(&self) {
        let free = std::mem::take(&mut *self.free.lock().unwrap_or_else(PoisonError::into_inner));
        let floats: usize = free.iter().map(|(class, list)| class * list.len()).sum();
        self.held_bytes.fetch_sub((floats * size_of::<f32>()) as u64, Ordering::Relaxed);
    }

    pub(crate) fn counters(&self) -> (u64, u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (read(&self.fresh), read(&self.fresh_bytes), read(&self.held_bytes))
    }
}

/// A buffer may be so many times larger than what it is used for.
const LARGEST_WASTE: usize = 8;

/// Takes a free buffer of a class.
fn pop(free: &mut BTreeMap<usize, Vec<Vec<f32>>>, class: usize) -> Option<Vec<f32>> {
    let list = free.get_mut(&class)?;
    let data = list.pop();
    if list.is_empty() {
        free.remove(&class);
    }
    data
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
        drop(Pool::take(&pool, 700));
        assert_eq!(pool.counters().0, 1, "one allocation serves shorter lengths too");
        let held = [Pool::take(&pool, 5000), Pool::take(&pool, 5000)];
        assert_eq!(pool.counters().0, 2);
        drop(held);
        pool.shrink();
        assert_eq!(pool.counters().2, 0);
    }

    #[test]
    fn what_is_too_small_makes_room_for_what_is_needed() {
        let pool = Arc::new(Pool::default());
        for tokens in [100, 300, 200, 700, 650, 110] {
            drop([Pool::take(&pool, 64 * tokens), Pool::take(&pool, 192 * tokens), Pool::take(&pool, 8)]);
        }
        let (allocations, _, held) = pool.counters();
        let longest = [64 * 700, 192 * 700, 8].map(size_class).iter().sum::<usize>() as u64 * 4;
        assert!(held <= longest, "{held} bytes are held, {longest} were in use at most");
        let steady = || drop([Pool::take(&pool, 64 * 690), Pool::take(&pool, 192 * 690)]);
        (0..3).for_each(|_| steady());
        assert_eq!(pool.counters().0, allocations, "a steady step asks for nothing");
    }
}
