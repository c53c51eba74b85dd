//! What this machine can do at most, with the instructions that the kernels use: fused multiply-adds on registers
//! alone, products of bf16 in the first cache, and reading memory. One JSON object on stdout; `cargo xtask bench` measures shares of it.
//!
//! `cargo run --release -p offshoot-kernels --example peak [threads]`
//!
//! Each number is the best of several rounds, with the median beside it: on a shared machine they differ.

use offshoot_kernels::gemm::multiply_in_cache;
use pulp::{Simd, WithSimd};
use rayon::ThreadPool;
use std::hint::black_box;
use std::time::Instant;

/// Rounds of each test, after one to warm up.
const ROUNDS: usize = 12;

/// Multiply-adds of a vector in a round, for each chain: 20 to 50 ms.
const LENGTH: usize = 10_000_000;

/// Blocks of bf16 products in a round: 5 to 50 ms.
const BLOCKS: usize = 20_000;

/// Elements that are read in a round: 256 MiB, more than any usual last cache.
const ELEMENTS: usize = 64 << 20;

fn main() {
    let wanted = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    let pool = match rayon::ThreadPoolBuilder::new().num_threads(wanted).build() {
        Ok(pool) => pool,
        Err(error) => {
            eprintln!("error: {wanted} threads cannot be started: {error}");
            std::process::exit(1);
        }
    };
    let (products, products_median) = rates(|| multiply(&pool));
    let (rounded, rounded_median) =
        rates(|| pool.broadcast(|_| multiply_in_cache(BLOCKS)).iter().sum::<usize>());
    let memory = vec![1.0f32; ELEMENTS];
    let (bytes, bytes_median) = rates(|| read(&pool, &memory));
    println!(
        "{{\"instruction_set\": \"{}\", \"threads\": {}, \"fma_gflops\": {products:.1}, \
         \"fma_gflops_median\": {products_median:.1}, \"bf16_gflops\": {rounded:.1}, \
         \"bf16_gflops_median\": {rounded_median:.1}, \"read_gb_per_s\": {bytes:.2}, \
         \"read_gb_per_s_median\": {bytes_median:.2}}}",
        pulp::Arch::new().dispatch(Name),
        pool.current_num_threads(),
    );
}

/// The best and the median rate of several rounds, in units of 1e9 a second; `round` returns what it did.
fn rates(mut round: impl FnMut() -> usize) -> (f64, f64) {
    round();
    let mut rates: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            let amount = round();
            amount as f64 / start.elapsed().as_secs_f64() * 1e-9
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    (rates[ROUNDS - 1], rates[ROUNDS / 2])
}

/// Operations of all threads together.
fn multiply(pool: &ThreadPool) -> usize {
    pool.broadcast(|_| pulp::Arch::new().dispatch(Multiply)).iter().sum()
}

/// Bytes that all threads together read.
fn read(pool: &ThreadPool, memory: &[f32]) -> usize {
    let part = memory.len().div_ceil(pool.current_num_threads());
    pool.broadcast(|context| {
        let mine = memory.chunks(part).nth(context.index()).unwrap_or_default();
        black_box(pulp::Arch::new().dispatch(Read(mine)));
    });
    size_of_val(memory)
}

/// The instruction set's name.
struct Name;

impl WithSimd for Name {
    type Output = &'static str;

    fn with_simd<S: Simd>(self, _: S) -> Self::Output {
        std::any::type_name::<S>().rsplit(':').next().unwrap_or_default()
    }
}

/// Chains of multiply-adds, as many as hide the latency and leave two registers free; returns the operations.
struct Multiply;

impl WithSimd for Multiply {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        if S::REGISTER_COUNT >= 32 { chains::<S, 24>(simd) } else { chains::<S, 12>(simd) }
    }
}

#[inline(always)]
fn chains<S: Simd, const CHAINS: usize>(simd: S) -> usize {
    // Values that stay normal numbers: the sums approach 1.
    let (factor, term) = (simd.splat_f32s(black_box(0.999)), simd.splat_f32s(black_box(0.001)));
    let mut sums = [simd.splat_f32s(0.0); CHAINS];
    for _ in 0..LENGTH {
        for sum in &mut sums {
            *sum = simd.mul_add_e_f32s(*sum, factor, term);
        }
    }
    black_box(sums);
    2 * S::F32_LANES * CHAINS * LENGTH
}

/// A sum over the elements, as fast as they come.
struct Read<'a>(&'a [f32]);

impl WithSimd for Read<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        const CHAINS: usize = 8;
        let (vectors, rest) = S::as_simd_f32s(self.0);
        let mut sums = [simd.splat_f32s(0.0); CHAINS];
        for vectors in vectors.chunks_exact(CHAINS) {
            for (sum, vector) in sums.iter_mut().zip(vectors) {
                *sum = simd.add_f32s(*sum, *vector);
            }
        }
        let total = sums.into_iter().fold(simd.splat_f32s(0.0), |a, b| simd.add_f32s(a, b));
        simd.reduce_sum_f32s(total) + rest.iter().sum::<f32>()
    }
}
