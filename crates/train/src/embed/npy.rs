//! NumPy's format: a magic string, a dictionary of Python's, and the values (NEP 1).

/// The header of a matrix `[rows, width]` of f32.
pub(super) fn header(rows: usize, width: usize) -> Vec<u8> {
    const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";
    let shape = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}");
    // The values begin at a multiple of 64; a line end closes the header.
    let length = (MAGIC.len() + 2 + shape.len() + 1).next_multiple_of(64) - MAGIC.len() - 2;
    let mut header = MAGIC.to_vec();
    header.extend((length as u16).to_le_bytes());
    header.extend(format!("{shape:<width$}\n", width = length - 1).into_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_that_of_numpy() {
        let header = header(3, 384);
        // What numpy.save writes before the values of numpy.zeros((3, 384), "<f4").
        let numpy = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (3, 384), }";
        assert!(header.starts_with(numpy), "{:?}", String::from_utf8_lossy(&header));
        assert_eq!((header.len(), header.last()), (128, Some(&b'\n')));
    }
}
