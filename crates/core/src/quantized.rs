//! A frozen matrix that stays in the blocks of its file: never whole in f32, never copied.

use crate::buffer::Buffer;
use crate::{Device, Error, Result, Tensor};
use offshoot_kernels::gemm::{Arithmetic, Operand, Packed};
use offshoot_kernels::memory::page_out;
use offshoot_kernels::quant::{self as kernel, Format, Matrix};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Bytes that somebody owns: a vector, or a file mapped into memory.
pub type SharedBytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// The elements of whole blocks, in f32.
///
/// # Errors
/// [`Error::Invalid`] if the bytes are not whole blocks.
pub fn dequantize(format: Format, bytes: &[u8]) -> Result<Vec<f32>> {
    let (blocks, rest) = (bytes.len() / format.block_bytes(), bytes.len() % format.block_bytes());
    if rest != 0 {
        return Err(Error::invalid(format!("{} bytes are not whole blocks of {format}", bytes.len())));
    }
    let mut values = vec![0.0; blocks * format.block_elements()];
    kernel::dequantize(format, bytes, &mut values);
    Ok(values)
}

/// A quantised matrix `[rows, cols]`. Cloning shares the bytes.
#[derive(Clone)]
pub struct Quantized {
    format: Format,
    shape: [usize; 2],
    bytes: SharedBytes,
    range: Range<usize>,
    packed: Option<Arc<Packed>>,
    device: Device,
}

impl Quantized {
    /// The matrix `[rows, cols]` whose rows, each a whole number of blocks, are the given range of `bytes`.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a row is not a whole number of blocks, or the range is not inside the bytes or has
    /// another length than the rows.
    pub fn new(
        device: &Device,
        format: Format,
        shape: [usize; 2],
        bytes: SharedBytes,
        range: Range<usize>,
    ) -> Result<Self> {
        let [rows, cols] = shape;
        let expected = format.bytes(cols).and_then(|row| row.checked_mul(rows)).ok_or_else(|| {
            let block = format.block_elements();
            Error::invalid(format!("a {format} matrix {shape:?}: rows must be whole blocks of {block}"))
        })?;
        let found = (*bytes).as_ref().get(range.clone()).map(<[u8]>::len);
        if found != Some(expected) {
            let size = (*bytes).as_ref().len();
            let reason = format!(
                "a {format} matrix {shape:?} has {expected} bytes, not {range:?} of {size}: damaged file?"
            );
            return Err(Error::Invalid(reason));
        }
        Ok(Self { format, shape, bytes, range, packed: None, device: device.clone() })
    }

    /// How its elements are stored.
    pub fn format(&self) -> Format {
        self.format
    }

    /// `[rows, cols]`
    pub fn shape(&self) -> &[usize; 2] {
        &self.shape
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.shape[0]
    }

    /// The number of columns.
    pub fn cols(&self) -> usize {
        self.shape[1]
    }

    /// The number of values.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.rows() * self.cols()
    }

    /// Its blocks, row after row.
    pub fn bytes(&self) -> &[u8] {
        &(*self.bytes).as_ref()[self.range.clone()]
    }

    /// Whether they are a part of more bytes, such as a mapped file, and not a copy of their own.
    pub fn is_part(&self) -> bool {
        self.range.len() < (*self.bytes).as_ref().len()
    }

    /// Where its products are computed.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Some of its rows, which share the bytes: `[range.len(), cols]`.
    ///
    /// # Errors
    /// [`Error::Index`] if the range ends outside the matrix.
    pub fn row_range(&self, rows: Range<usize>) -> Result<Self> {
        if rows.start > rows.end || rows.end > self.rows() {
            return Err(Error::Index { op: "row_range", index: rows.end, rows: self.rows() });
        }
        let row_bytes = self.range.len() / self.rows().max(1);
        let start = self.range.start;
        let range = start + rows.start * row_bytes..start + rows.end * row_bytes;
        Ok(Self { shape: [rows.len(), self.cols()], range, packed: None, ..self.clone() })
    }

    /// Keeps the matrix in bf16 for products from now on, in the order in which they read it, and lets its bytes leave
    /// memory. Does nothing where products are not computed in bf16, and to formats of fewer bits.
    pub fn pack(&mut self) {
        let floats = matches!(self.format, Format::F32 | Format::F16 | Format::Bf16);
        if floats && self.packed.is_none() && self.device.arithmetic() == Arithmetic::Bf16 {
            self.packed = Some(Arc::new(Operand::from(self.matrix()).pack()));
            page_out(self.bytes());
        }
    }

    /// Bytes that products read where they are not those of the file.
    pub fn packed_bytes(&self) -> Option<usize> {
        self.packed.as_ref().map(|packed| packed.bytes())
    }

    /// All values in f32, `[rows, cols]`: for merging and for training the matrix itself.
    pub fn dequantize(&self) -> Tensor {
        self.computed(&self.shape, |out| kernel::dequantize(self.format, self.bytes(), out))
    }

    /// Row `index[i]` as row `i`: an embedding. `[index.len(), cols]`.
    ///
    /// # Errors
    /// [`Error::Index`] if an index is outside the matrix.
    pub fn gather_rows(&self, index: &[u32]) -> Result<Tensor> {
        if let Some(&bad) = index.iter().find(|&&i| i as usize >= self.rows()) {
            return Err(Error::Index { op: "gather_rows", index: bad as usize, rows: self.rows() });
        }
        Ok(self.computed(&[index.len(), self.cols()], |out| kernel::gather_rows(out, self.matrix(), index)))
    }

    /// The squared length of each row: `[rows]`.
    pub fn squared_row_norms(&self) -> Tensor {
        self.computed(&[self.rows()], |out| kernel::row_squares(out, self.matrix()))
    }

    /// What products of many rows read.
    pub(crate) fn operand(&self) -> Operand<'_> {
        match &self.packed {
            Some(packed) => packed.as_ref().into(),
            None => self.matrix().into(),
        }
    }

    pub(crate) fn matrix(&self) -> Matrix<'_> {
        Matrix::new(self.format, self.bytes(), self.rows(), self.cols())
    }

    fn computed(&self, shape: &[usize], fill: impl FnOnce(&mut [f32])) -> Tensor {
        let mut buffer: Buffer = self.device.take(shape.iter().product());
        fill(buffer.host_mut());
        Tensor::from_buffer(&self.device, shape, buffer)
    }
}

