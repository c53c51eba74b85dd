//! Cells of bf16 values, and the arithmetic that fills them.

/// Rows or columns of a cell: the lanes of a vector of f32, the rows of a tile of AMX.
pub(super) const SIDE: usize = 16;

/// Inner indices of a cell.
pub(super) const DEPTH: usize = 32;

/// 16 rows of 32 bf16 values. Of the left side a row is one of the matrix, along the inner index; of the right
/// side it is a pair of inner indices, for 16 columns: `[pair, column, 2]`.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Cell(pub(super) [[u16; DEPTH]; SIDE]);

impl Cell {
    pub(super) const ZERO: Self = Self([[0; DEPTH]; SIDE]);
}

/// Cells along `depth` inner indices.
pub(super) fn cells(depth: usize) -> usize {
    depth.div_ceil(DEPTH)
}

/// What is done to values on their way into cells.
pub(crate) trait Fill {
    /// The nearest bf16 of each of as many values, the even one of two that are equally near. Not a number stays that.
    fn round(out: &mut [u16], values: &[f32]);

    /// Exchanges the rows and the pairs of columns of a cell.
    fn turn(cell: &mut Cell);

    /// `pairs[j] = first[j], second[j]`.
    fn pair(pairs: &mut [u16; DEPTH], first: &[u16; SIDE], second: &[u16; SIDE]);

    /// As [`pair`](Self::pair), of values that are rounded first.
    #[inline(always)]
    fn weave(pairs: &mut [u16; DEPTH], first: &[f32; SIDE], second: &[f32; SIDE]) {
        let mut rounded = [[0; SIDE]; 2];
        Self::round(&mut rounded[0], first);
        Self::round(&mut rounded[1], second);
        Self::pair(pairs, &rounded[0], &rounded[1]);
    }
}

/// By whatever vectors there are.
pub(super) struct Plainly;

impl Fill for Plainly {
    #[inline(always)]
    fn round(out: &mut [u16], values: &[f32]) {
        out.iter_mut().zip(values).for_each(|(out, &value)| *out = round(value));
    }

    #[inline(always)]
    fn pair(pairs: &mut [u16; DEPTH], first: &[u16; SIDE], second: &[u16; SIDE]) {
        for (pair, (&first, &second)) in pairs.as_chunks_mut::<2>().0.iter_mut().zip(first.iter().zip(second))
        {
            *pair = [first, second];
        }
    }

    #[inline(always)]
    fn turn(cell: &mut Cell) {
        let from = *cell;
        for (i, row) in cell.0.iter_mut().enumerate() {
            for (pair, from) in row.as_chunks_mut::<2>().0.iter_mut().zip(&from.0) {
                *pair = [from[2 * i], from[2 * i + 1]];
            }
        }
    }
}

/// The bits of the nearest bf16.
#[inline(always)]
pub(super) fn round(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    let quiet = bits >> 16 | 0x40;
    (if bits & 0x7fff_ffff > 0x7f80_0000 { quiet } else { rounded }) as u16
}

/// A bf16 value as f32.
#[inline(always)]
pub(super) fn single(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}
