//! Speed of products with quantised matrices, beside f32, at the sizes of a small decoder.
//!
//! `cargo run --release -p offshoot-kernels --example quantised [threads]`

use offshoot_kernels::gemm::{Arithmetic, Dense, product, product_straight};
use offshoot_kernels::quant::{Format, Matrix, dequantize};
use std::time::Instant;

fn main() {
    if let Some(threads) = std::env::args().nth(1).and_then(|t| t.parse().ok()) {
        let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    }
    let (rows, cols) = (1536, 2048);
    for n in [1, 4, 16, 64, 1024] {
        let (x, w) = (vec![0.5; n * cols], vec![0.25; rows * cols]);
        let (mut y, mut dx) = (vec![0.5; n * rows], vec![0.5; n * cols]);
        let dense = Dense::new(&w, rows, cols);
        let flops = 2 * n * rows * cols;
        measure(&format!("f32  y = x w^T, n = {n}"), flops, "GFLOP/s", || {
            product(&mut y, &x, n, dense, Arithmetic::F32);
        });
        let dy = y.clone();
        measure(&format!("f32  dx = dy w, n = {n}"), flops, "GFLOP/s", || {
            product_straight(&mut dx, &dy, n, dense, Arithmetic::F32);
        });
        for format in Format::ALL {
            let bytes = vec![0x11; format.bytes(rows * cols).unwrap_or_default()];
            let w = Matrix::new(format, &bytes, rows, cols);
            measure(&format!("{format} y = x w^T, n = {n}"), flops, "GFLOP/s", || {
                product(&mut y, &x, n, w, Arithmetic::F32)
            });
            if n > 4 {
                measure(&format!("{format} dx = dy w, n = {n}"), flops, "GFLOP/s", || {
                    product_straight(&mut dx, &dy, n, w, Arithmetic::F32);
                });
            }
        }
    }
    for format in Format::ALL {
        let bytes = vec![0x11; format.bytes(rows * cols).unwrap_or_default()];
        let mut out = vec![0.0; rows * cols];
        measure(&format!("{format} dequantize"), rows * cols, "elements", || {
            dequantize(format, &bytes, &mut out)
        });
    }
}

/// Prints the best of several runs: its time, and the rate of `amount` in units of 1e9 a second.
fn measure(name: &str, amount: usize, unit: &str, mut work: impl FnMut()) {
    let best = (0..10).map(|_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    });
    let best = best.fold(f64::INFINITY, f64::min);
    println!("{name:<30} {:>8.3} ms {:>8.1} {unit}", best * 1e3, amount as f64 / best * 1e-9);
}
