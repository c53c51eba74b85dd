use super::*;

/// The fields of the MiniLM sentence encoder's file (a bare BERT), as published.
fn minilm() -> Value {
    json!({
        "_name_or_path": "nreimers/MiniLM-L6-H384-uncased", "architectures": ["BertModel"],
        "attention_probs_dropout_prob": 0.1, "gradient_checkpointing": false, "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1, "hidden_size": 384, "initializer_range": 0.02,
        "intermediate_size": 1536, "layer_norm_eps": 1e-12, "max_position_embeddings": 512,
        "model_type": "bert", "num_attention_heads": 12, "num_hidden_layers": 6, "pad_token_id": 0,
        "position_embedding_type": "absolute", "transformers_version": "4.8.2", "type_vocab_size": 2,
        "use_cache": true, "vocab_size": 30522
    })
}

/// The fields that transformers 5 writes for a BERT or RoBERTa classifier.
fn classifier() -> Value {
    json!({
        "add_cross_attention": false, "architectures": ["BertForSequenceClassification"],
        "attention_probs_dropout_prob": 0.0, "bos_token_id": null, "classifier_dropout": null,
        "dtype": "float32", "eos_token_id": null, "hidden_act": "gelu", "hidden_dropout_prob": 0.0,
        "hidden_size": 32, "id2label": {"0": "bad", "1": "fair", "2": "good"}, "initializer_range": 0.02,
        "intermediate_size": 48, "is_decoder": false, "label2id": {"bad": 0, "fair": 1, "good": 2},
        "layer_norm_eps": 1e-12, "max_position_embeddings": 64, "model_type": "bert",
        "num_attention_heads": 4, "num_hidden_layers": 3, "pad_token_id": 1, "tie_word_embeddings": true,
        "transformers_version": "5.23.0", "type_vocab_size": 2, "use_cache": true, "vocab_size": 211
    })
}

/// The fields that transformers 5 writes for a DistilBERT classifier.
fn distilled() -> Value {
    json!({
        "activation": "gelu", "architectures": ["DistilBertForSequenceClassification"],
        "attention_dropout": 0.0, "bos_token_id": null, "dim": 32, "dropout": 0.0, "dtype": "float32",
        "eos_token_id": null, "hidden_dim": 48, "initializer_range": 0.02, "max_position_embeddings": 64,
        "model_type": "distilbert", "n_heads": 4, "n_layers": 3, "pad_token_id": 0, "qa_dropout": 0.1,
        "seq_classif_dropout": 0.0, "sinusoidal_pos_embds": false, "tie_word_embeddings": true,
        "transformers_version": "5.23.0", "vocab_size": 211
    })
}

fn fields(family: &str, value: Value) -> Fields {
    Fields::new(family, value.as_object().cloned().unwrap())
}

/// As a BERT file reads its config.
fn read_bert(f: &mut Fields) -> (usize, usize, f32) {
    let sizes =
        ["vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"];
    let sizes = sizes.map(|name| f.usize(name));
    f.usize("max_position_embeddings");
    f.usize_or("type_vocab_size", 2);
    f.choice("hidden_act", 0, &[("gelu", 0), ("gelu_new", 1)]);
    f.probability("hidden_dropout_prob");
    f.probability("attention_probs_dropout_prob");
    f.probability("classifier_dropout");
    f.only("position_embedding_type", json!("absolute"));
    f.ignore(&["tie_word_embeddings"]);
    (sizes[0], sizes[1], f.f32_or("layer_norm_eps", 1e-12))
}

#[test]
fn the_real_files_of_bert_are_read_whole() {
    let mut f = fields("bert", minilm());
    assert_eq!(read_bert(&mut f), (30522, 384, 1e-12));
    assert_eq!(f.labels(), None);
    f.finish().unwrap();

    let mut f = fields("bert", classifier());
    assert_eq!(read_bert(&mut f), (211, 32, 1e-12));
    assert_eq!(f.labels().unwrap(), ["bad", "fair", "good"]);
    f.finish().unwrap();
}

