//! A part of a matrix as panels, in f32, small enough for the second cache.

use super::micro::panel_width;
use super::{Side, Source};
use pulp::Simd;
use std::ops::Range;

/// Panels `[panels, depth, panel_width]` of one part of a matrix, and room to unpack its rows.
#[derive(Default)]
pub(super) struct Tile {
    panels: Vec<f32>,
    rows: Vec<f32>,
}

impl Tile {
    /// Reads the part of `w` that makes the outputs in `outputs`, for the inner indices in `depth`. The last
    /// panel is filled up with zeros.
    #[inline(always)]
    pub(super) fn fill<S: Simd>(
        &mut self,
        w: &impl Source,
        side: Side,
        outputs: &Range<usize>,
        depth: &Range<usize>,
    ) {
        let width = panel_width::<S>();
        let needed = outputs.len().div_ceil(width) * width * depth.len();
        if self.panels.len() < needed {
            self.panels.resize(needed, 0.0);
        }
        match side {
            Side::Transposed => self.fill_transposed::<S>(w, outputs, depth),
            Side::Straight => self.fill_straight::<S>(w, outputs, depth),
        }
    }

    /// A panel of a tile whose depth is `depth`.
    #[inline(always)]
    pub(super) fn panel<S: Simd>(&self, index: usize, depth: usize) -> *const f32 {
        let len = panel_width::<S>() * depth;
        self.panels[index * len..][..len].as_ptr()
    }

    /// An output is a row of the matrix: a panel is some of its rows, turned.
    #[inline(always)]
    fn fill_transposed<S: Simd>(&mut self, w: &impl Source, outputs: &Range<usize>, depth: &Range<usize>) {
        let (width, k) = (panel_width::<S>(), depth.len());
        self.rows.resize(width * k, 0.0);
        for (first, panel) in outputs.clone().step_by(width).zip(self.panels.chunks_exact_mut(width * k)) {
            let held = (outputs.end - first).min(width);
            for (i, row) in self.rows.chunks_exact_mut(k).enumerate() {
                match i < held {
                    true => w.read(row, first + i, depth.start),
                    false => row.fill(0.0),
                }
            }
            turn::<S>(panel, &self.rows, k);
        }
    }

    /// An inner index is a row of the matrix: a panel is some of its columns.
    #[inline(always)]
    fn fill_straight<S: Simd>(&mut self, w: &impl Source, outputs: &Range<usize>, depth: &Range<usize>) {
        let (width, k) = (panel_width::<S>(), depth.len());
        self.rows.clear();
        self.rows.resize(outputs.len().next_multiple_of(width), 0.0);
        for (p, row) in depth.clone().enumerate() {
            w.read(&mut self.rows[..outputs.len()], row, outputs.start);
            for (panel, part) in self.panels.chunks_exact_mut(width * k).zip(self.rows.chunks_exact(width)) {
                panel[p * width..][..width].copy_from_slice(part);
            }
        }
    }
}

/// Rows and columns that are turned at a time.
const SQUARE: usize = 8;

/// `panel[p, i] = rows[i, p]`: `panel` `[k, panel_width]`, `rows` `[panel_width, k]`.
#[inline(always)]
fn turn<S: Simd>(panel: &mut [f32], rows: &[f32], k: usize) {
    let width = panel_width::<S>();
    let squares = if width.is_multiple_of(SQUARE) { k / SQUARE * SQUARE } else { 0 };
    for at in (0..squares).step_by(SQUARE) {
        let panel = &mut panel[at * width..][..SQUARE * width];
        for (group, rows) in rows.chunks_exact(SQUARE * k).enumerate() {
            turn_square(&mut panel[group * SQUARE..], width, &rows[at..], k);
        }
    }
    for (i, row) in rows.chunks_exact(k).enumerate() {
        for (p, value) in row.iter().enumerate().skip(squares) {
            panel[p * width + i] = *value;
        }
    }
}

/// `out[p, i] = rows[i, p]` for i and p below [`SQUARE`]; rows of both are `width` and `k` apart.
#[inline(always)]
fn turn_square(out: &mut [f32], width: usize, rows: &[f32], k: usize) {
    let mut square = [[0.0f32; SQUARE]; SQUARE];
    for (i, held) in square.iter_mut().enumerate() {
        held.copy_from_slice(&rows[i * k..][..SQUARE]);
    }
    for p in 0..SQUARE {
        let column: [f32; SQUARE] = std::array::from_fn(|i| square[i][p]);
        out[p * width..][..SQUARE].copy_from_slice(&column);
    }
}
