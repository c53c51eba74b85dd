//! Rows and columns: gathering, joining, cutting. This is how virtual tokens join a packed batch.

use super::{matrix_rows, shapes, with_cols};
use crate::{Error, Result, Tensor};
use offshoot_kernels::rows as kernel;
use std::ops::Range;

impl Tensor {
    /// Row `index[i]` of a table `[rows, d]` as row `i`: an embedding, or any reordering. `[index.len(), d]`.
    ///
    /// # Errors
    /// [`Error::Index`] if an index is outside the table.
    pub fn gather_rows(&self, index: &[u32]) -> Result<Tensor> {
        let (rows, cols) = (matrix_rows(self), self.cols());
        if let Some(&bad) = index.iter().find(|&&i| i as usize >= rows) {
            return Err(Error::Index { op: "gather_rows", index: bad as usize, rows });
        }
        let mut y = self.device().take(index.len() * cols);
        kernel::gather_rows(y.host_mut(), self.host(), index, cols);
        let saved = self.link().map(|link| (link, index.to_vec()));
        Ok(Tensor::output(self.device(), &[index.len(), cols], y, &[self], move |dy| {
            if let Some((link, index)) = saved {
                link.receive(|dx| kernel::scatter_add_rows(dx, dy.host(), &index, cols));
            }
            Ok(())
        }))
    }

    /// The rows of a range of `x` `[n, d]`.
    ///
    /// # Errors
    /// [`Error::Index`] if the range ends outside the tensor.
    pub fn row_range(&self, range: Range<usize>) -> Result<Tensor> {
        let (rows, cols) = (matrix_rows(self), self.cols());
        if range.start > range.end || range.end > rows {
            return Err(Error::Index { op: "row_range", index: range.end, rows });
        }
        let values = range.start * cols..range.end * cols;
        let mut y = self.device().take(values.len());
        y.host_mut().copy_from_slice(&self.host()[values.clone()]);
        let to_x = self.link();
        Ok(Tensor::output(self.device(), &[range.len(), cols], y, &[self], move |dy| {
            if let Some(link) = to_x {
                link.receive(|dx| {
                    dx[..values.start].fill(0.0);
                    dx[values.clone()].copy_from_slice(dy.host());
                    dx[values.end..].fill(0.0);
                });
            }
            Ok(())
        }))
    }

    /// The columns of a range of `x` `[n, d]`: `[n, range]`.
    ///
    /// # Errors
    /// [`Error::Shapes`] if the range ends outside the tensor.
    pub fn columns(&self, range: Range<usize>) -> Result<Tensor> {
        let cols = self.cols();
        if range.start > range.end || range.end > cols {
            return Err(shapes("columns", self, &[range.start, range.end]));
        }
        let mut y = self.device().take(matrix_rows(self) * range.len());
        kernel::copy_columns(y.host_mut(), self.host(), cols, range.clone());
        let (to_x, shape) = (self.link(), with_cols(self, range.len()));
        Ok(Tensor::output(self.device(), &shape, y, &[self], move |dy| {
            if let Some(link) = to_x {
                link.receive(|dx| kernel::place_columns(dx, dy.host(), cols, range));
            }
            Ok(())
        }))
    }

    /// The mean of each segment of rows of `x` `[n, d]`: `[segments, d]`. An empty segment gives zeros.
    ///
    /// # Errors
    /// [`Error::Index`] if a segment ends outside the tensor.
    pub fn segment_mean(&self, segments: &[Range<usize>]) -> Result<Tensor> {
        let (rows, cols) = (matrix_rows(self), self.cols());
        if let Some(bad) = segments.iter().find(|s| s.end > rows || s.start > s.end) {
            return Err(Error::Index { op: "segment_mean", index: bad.end, rows });
        }
        let mut y = self.device().take(segments.len() * cols);
        kernel::segment_mean(y.host_mut(), self.host(), segments, cols);
        let saved = self.link().map(|link| (link, segments.to_vec()));
        Ok(Tensor::output(self.device(), &[segments.len(), cols], y, &[self], move |dy| {
            if let Some((link, segments)) = saved {
                link.receive(|dx| kernel::segment_mean_backward(dx, dy.host(), &segments, cols));
            }
            Ok(())
        }))
    }
}

/// The rows of all parts, one below the other. The parts have the same number of columns.
///
/// # Errors
/// [`Error::Shapes`] if they have not; [`Error::Invalid`] if there is no part.
pub fn concat_rows(parts: &[&Tensor]) -> Result<Tensor> {
    let first = parts.first().ok_or_else(|| Error::invalid("concat_rows: there is nothing to join"))?;
    if let Some(other) = parts.iter().find(|p| p.cols() != first.cols()) {
        return Err(shapes("concat_rows", first, other.shape()));
    }
    let total: usize = parts.iter().map(|p| p.len()).sum();
    let mut y = first.device().take(total);
    let mut rest = y.host_mut();
    for part in parts {
        let (head, tail) = rest.split_at_mut(part.len());
        head.copy_from_slice(part.host());
        rest = tail;
    }
    let links: Vec<_> = parts.iter().map(|p| (p.link(), p.len())).collect();
    let shape = [total / first.cols().max(1), first.cols()];
    Ok(Tensor::output(first.device(), &shape, y, parts, move |dy| {
        let mut rest = dy.host();
        for (link, len) in links {
            let (head, tail) = rest.split_at(len);
            if let Some(link) = link {
                link.receive(|dx| dx.copy_from_slice(head));
            }
            rest = tail;
        }
        Ok(())
    }))
}
