//! Speed of the kernels at the sizes of MiniLM and SmolLM2, in GFLOP/s (shown as Gelem/s) or GB/s, to be held
//! against what `--example peak` measures on the same machine.
//!
//! `cargo bench -p offshoot-kernels --bench kernels -- [FILTER]`; `RAYON_NUM_THREADS` sets the threads.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

mod attention;
mod decode;
mod elements;
mod loss;
mod products;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use offshoot_kernels::dropout;
use std::time::Duration;

/// Widths of all-MiniLM-L6-v2: the model, its feed-forward network.
const MINILM: [usize; 2] = [384, 1536];

/// Widths of SmolLM2-135M: the model, its keys and values, its feed-forward network.
const SMOLLM2: [usize; 3] = [576, 192, 1536];

/// Tokens of SmolLM2's vocabulary: the rows of its output head.
const VOCABULARY: usize = 49_152;

/// Numbers that look random, in `[-1, 1]`.
fn noise(len: usize) -> Vec<f32> {
    (0..len as u64).map(|i| (dropout::row_key(i, &[]) >> 40) as f32 / 8_388_608.0 - 1.0).collect()
}

/// Bytes of so many elements in f32.
const fn floats(len: usize) -> usize {
    4 * len
}

/// Cases of one kind.
struct Group<'a>(BenchmarkGroup<'a, WallTime>);

impl<'a> Group<'a> {
    fn new(criterion: &'a mut Criterion, name: &str) -> Self {
        Self(criterion.benchmark_group(name))
    }

    /// Work of so many floating-point operations.
    fn operations(&mut self, name: &str, operations: usize, work: impl FnMut()) {
        self.case(name, Throughput::Elements(operations as u64), work);
    }

    /// Work that reads and writes so many bytes, each counted once.
    fn bytes(&mut self, name: &str, bytes: usize, work: impl FnMut()) {
        self.case(name, Throughput::BytesDecimal(bytes as u64), work);
    }

    fn case(&mut self, name: &str, amount: Throughput, mut work: impl FnMut()) {
        self.0.throughput(amount);
        self.0.bench_function(name, |bencher| bencher.iter(&mut work));
    }
}

/// Short: there are many cases, and on a shared machine it is more use to run all of them again.
fn config() -> Criterion {
    let (warm_up, measurement) = (Duration::from_millis(300), Duration::from_millis(1500));
    Criterion::default().sample_size(15).warm_up_time(warm_up).measurement_time(measurement)
}

criterion_group! {
    name = all;
    config = config();
    targets = products::bench, decode::bench, attention::bench, elements::bench, loss::bench
}
criterion_main!(all);
