//! The angles of rotary position encodings.

use offshoot_kernels::rope::Angles;

/// The angles by which the rows of a pass turn: cosines and sines `[n, e / 2]`, computed once per pass and
/// shared by its layers.
#[derive(Debug, Default)]
pub struct Rotation {
    cos: Vec<f32>,
    sin: Vec<f32>,
    /// Columns of a head.
    dim: usize,
}

impl Rotation {
    /// The angles `position * frequency` for each of the rows' positions and the frequencies `[e / 2]`.
    /// Cosines and sines are multiplied by `magnitude`, which is 1 but for some scaled encodings.
    pub fn new(positions: &[u32], frequencies: &[f32], magnitude: f32) -> Self {
        let mut rotation = Self { dim: 2 * frequencies.len(), ..Self::default() };
        positions.iter().for_each(|&position| rotation.push(position, frequencies, magnitude));
        rotation
    }

    /// Adds a row at a position.
    pub fn push(&mut self, position: u32, frequencies: &[f32], magnitude: f32) {
        self.dim = 2 * frequencies.len();
        // The product is taken in f32, as transformers does: its rounding is part of what models were trained on.
        let angles = frequencies.iter().map(|f| (position as f32 * f).sin_cos());
        angles.for_each(|(sin, cos)| {
            self.cos.push(cos * magnitude);
            self.sin.push(sin * magnitude);
        });
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.cos.len() / (self.dim / 2).max(1)
    }

    /// Columns of a head.
    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    pub(crate) fn angles(&self) -> Angles<'_> {
        Angles { cos: &self.cos, sin: &self.sin, dim: self.dim }
    }
}
