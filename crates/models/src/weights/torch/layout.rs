//! A tensor's place in the file: a view of a storage, checked against the storage's own bytes.

use std::ops::Range;

use super::value::{Storage, Tensor};
use crate::weights::header::{Entry, TensorInfo};

/// Checks a view against its storage, whose elements lie in `data`.
///
/// # Errors
/// A sentence that names the tensor: the storage has another size than it should, or the view leaves it.
pub(super) fn place(
    name: String,
    view: &Tensor<'_>,
    storage: &Storage<'_>,
    data: &Range<usize>,
) -> Result<Entry, String> {
    let whole = storage.elements.checked_mul(storage.dtype.bits() / 8);
    if whole != Some(data.len()) {
        return Err(format!(
            "tensor `{name}`: its storage should have {} elements of {}, and has {} bytes; the file is \
             damaged, download it again",
            storage.elements,
            storage.dtype,
            data.len()
        ));
    }
    let span = span(view, data.len()).ok_or_else(|| {
        format!(
            "tensor `{name}` of shape {:?}, strides {:?} and offset {} does not lie in its storage of {} \
             bytes; the file is damaged, download it again",
            view.shape,
            view.strides,
            view.offset,
            data.len()
        )
    })?;
    let size = view.dtype.bits() / 8;
    let bytes = view.shape.iter().product::<usize>() * size;
    let strides = (bytes > 0 && !is_row_major(view)).then(|| view.strides.clone());
    let info = TensorInfo { dtype: view.dtype, shape: view.shape.clone(), bytes };
    Ok(Entry { name, info, start: data.start + span.start, end: data.start + span.end, strides })
}

/// The bytes of a storage of `bytes` from the view's first to its last element; none if the view leaves the
/// storage, or has more elements than it, so that a few bytes could stand for any number of values.
fn span(view: &Tensor<'_>, bytes: usize) -> Option<Range<usize>> {
    let size = view.dtype.bits() / 8;
    let elements = view.shape.iter().try_fold(1_usize, |product, axis| product.checked_mul(*axis))?;
    if elements == 0 {
        return Some(0..0);
    }
    let mut last = view.offset;
    for (axis, stride) in view.shape.iter().zip(&view.strides) {
        last = (axis - 1).checked_mul(*stride)?.checked_add(last)?;
    }
    let end = last.checked_add(1)?.checked_mul(size)?;
    let fits = end <= bytes && elements.checked_mul(size)? <= bytes;
    fits.then(|| view.offset * size..end)
}

/// Whether the elements, of which there are some, lie one behind the other in the order of their indices.
fn is_row_major(view: &Tensor<'_>) -> bool {
    let mut expected = 1;
    view.shape.iter().zip(&view.strides).rev().all(|(axis, stride)| {
        let fits = *axis == 1 || *stride == expected;
        expected *= axis;
        fits
    })
}

/// The elements of a view in row-major order, out of the bytes from its first to its last: `size` bytes each.
/// Gives fewer where the view leaves the bytes, which a checked one does not.
pub(in crate::weights) fn gather(bytes: &[u8], size: usize, shape: &[usize], strides: &[usize]) -> Vec<u8> {
    let elements = shape.iter().product::<usize>();
    let mut gathered = Vec::with_capacity(elements * size);
    let mut index = vec![0; shape.len()];
    let mut at = 0;
    for _ in 0..elements {
        gathered.extend(bytes.get(at * size..(at + 1) * size).unwrap_or_default());
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= index[axis] * strides[axis];
            index[axis] = 0;
        }
    }
    gathered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::dtype::Dtype;
    use proptest::prelude::*;

    proptest! {
        /// Any view that is accepted is read element by element as its strides say.
        #[test]
        fn a_view_is_read_by_its_strides(
            axes in prop::collection::vec((0_usize..4, 0_usize..7), 0..4),
            offset in 0_usize..5,
            elements in 1_usize..60,
        ) {
            let (shape, strides): (Vec<_>, Vec<_>) = axes.into_iter().unzip();
            let view = Tensor { key: "0", dtype: Dtype::F32, offset, shape, strides };
            let storage = Storage { key: "0", dtype: Dtype::F32, elements };
            let bytes: Vec<u8> = (0..elements).flat_map(|i| (i as f32).to_le_bytes()).collect();
            let places = places(&view);
            let inside = places.iter().all(|place| *place < elements) && places.len() <= elements;
            let placed = place("w".into(), &view, &storage, &(0..bytes.len()));
            prop_assert_eq!(placed.is_ok(), inside);
            if let Ok(entry) = placed {
                let part = &bytes[entry.start..entry.end];
                let gathered = entry.strides.map(|strides| gather(part, 4, &view.shape, &strides));
                let values = Dtype::F32.decode(gathered.as_deref().unwrap_or(part)).unwrap();
                prop_assert_eq!(values, places.iter().map(|place| *place as f32).collect::<Vec<_>>());
            }
        }
    }

    /// The element of each index, by a division of its number.
    fn places(view: &Tensor<'_>) -> Vec<usize> {
        let count = view.shape.iter().product();
        let place = |mut number: usize| {
            let mut at = view.offset;
            for (axis, stride) in view.shape.iter().zip(&view.strides).rev() {
                at += number % axis * stride;
                number /= axis;
            }
            at
        };
        (0..count).map(place).collect()
    }
}