#[test]
fn the_real_file_of_distilbert_is_read_whole() {
    let mut f = fields("distilbert", distilled());
    for name in ["vocab_size", "dim", "hidden_dim", "n_layers", "n_heads", "max_position_embeddings"] {
        f.usize(name);
    }
    for name in ["dropout", "attention_dropout", "seq_classif_dropout"] {
        assert_eq!(f.probability(name), Some(0.0));
    }
    assert!(!f.bool_or("sinusoidal_pos_embds", true));
    assert_eq!(f.text_or("activation", "relu"), "gelu");
    f.ignore(&["qa_dropout", "tie_word_embeddings"]);
    f.finish().unwrap();
}

#[test]
fn every_problem_is_told_at_once_by_name() {
    let mut config = minilm();
    config["is_decoder"] = json!(true);
    config["position_embedding_type"] = json!("relative_key");
    config["hidden_size"] = json!(0);
    config["vocab_size"] = json!(1_u64 << 60);
    config["num_hidden_layers"] = json!(-3);
    config["hidden_act"] = json!("swiglu");
    config["hidden_dropout_prob"] = json!(1.5);
    config["quantization_config"] = json!({"bits": 4});
    config["pruned_heads"] = json!({"1": [0]});
    config["sparsity"] = json!(0.5);
    config.as_object_mut().unwrap().remove("intermediate_size");
    let mut f = fields("bert", config);
    read_bert(&mut f);
    let message = f.finish().unwrap_err().to_string();
    for name in [
        "is_decoder",
        "position_embedding_type",
        "hidden_size",
        "vocab_size",
        "num_hidden_layers",
        "hidden_act",
        "hidden_dropout_prob",
        "quantization_config",
        "pruned_heads",
        "sparsity",
        "intermediate_size",
    ] {
        assert_eq!(message.matches(&format!("`{name}`")).count(), 1, "{name} in {message}");
    }
    assert_eq!(message.matches("\n  - ").count(), 11, "{message}");
    assert!(message.contains("one of \"gelu\", \"gelu_new\""), "{message}");
}

#[test]
fn a_family_may_honour_what_others_refuse() {
    let mut f = fields("gpt", json!({"is_decoder": true, "pad_token_id": 7, "chunk_size_feed_forward": 0.0}));
    assert!(f.bool_or("is_decoder", false));
    assert_eq!(f.usize_or("pad_token_id", 0), 7);
    f.finish().unwrap();
}

#[test]
fn labels_come_from_either_field_and_must_be_whole() {
    assert_eq!(fields("bert", json!({"num_labels": 2})).labels().unwrap(), ["LABEL_0", "LABEL_1"]);
    let mut f = fields("bert", json!({"id2label": {"0": "no", "2": "yes"}}));
    assert_eq!(f.labels(), None);
    assert!(f.finish().unwrap_err().to_string().contains("`id2label`"));
    let mut f = fields("bert", json!({"num_labels": 1_u64 << 40}));
    assert_eq!(f.labels(), None);
    assert!(f.finish().unwrap_err().to_string().contains("`num_labels`"));
}

#[test]
fn one_of_some_texts_is_taken_and_others_are_named() {
    let kinds = ["single_label_classification", "regression"];
    for value in [json!("regression"), json!(null)] {
        let mut f = fields("bert", json!({"problem_type": value}));
        f.one_of("problem_type", &kinds);
        f.finish().unwrap();
    }
    let mut f = fields("bert", json!({"problem_type": "sorting"}));
    f.one_of("problem_type", &kinds);
    let said = f.finish().unwrap_err().to_string();
    assert!(
        said.contains("`problem_type` is \"sorting\"; only single_label_classification, regression"),
        "{said}"
    );
}

#[test]
fn a_file_that_is_no_object_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), "[1, 2").unwrap();
    let message = read(folder.path()).unwrap_err().to_string();
    assert!(message.contains("config.json") && message.contains("JSON"), "{message}");
}
