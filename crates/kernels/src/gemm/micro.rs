//! The innermost loop: a few rows of the left side times one panel, kept in registers.

use pulp::Simd;

/// A panel is so many vectors wide.
const VECTORS: usize = 2;

/// Elements of the widest vector of any instruction set.
const MOST_LANES: usize = 16;

/// Columns of a panel under an instruction set.
#[inline(always)]
pub(super) fn panel_width<S: Simd>() -> usize {
    VECTORS * S::F32_LANES
}

/// Rows `[rows, depth]` of the left side by pointer.
#[derive(Clone, Copy)]
pub(super) struct Strips {
    pub data: *const f32,
    /// From one row of a strip to the next.
    pub row_stride: usize,
    /// From one inner index to the next.
    pub step: usize,
    /// From one strip to the next.
    pub strip_stride: usize,
}

/// Rows of a strip under an instruction set: twice as many vectors as rows hold the sums, 12 of 16 registers
/// or 24 of 32; the others hold a panel's row and an element.
#[inline(always)]
pub(super) fn strip_rows<S: Simd>() -> usize {
    if S::REGISTER_COUNT >= 32 { 12 } else { 6 }
}

/// A panel and the rows that it is multiplied with, by pointers: `out[r, j] (+)= sum_p left[r, p] panel[p, j]`.
#[derive(Clone, Copy)]
pub(super) struct Strip {
    pub left: Strips,
    /// `[depth, panel_width]`
    pub panel: *const f32,
    pub depth: usize,
    /// `[rows, width]`, rows `out_stride` apart.
    pub out: *mut f32,
    pub out_stride: usize,
    /// Columns of `out`: at most those of the panel.
    pub width: usize,
    /// What the sums are added to, where it is not nothing: rows at a pointer, so far apart.
    pub start: Option<(*const f32, usize)>,
}

impl Strip {
    /// Multiplies `rows` rows. Each element of the output is one chain of additions in the order of p, whatever
    /// the number of rows and wherever `depth` was cut: it has the same bits beside any other rows.
    ///
    /// # Safety
    /// The pointers must be valid for their shapes, and nobody else may touch the output meanwhile.
    #[inline(always)]
    pub(super) unsafe fn run<S: Simd>(mut self, simd: S, rows: usize) {
        let mut rest = rows;
        while rest > 0 {
            let now = rest.min(strip_rows::<S>());
            // SAFETY: the caller's promise; `now` rows are left.
            unsafe { self.few(simd, now) };
            self.left.data = self.left.data.wrapping_add(self.left.strip_stride);
            self.out = self.out.wrapping_add(now * self.out_stride);
            self.start = self.start.map(|(start, stride)| (start.wrapping_add(now * stride), stride));
            rest -= now;
        }
    }

    /// # Safety
    /// As [`run`](Self::run).
    #[inline(always)]
    unsafe fn few<S: Simd>(self, simd: S, rows: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            match rows {
                12 => self.rows::<S, 12>(simd),
                11 => self.rows::<S, 11>(simd),
                10 => self.rows::<S, 10>(simd),
                9 => self.rows::<S, 9>(simd),
                8 => self.rows::<S, 8>(simd),
                7 => self.rows::<S, 7>(simd),
                6 => self.rows::<S, 6>(simd),
                5 => self.rows::<S, 5>(simd),
                4 => self.rows::<S, 4>(simd),
                3 => self.rows::<S, 3>(simd),
                2 => self.rows::<S, 2>(simd),
                _ => self.rows::<S, 1>(simd),
            }
        }
    }

    /// A panel that is wider than the output goes through a buffer.
    ///
    /// # Safety
    /// As [`run`](Self::run), with `ROWS` rows.
    #[inline(always)]
    unsafe fn rows<S: Simd, const ROWS: usize>(self, simd: S) {
        const STRIDE: usize = VECTORS * MOST_LANES;
        if self.width == panel_width::<S>() {
            // SAFETY: the caller's promise.
            return unsafe { self.block::<S, ROWS>(simd) };
        }
        let mut buffer = [[0.0f32; STRIDE]; ROWS];
        // SAFETY: the caller's promise; a row of the buffer holds the widest panel.
        unsafe {
            if let Some((start, stride)) = self.start {
                for (r, row) in buffer.iter_mut().enumerate() {
                    start.add(r * stride).copy_to(row.as_mut_ptr(), self.width);
                }
            }
            let out: *mut f32 = buffer.as_mut_ptr().cast();
            let start = Some((out.cast_const(), STRIDE));
            Self { out, out_stride: STRIDE, width: panel_width::<S>(), start, ..self }.block::<S, ROWS>(simd);
            for (r, row) in buffer.iter().enumerate() {
                self.out.add(r * self.out_stride).copy_from(row.as_ptr(), self.width);
            }
        }
    }

    /// # Safety
    /// As [`run`](Self::run), with `ROWS` rows and a whole panel.
    #[inline(always)]
    unsafe fn block<S: Simd, const ROWS: usize>(self, simd: S) {
        let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
        // SAFETY: the caller's promise.
        unsafe {
            if let Some((start, stride)) = self.start {
                for (r, sums) in sums.iter_mut().enumerate() {
                    for (v, sum) in sums.iter_mut().enumerate() {
                        *sum = start.add(r * stride + v * S::F32_LANES).cast::<S::f32s>().read_unaligned();
                    }
                }
            }
            // What is known costs no register and no addition.
            match (self.left.row_stride, self.left.step) {
                (1, step) if step == strip_rows::<S>() => self.chain(simd, &mut sums, (1, strip_rows::<S>())),
                strides => self.chain(simd, &mut sums, strides),
            }
            for (r, sums) in sums.iter().enumerate() {
                for (v, sum) in sums.iter().enumerate() {
                    self.vector::<S>(r, v).write_unaligned(*sum);
                }
            }
        }
    }

    /// A vector of the output.
    #[inline(always)]
    fn vector<S: Simd>(&self, row: usize, index: usize) -> *mut S::f32s {
        self.out.wrapping_add(row * self.out_stride + index * S::F32_LANES).cast()
    }

    /// # Safety
    /// As [`block`](Self::block).
    #[inline(always)]
    unsafe fn chain<S: Simd, const ROWS: usize>(
        self,
        simd: S,
        sums: &mut [[S::f32s; VECTORS]; ROWS],
        (row_stride, step): (usize, usize),
    ) {
        let (mut left, mut panel) = (self.left.data, self.panel);
        for _ in 0..self.depth {
            // SAFETY: the caller's promise.
            unsafe {
                let row: [S::f32s; VECTORS] =
                    std::array::from_fn(|v| panel.add(v * S::F32_LANES).cast::<S::f32s>().read_unaligned());
                for (r, sums) in sums.iter_mut().enumerate() {
                    let value = simd.splat_f32s(*left.add(r * row_stride));
                    for (sum, &w) in sums.iter_mut().zip(&row) {
                        *sum = simd.mul_add_e_f32s(value, w, *sum);
                    }
                }
            }
            left = left.wrapping_add(step);
            panel = panel.wrapping_add(panel_width::<S>());
        }
    }
}
