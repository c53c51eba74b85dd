use offshoot_kernels::dropout;
use offshoot_kernels::gemm::{Dense, product, product_outer, product_straight};
use std::time::Instant;
fn noise(len: usize) -> Vec<f32> {
    (0..len as u64).map(|i| (dropout::row_key(i, &[]) >> 40) as f32 / 8_388_608.0 - 1.0).collect()
}
fn best(n: usize, mut f: impl FnMut()) -> f64 {
    (0..n)
        .map(|_| {
            let s = Instant::now();
            f();
            s.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min)
}
#[target_feature(enable = "avx2,fma")]
unsafe fn peak() -> f64 {
    return 0.0;
    use std::arch::x86_64::*;
    let mut s = [_mm256_set1_ps(0.5); 12];
    let a = _mm256_set1_ps(0.999);
    let b = _mm256_set1_ps(0.001);
    let it = 5_000_000u64;
    let t = best(5, || {
        for _ in 0..it {
            for x in &mut s {
                *x = _mm256_fmadd_ps(a, *x, b);
            }
        }
        std::hint::black_box(&s);
    });
    (it * 12 * 16) as f64 / t * 1e-9
}
fn main() {
    let _ = rayon::ThreadPoolBuilder::new().num_threads(1).build_global();
    let n: usize = std::env::args().nth(1).and_then(|t| t.parse().ok()).unwrap_or(600);
    for _ in 0..2 {
        println!("peak {:.1}", unsafe { peak() });
        for (i, o) in [(576, 576), (576, 192), (576, 1536), (1536, 576), (384, 384), (384, 1536)] {
            let (x, dy, w) = (noise(n * i), noise(n * o), noise(i * o));
            let (mut y, mut dx, mut dw) = (noise(n * o), noise(n * i), noise(i * o));
            let f = (2 * n * i * o) as f64 * 1e-9;
            let wd = Dense::new(&w, o, i);
            let a = best(12, || product(&mut y, &x, n, wd));
            let b = best(12, || product_straight(&mut dx, &dy, n, wd));
            let c = best(12, || product_outer(&mut dw, &dy, o, Dense::new(&x, n, i), false));
            println!("{n}x{i}->{o}: fwd {:.1} back {:.1} outer {:.1}", f / a, f / b, f / c);
        }
    }
    println!("peak {:.1}", unsafe { peak() });
}
