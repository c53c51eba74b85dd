//! Where a product goes, and what it is added to.

/// What a product is added to.
#[derive(Clone, Copy, Debug)]
pub enum Start<'a> {
    /// Nothing.
    Zero,
    /// A row `[width]` for every row of the output: a bias.
    Row(&'a [f32]),
    /// What stands in the output.
    Output,
}

impl Start<'_> {
    /// The sum without a product.
    pub(super) fn alone(self, out: &mut [f32]) {
        match self {
            Self::Zero => out.fill(0.0),
            Self::Row(row) => out.chunks_exact_mut(row.len().max(1)).for_each(|out| out.copy_from_slice(row)),
            Self::Output => {}
        }
    }
}

/// The output `[rows, width]`, to which tasks write in rectangles of their own, and what stands in for it before the
/// first inner index.
pub(super) struct Output<'a> {
    data: *mut f32,
    pub(super) width: usize,
    start: Start<'a>,
}

// SAFETY: tasks write to rectangles of their own.
unsafe impl Sync for Output<'_> {}

/// Values to be added to, and how far apart their rows are.
pub(super) type Before = Option<(*const f32, usize)>;

impl<'a> Output<'a> {
    pub(super) fn new(data: &'a mut [f32], width: usize, start: Start<'a>) -> Self {
        if let Start::Row(row) = start {
            assert_eq!(row.len(), width, "row is not as wide as the output");
        }
        Self { data: data.as_mut_ptr(), width, start }
    }

    pub(super) fn at(&self, row: usize, column: usize) -> *mut f32 {
        self.data.wrapping_add(row * self.width + column)
    }

    /// What the part from a row and a column on is added to, from an inner index on.
    pub(super) fn before(&self, depth: usize, row: usize, column: usize) -> Before {
        match self.start {
            Start::Zero if depth == 0 => None,
            Start::Row(start) if depth == 0 => Some((start[column..].as_ptr(), 0)),
            _ => Some((self.at(row, column), self.width)),
        }
    }
}
