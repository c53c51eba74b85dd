//! The safetensors format with one tensor, `embeddings`.

use serde_json::json;

/// The header of a matrix `[rows, width]` of f32.
pub(super) fn header(rows: usize, width: usize) -> Vec<u8> {
    let bytes = rows * width * size_of::<f32>();
    let tensor = json!({"dtype": "F32", "shape": [rows, width], "data_offsets": [0, bytes]});
    let text = json!({"__metadata__": {"format": "pt"}, "embeddings": tensor}).to_string();
    let padded = text.len().next_multiple_of(8);
    let mut header = (padded as u64).to_le_bytes().to_vec();
    header.extend(text.into_bytes());
    header.resize(size_of::<u64>() + padded, b' ');
    header
}
