//! Where buffers live and kernels run.

use crate::buffer::{Buffer, Pool};
use offshoot_kernels::gemm::Arithmetic;
use std::sync::Arc;

/// The place where tensors live and are computed. Today that is the CPU; operations reach memory only through
/// it, so that another device is a matter of this crate alone.
#[derive(Clone, Default)]
pub struct Device {
    pool: Arc<Pool>,
    arithmetic: Arithmetic,
}

/// What a device's memory pool has done so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolStats {
    /// Buffers that had to be asked from the operating system.
    pub allocations: u64,
    /// Their bytes.
    pub allocated_bytes: u64,
    /// Bytes in use or kept for reuse now.
    pub held_bytes: u64,
    /// Bytes in use now.
    pub used_bytes: u64,
    /// The most that were in use at a time.
    pub most_used_bytes: u64,
}

impl Device {
    /// The CPU, with an empty pool and products in f32.
    pub fn cpu() -> Self {
        Self::default()
    }

    /// The same place and memory with products in another arithmetic.
    pub fn with_arithmetic(&self, arithmetic: Arithmetic) -> Self {
        Self { arithmetic, ..self.clone() }
    }

    /// What products are computed in.
    pub fn arithmetic(&self) -> Arithmetic {
        self.arithmetic
    }

    /// Counters of the memory pool.
    pub fn pool_stats(&self) -> PoolStats {
        self.pool.stats()
    }

    /// Counts the most bytes in use anew from what is in use now.
    pub fn restart_peak(&self) {
        self.pool.restart_peak();
    }

    /// Holds little more than is in use, at the price of asking the operating system more often where batches
    /// differ in length.
    pub fn hold_little(&self) {
        self.pool.tighten();
    }

    /// Gives buffers that nobody uses back to the operating system.
    pub fn release_unused(&self) {
        self.pool.shrink();
        offshoot_kernels::memory::trim();
    }

    /// Says of how many rows the batch is that comes next: what is computed for each row of it will use the buffers of
    /// the largest batch so far. [`forward`](crate::forward) says so itself.
    pub fn begin(&self, rows: usize) {
        self.pool.begin(rows);
    }

    /// Rows of a batch that is as large as any so far.
    pub(crate) fn most_rows(&self) -> usize {
        self.pool.most_rows()
    }

    /// `len` values in a buffer that is made for `room`, if that is more.
    pub(crate) fn take_of(&self, len: usize, room: usize) -> Buffer {
        Pool::take_of(&self.pool, len, room)
    }

    /// `len` values of unspecified content.
    pub(crate) fn take(&self, len: usize) -> Buffer {
        Pool::take(&self.pool, len)
    }
}
