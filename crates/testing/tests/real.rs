//! The real encoder, all-MiniLM-L6-v2, against what transformers 5.23 computes with torch in f32. `cargo
//! xtask assets` fetches it; without it these tests say that they did not run.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails the test")]

use offshoot_core::Device;
use offshoot_methods::MethodConfig;
use offshoot_models::{Model, Pooling, Tokenizer};
use offshoot_train::{Classifier, Row};
use std::path::{Path, PathBuf};

/// A sentence, its token ids, the first values of its mean-pooled hidden states, and their length.
struct Reference {
    text: &'static str,
    ids: &'static [u32],
    first: [f32; 6],
    norm: f32,
}

const REFERENCES: [Reference; 2] = [
    Reference {
        text: "Offshoot grows small adapters on a frozen model.",
        ids: &[101, 12446, 23416, 7502, 2235, 15581, 2545, 2006, 1037, 7708, 2944, 1012, 102],
        first: [-0.409654, -0.096537, 0.141232, 0.440572, 0.383235, -0.160948],
        norm: 4.908934,
    },
    Reference {
        text: "A dull, overlong film; but the ending is superb!",
        ids: &[101, 1037, 10634, 1010, 2058, 10052, 2143, 1025, 2021, 1996, 4566, 2003, 21688, 999, 102],
        first: [-0.304934, -0.059098, 0.115955, -0.0455, 0.07334, -0.013966],
        norm: 5.027151,
    },
];

/// The references have six decimals; six layers of f32 in another order differ by less than this.
const TOLERANCE: f32 = 1e-5;

fn model_folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/all-MiniLM-L6-v2");
    let there = folder.join("model.safetensors").exists();
    if !there {
        eprintln!("not run: {} is absent; `cargo xtask assets` fetches it", folder.display());
    }
    there.then_some(folder)
}

#[test]
fn texts_become_the_tokens_and_features_of_transformers() {
    let Some(folder) = model_folder() else { return };
    let model = Model::load(&folder, None, &Device::cpu()).unwrap();
    assert_eq!(model.pooling, Pooling::Mean, "1_Pooling says so");
    let tokenizer = Tokenizer::open(&folder).unwrap();
    let rows: Vec<Row> = REFERENCES.iter().map(|reference| row(&tokenizer, reference)).collect();
    let method = MethodConfig::named("head").unwrap();
    let classifier = Classifier::new(&model, &method, 2, 0).unwrap();
    let features = classifier.features(&rows, 1000, |_| {}).unwrap();
    for (features, reference) in features.iter().zip(&REFERENCES) {
        for (value, expected) in features.iter().zip(reference.first) {
            assert!((value - expected).abs() < TOLERANCE, "{}: {value} {expected}", reference.text);
        }
        let norm = features.iter().map(|x| x * x).sum::<f32>().sqrt();
        assert!((norm - reference.norm).abs() < TOLERANCE, "{}: {norm}", reference.text);
    }
}

fn row(tokenizer: &Tokenizer, reference: &Reference) -> Row {
    let encoded = tokenizer.encode(reference.text, None, 128).unwrap();
    assert_eq!(encoded.ids, reference.ids, "{}", reference.text);
    let types = encoded.types.into_iter().map(u32::from).collect();
    Row { ids: encoded.ids, types, label: 0.into(), line: 1, truncated: false }
}
