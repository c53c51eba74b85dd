//! `offshoot embed`.

use crate::place::{Place, rows};
use offshoot::models::weights::read_tensors;
use offshoot::train::data::read_table;
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::Value;
use std::fs::{self, File};

/// The values of a file of NumPy's.
fn npy(bytes: &[u8]) -> Vec<f32> {
    let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    bytes[header..].as_chunks().0.iter().map(|&value| f32::from_le_bytes(value)).collect()
}

#[test]
fn embeddings_are_the_same_in_every_format_and_in_any_number_of_parts() {
    let place = Place::new();
    fs::write(place.path("more.csv"), rows(31)).unwrap();
    let embed = |flags: &str| place.run(&format!("embed more.csv --model model --threads 1 {flags}")).ok();
    let said = embed("--output all.npy --json").json();
    assert_eq!((said["rows"].as_u64(), said["width"].as_u64()), (Some(31), Some(16)));
    let whole = npy(&fs::read(place.path("all.npy")).unwrap());
    assert_eq!(whole.len(), 31 * 16);
    assert!(whole.iter().all(|value| value.is_finite()) && whole[..16] != whole[16..32]);

    let parts = |count: usize| -> Vec<f32> {
        let part = |index: usize| {
            embed(&format!("--shard {index}/{count} --output part.npy"));
            npy(&fs::read(place.path("part.npy")).unwrap())
        };
        (1..=count).flat_map(part).collect()
    };
    assert_eq!((parts(2), parts(5)), (whole.clone(), whole.clone()), "to the bit");

    embed("--output all.safetensors");
    let tensors = read_tensors(&place.path("all.safetensors")).unwrap();
    assert_eq!(tensors["embeddings"], (vec![31, 16], whole.clone()));
    let lines = place.read("all.rows.jsonl");
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!((&first["line"], &first["label"]), (&Value::from(2), &Value::from("1")));
    assert!(first["text"].as_str().unwrap().contains("good"));

    embed("--output all.parquet");
    let reader = SerializedFileReader::new(File::open(place.path("all.parquet")).unwrap()).unwrap();
    let rows: Vec<Value> =
        reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_json_value()).collect();
    let values = |row: &Value| -> Vec<f32> {
        row["embedding"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect()
    };
    assert_eq!(rows.iter().flat_map(values).collect::<Vec<f32>>(), whole);
    assert_eq!((&rows[1]["line"], &rows[1]["label"]), (&Value::from(3), &Value::from("0")));
    assert!(rows[1]["text"].as_str().unwrap().contains("bad") && rows[1]["text_pair"].is_null());
    place.run("embed all.parquet --model model --text text --output all.parquet").fails(1, &["overwritten"]);
    let message = read_table(&place.path("all.parquet")).unwrap_err().to_string();
    assert!(message.contains("`embedding` holds a list"), "{message}");
    place.run("embed more.csv --model model --output all.csv").fails(1, &[".parquet, .npy or .safetensors"]);
    place.run("embed more.csv --model model --shard 3/2 --output all.npy").fails(2, &["2/4"]);
}
