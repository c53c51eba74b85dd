//! Where time goes, by kind of kernel. Nothing is measured until it is asked for.
//!
//! Kernels run one after the other, each on all threads, so the time between a kernel's first and last line is
//! its own. One that another calls is a part of that one.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Kinds of kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `x wᵀ`
    Product,
    /// `dy w`, to a product's input.
    ProductToInput,
    /// `dyᵀ x`, to a product's weight.
    ProductToWeight,
    /// Attention, both ways.
    Attention,
    /// Norms, both ways.
    Norm,
    /// Activations, both ways.
    Activation,
    /// Rotary encodings, both ways.
    Rotation,
    /// Softmax and cross-entropy.
    Loss,
    /// Sums, products and scalings of elements.
    Elementwise,
    /// Rows and columns that are moved or summed.
    Move,
    /// Dropout.
    Dropout,
    /// The update of what is trained.
    Optimizer,
}

impl Kind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::Product,
        Self::ProductToInput,
        Self::ProductToWeight,
        Self::Attention,
        Self::Norm,
        Self::Activation,
        Self::Rotation,
        Self::Loss,
        Self::Elementwise,
        Self::Move,
        Self::Dropout,
        Self::Optimizer,
    ];

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Product => "products",
            Self::ProductToInput => "products, to inputs",
            Self::ProductToWeight => "products, to weights",
            Self::Attention => "attention",
            Self::Norm => "norms",
            Self::Activation => "activations",
            Self::Rotation => "rotary encodings",
            Self::Loss => "softmax and loss",
            Self::Elementwise => "elementwise",
            Self::Move => "rows moved and summed",
            Self::Dropout => "dropout",
            Self::Optimizer => "optimizer",
        }
    }
}

/// What kernels of one kind have done since [`start`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spent {
    /// The kind.
    pub kind: Kind,
    /// How long they took.
    pub time: Duration,
    /// How often one was called.
    pub calls: u64,
    /// Multiplications and additions, of products.
    pub operations: u64,
}

static ON: AtomicBool = AtomicBool::new(false);
static COUNTERS: [Counters; Kind::ALL.len()] = [const { Counters::new() }; Kind::ALL.len()];

struct Counters {
    nanoseconds: AtomicU64,
    calls: AtomicU64,
    operations: AtomicU64,
}

impl Counters {
    const fn new() -> Self {
        Self { nanoseconds: AtomicU64::new(0), calls: AtomicU64::new(0), operations: AtomicU64::new(0) }
    }

    fn all(&self) -> [&AtomicU64; 3] {
        [&self.nanoseconds, &self.calls, &self.operations]
    }
}

/// Measures from now on, from zero.
pub fn start() {
    COUNTERS.iter().flat_map(Counters::all).for_each(|counter| counter.store(0, Relaxed));
    ON.store(true, Relaxed);
}

/// What was measured since [`start`], by kind, the longest first; kinds that were not called are left out.
pub fn spent() -> Vec<Spent> {
    let one = |kind: Kind| {
        let [nanoseconds, calls, operations] =
            COUNTERS[kind as usize].all().map(|counter| counter.load(Relaxed));
        Spent { kind, time: Duration::from_nanos(nanoseconds), calls, operations }
    };
    let mut all: Vec<Spent> = Kind::ALL.into_iter().map(one).filter(|spent| spent.calls > 0).collect();
    all.sort_by_key(|spent| std::cmp::Reverse(spent.time));
    all
}

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// A kernel that is measured until this is dropped.
pub(crate) struct Timed(Option<(Kind, Instant)>);

/// Measures a kernel, if that is asked for and it is not a part of another one.
pub(crate) fn time(kind: Kind) -> Timed {
    time_product(kind, 0)
}

/// [`time`] for a kernel of so many multiplications, each with an addition.
pub(crate) fn time_product(kind: Kind, multiplications: usize) -> Timed {
    if !ON.load(Relaxed) || INSIDE.replace(true) {
        return Timed(None);
    }
    let counters = &COUNTERS[kind as usize];
    counters.calls.fetch_add(1, Relaxed);
    counters.operations.fetch_add(2 * multiplications as u64, Relaxed);
    Timed(Some((kind, Instant::now())))
}

impl Drop for Timed {
    fn drop(&mut self) {
        if let Some((kind, begun)) = self.0 {
            COUNTERS[kind as usize].nanoseconds.fetch_add(begun.elapsed().as_nanos() as u64, Relaxed);
            INSIDE.set(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemm::{Arithmetic, Dense, product};
    use crate::testing::noise;

    #[test]
    fn kinds_are_numbered_in_order() {
        assert!(Kind::ALL.iter().enumerate().all(|(index, kind)| *kind as usize == index));
    }

    /// The one test that switches it on: tests of one process share the counters.
    #[test]
    fn a_kernel_counts_once_and_what_it_calls_is_its_own() {
        let (x, w) = (noise(1, 4 * 5), noise(2, 3 * 5));
        let multiply = || product(&mut [0.0; 12], &x, 4, Dense::new(&w, 3, 5), Arithmetic::F32);
        multiply();
        start();
        let outer = time(Kind::Optimizer);
        multiply();
        drop(outer);
        multiply();
        let found = spent();
        let of = |kind| found.iter().find(|spent| spent.kind == kind).copied();
        let (products, optimizer) = (of(Kind::Product).unwrap(), of(Kind::Optimizer).unwrap());
        assert!(products.calls >= 1 && products.operations >= 2 * 4 * 3 * 5);
        assert!(optimizer.calls >= 1 && optimizer.operations == 0 && optimizer.time > Duration::ZERO);
        ON.store(false, Relaxed);
    }
}
