//! Fine-tunes frozen transformers with small adapters, and compares the ways of doing it.
//!
//! This crate is the one that other programs depend on; it gathers the library crates under one name. A run
//! is a [`Recipe`](train::Recipe): [`prepare`](train::prepare) turns it into a model and rows in memory,
//! [`Prepared::run`](train::Prepared::run) trains one method on them, [`compare`](train::compare) several,
//! and [`checkpoint`](train::checkpoint) keeps what was trained.
//!
//! ```
//! use offshoot::methods::MethodConfig;
//! use offshoot::models::Task;
//! use offshoot::models::weights::Pickles;
//! use offshoot::train::checkpoint::{self, About};
//! use offshoot::train::{CompareSettings, DataRecipe, ModelRecipe, Recipe, TrackSettings, TrainSettings};
//! use offshoot::train::{deal, prepare};
//! use std::time::Instant;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let place = tempfile::tempdir()?;
//! # let folder = place.path();
//! # model(folder)?;
//! // `folder` holds a model in the Hugging Face layout: config.json, model.safetensors, a tokenizer.
//! let rows = folder.join("rows.csv");
//! let moods = [("fine", 1), ("great", 1), ("dull", 0), ("poor", 0)];
//! let texts = (0..40).map(|row| (moods[row % 4], "so ".repeat(row / 4)));
//! let texts = texts.map(|((mood, label), so)| format!("{mood} {so}{mood} {mood},{label}\n"));
//! let texts: String = texts.collect();
//! std::fs::write(&rows, format!("text,label\n{texts}"))?;
//!
//! let recipe = Recipe {
//!     task: Task::Classification,
//!     init_from: None,
//!     model: ModelRecipe { name: folder.display().to_string(), ..ModelRecipe::default() },
//!     data: DataRecipe::new(rows),
//!     train: TrainSettings { epochs: 40, lr: Some(0.02), ..TrainSettings::default() },
//!     compare: CompareSettings::default(),
//!     track: TrackSettings::default(),
//!     methods: vec![MethodConfig::named("lora")?],
//! };
//! let (prepared, _briefing) = prepare(&recipe, deal(&recipe)?, folder, Instant::now())?;
//! let (classifier, report) = prepared.run(&recipe.methods[0], &recipe.train, &mut |_event| {})?;
//! assert!(report.test.is_some_and(|test| test.accuracy() > prepared.majority_baseline()));
//!
//! let (model_name, labels) = (&prepared.model_name, &prepared.labels);
//! let about = About { model_name, labels, recipe: Default::default() };
//! checkpoint::save(&folder.join("adapter"), &classifier, &prepared.model, about)?;
//! let again = checkpoint::load(&folder.join("adapter"), &prepared.model, Pickles::Refuse)?;
//! let logits = |of: &offshoot::train::Classifier| of.evaluate(&prepared.test, 4096, |_rows| {});
//! assert_eq!(logits(&classifier)?, logits(&again.classifier)?);
//! # Ok(())
//! # }
//! # /// A random DistilBERT of one layer.
//! # fn model(folder: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
//! #     use offshoot::core::{Device, Rng};
//! #     let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "fine", "great", "dull", "poor", "so"];
//! #     std::fs::write(folder.join("vocab.txt"), words.join("\n"))?;
//! #     let config = serde_json::json!({
//! #         "model_type": "distilbert", "vocab_size": 10, "max_position_embeddings": 32,
//! #         "dim": 8, "n_heads": 2, "n_layers": 1, "hidden_dim": 16,
//! #     });
//! #     std::fs::write(folder.join("config.json"), config.to_string())?;
//! #     let block = |name: &str| format!("distilbert.transformer.layer.0.{name}");
//! #     let mut shapes = vec![
//! #         ("distilbert.embeddings.word_embeddings.weight".to_string(), vec![10, 8]),
//! #         ("distilbert.embeddings.position_embeddings.weight".to_string(), vec![32, 8]),
//! #     ];
//! #     let modules = ["attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin"];
//! #     let square = modules.map(|name| (block(name), vec![8, 8]));
//! #     let wide = [(block("ffn.lin1"), vec![16, 8]), (block("ffn.lin2"), vec![8, 16])];
//! #     let first = "distilbert.embeddings.LayerNorm".to_string();
//! #     let norms = [block("sa_layer_norm"), block("output_layer_norm"), first];
//! #     for (name, shape) in square.into_iter().chain(wide).chain(norms.map(|name| (name, vec![8]))) {
//! #         shapes.push((format!("{name}.bias"), shape[..1].to_vec()));
//! #         shapes.push((format!("{name}.weight"), shape));
//! #     }
//! #     let mut rng = Rng::new(1);
//! #     let value = |(name, shape): (String, Vec<usize>)| {
//! #         let mut values = rng.normal_tensor(&Device::cpu(), &shape, 0.3).to_vec();
//! #         if name.contains("orm.weight") {
//! #             values.fill(1.0);
//! #         }
//! #         (name, shape, values)
//! #     };
//! #     let tensors: Vec<_> = shapes.into_iter().map(value).collect();
//! #     let tensors = tensors.iter().map(|(name, shape, v)| (name.clone(), shape.clone(), &v[..]));
//! #     let tensors: Vec<_> = tensors.collect();
//! #     Ok(offshoot::models::weights::write_safetensors(&folder.join("model.safetensors"), &tensors)?)
//! # }
//! ```

/// The engine: tensors, the tape, the contract between models and methods.
pub use offshoot_core as core;
/// The fine-tuning methods and the formats of their files.
pub use offshoot_methods as methods;
/// Models in the Hugging Face layout, tokenizers, the hub.
pub use offshoot_models as models;
/// A comparison as a page, and its plots.
pub use offshoot_report as report;
/// Data, training, comparison, saved adapters.
pub use offshoot_train as train;
