//! Rotary position encoding.

use super::{matrix_rows, shapes};
use crate::{Result, Tensor};
use offshoot_kernels::rope::{Angles, rotate};
use std::sync::Arc;

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

    fn angles(&self) -> Angles<'_> {
        Angles { cos: &self.cos, sin: &self.sin, dim: self.dim }
    }
}

impl Tensor {
    /// Turns every head of `x` `[n, heads e]` by the angles of its row (Su et al. 2021).
    ///
    /// # Errors
    /// [`Error::Shapes`](crate::Error::Shapes) if the rotation has another number of rows, or heads of
    /// another width.
    pub fn rotate(&self, rotation: &Arc<Rotation>) -> Result<Tensor> {
        let (dim, cols) = (rotation.dim, self.cols());
        if dim == 0 || !cols.is_multiple_of(dim) || rotation.rows() != matrix_rows(self) {
            return Err(shapes("rotate", self, &[rotation.rows(), dim]));
        }
        let heads = cols / dim;
        let mut y = self.device().take(self.len());
        rotate(y.host_mut(), self.host(), rotation.angles(), heads, false);
        let saved = self.link().map(|link| (link, Arc::clone(rotation)));
        Ok(Tensor::output(self.device(), self.shape(), y, &[self], move |dy| {
            if let Some((link, rotation)) = saved {
                link.receive(|dx| rotate(dx, dy.host(), rotation.angles(), heads, true));
            }
            Ok(())
        }))
    }
}
