//! How many logits of a vocabulary are held at a time.

/// Values of logits that are computed at a time: 64 MiB, in which their gradient takes their place.
const CHUNK: usize = 16 << 20;

/// Rows whose logits are computed at a time, of so many: all chunks are about as large, because each reads the
/// whole output head.
pub(crate) fn chunk_rows(rows: usize, vocab: usize) -> usize {
    rows.div_ceil(rows.div_ceil(most_rows(rows, vocab)).max(1)).max(1)
}

/// Rows whose logits are computed at a time at most, of up to so many.
pub(crate) fn most_rows(rows: usize, vocab: usize) -> usize {
    (CHUNK / vocab.max(1)).min(rows).max(1)
}

/// Bytes of the logits that [`linear_cross_entropy`](crate::linear_cross_entropy) holds at a time for up to so many
/// rows.
pub fn logits_bytes(rows: usize, vocab: usize) -> u64 {
    (most_rows(rows, vocab) * vocab * size_of::<f32>()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_even_and_bounded() {
        assert_eq!(chunk_rows(10, 100), 10);
        assert_eq!([chunk_rows(341, 49_152), chunk_rows(342, 49_152)], [341, 171]);
        assert_eq!(chunk_rows(3, usize::MAX), 1);
        assert_eq!([chunk_rows(0, 0), chunk_rows(0, 7)], [1, 1]);
        assert_eq!(logits_bytes(342, 49_152), 341 * 49_152 * 4, "341 labelled rows are one chunk");
    }
}