impl fmt::Debug for Quantized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quantized({} {:?})", self.format, self.shape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, Params, Part, Place, Step, Weight, nn};

    /// A matrix of halfs 0, 1, 2, ... behind some bytes that are not its own.
    fn counted(rows: usize, cols: usize) -> Quantized {
        // Integers up to 2048 are halfs; their bits by way of f32's.
        let half = |i: usize| {
            let bits = (i as f32).to_bits();
            let half = if i == 0 { 0 } else { (bits >> 13) - (112 << 10) };
            (half as u16).to_le_bytes()
        };
        let bytes: Vec<u8> = [9; 3].into_iter().chain((0..rows * cols).flat_map(half)).collect();
        let range = 3..bytes.len();
        Quantized::new(&Device::cpu(), Format::F16, [rows, cols], Arc::new(bytes), range).unwrap()
    }

    fn weight(value: Quantized) -> Weight {
        Weight::quantized("w", Place { part: Part::Block(0), kind: Kind::Matrix }, value)
    }

    #[test]
    fn values_rows_and_norms() {
        let w = counted(5, 3);
        assert_eq!(w.dequantize().to_vec(), (0..15).map(|i| i as f32).collect::<Vec<_>>());
        assert_eq!(w.gather_rows(&[4, 0]).unwrap().to_vec(), [12.0, 13.0, 14.0, 0.0, 1.0, 2.0]);
        assert_eq!(w.squared_row_norms().to_vec(), [5.0, 50.0, 149.0, 302.0, 509.0]);
        let middle = w.row_range(1..3).unwrap();
        assert_eq!(
            (middle.shape(), middle.dequantize().to_vec()),
            (&[2, 3], vec![3.0, 4.0, 5.0, 6.0, 7.0, 8.0])
        );
        assert!(w.gather_rows(&[5]).is_err() && w.row_range(4..6).is_err());
    }

    #[test]
    fn whole_blocks_become_values() {
        let block = [&[0x00, 0x3c][..], &[3; 32]].concat();
        assert_eq!(dequantize(Format::Q8_0, &block).unwrap(), [3.0; 32]);
        assert!(dequantize(Format::Q8_0, &block[1..]).is_err());
    }

    #[test]
    fn bytes_that_do_not_fit_are_refused() {
        let new = |shape, range| {
            Quantized::new(&Device::cpu(), Format::Q8_0, shape, Arc::new(vec![0_u8; 68]), range)
        };
        assert!(new([2, 32], 0..68).is_ok());
        assert!(new([2, 31], 0..68).unwrap_err().to_string().contains("whole blocks of 32"));
        assert!(new([2, 32], 0..67).unwrap_err().to_string().contains("68 bytes"));
        assert!(new([2, 32], 1..69).is_err(), "outside the bytes");
        assert!(new([usize::MAX, 32], 0..68).is_err());
    }

    #[test]
    fn a_weight_computes_from_its_blocks_and_is_frozen_until_it_is_trained() {
        let mut params = Params::new();
        let mut weight = weight(counted(2, 3));
        assert_eq!((weight.shape(), weight.len()), (&[2, 3][..], 6));
        assert!(weight.param().is_none() && weight.frozen_value().is_none());
        let x = Tensor::new(&Device::cpu(), &[1, 3], &[1.0, 10.0, 100.0]).unwrap();
        let expected = [210.0, 543.0];
        let product = |weight: &Weight, params: &Params| {
            let linear =
                nn::Linear { weight: weight.clone(), bias: None, inputs: 3, outputs: 2, input_major: false };
            let base = linear.lend(params);
            assert_eq!(base.product(&x).unwrap().to_vec(), expected);
            assert_eq!(base.squared_row_norms().unwrap().to_vec(), [5.0, 50.0]);
            assert_eq!(Step::detached(params).product(&x, weight).unwrap().to_vec(), expected);
            let table = nn::Embedding { table: weight.clone() };
            let rows = table.forward(&[1], &Step::detached(params)).unwrap();
            assert_eq!(rows.to_vec(), [3.0, 4.0, 5.0]);
            linear.forward(&x, &Step::detached(params)).unwrap().to_vec()
        };
        assert_eq!(product(&weight, &params), expected);
        assert_eq!(weight.value(&params).to_vec(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        weight.train(&mut params).unwrap();
        assert_eq!(params.iter().next().unwrap().value().shape(), [2, 3]);
        assert!(weight.blocks().is_none());
        assert_eq!((product(&weight, &params), weight.len()), (expected.to_vec(), 6));
    }
}
