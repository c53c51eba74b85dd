//! What the tests of the kernels share: inputs, comparisons, central differences in f64.

use crate::dropout::row_key;

/// Sizes at and around the edges of vectors and blocks.
pub(crate) const SIZES: [usize; 6] = [1, 7, 17, 33, 64, 130];

/// Numbers that look random, in `[-1, 1]`; another series for each `seed`.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<f32> {
    (0..len as u64).map(|i| (row_key(seed, &[i]) >> 40) as f32 / 8_388_608.0 - 1.0).collect()
}

/// The same numbers in f64.
pub(crate) fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|&x| f64::from(x)).collect()
}

/// Every element within `tolerance (1 + |expected|)`.
#[track_caller]
pub(crate) fn assert_close(actual: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(actual.len(), expected.len());
    for (i, (&a, &e)) in actual.iter().zip(expected).enumerate() {
        let error = (f64::from(a) - e).abs();
        assert!(error <= tolerance * (1.0 + e.abs()), "element {i}: {a} is not {e} (error {error:e})");
    }
}

/// Gradient of `f` at `x` by central differences; its error is about 1e-9 for smooth functions of size 1.
pub(crate) fn differences(x: &[f32], f: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let moved = |i: usize, by: f64| {
        let mut x = wide(x);
        x[i] += by;
        f(&x)
    };
    (0..x.len()).map(|i| (moved(i, STEP) - moved(i, -STEP)) / (2.0 * STEP)).collect()
}

/// `sum_i a[i] b[i]`: makes a number of an output, with `a` as its gradient.
pub(crate) fn weigh(a: &[f32], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(&a, b)| f64::from(a) * b).sum()
}

/// Asserts that `work` gives the same bits on one thread, on two and on three.
#[track_caller]
pub(crate) fn assert_same_on_threads(work: impl Fn() -> Vec<f32> + Sync) {
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(&work).iter().map(|x| x.to_bits()).collect::<Vec<_>>()
    };
    let one = on(1);
    assert!(one == on(2) && one == on(3), "bits depend on the number of threads");
}
