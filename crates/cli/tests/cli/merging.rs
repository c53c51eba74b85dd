//! `merge`, `export` and `inspect` on the golden models and adapters.

use crate::place::Place;
use offshoot::models::gguf::Gguf;
use serde_json::Value;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testing/golden");

fn method<'a>(rows: &'a Value, name: &str) -> &'a Value {
    rows.as_array().unwrap().iter().find(|row| row["method"] == name).unwrap()
}

#[test]
fn an_adapter_is_merged_and_the_folder_is_a_model() {
    let place = Place::new();
    let adapter = format!("{GOLDEN}/cases/llama-lm--lora/adapter --model {GOLDEN}/models/llama-lm");
    let ran = place.run(&format!("merge {adapter} --output merged --dtype bf16 --json")).ok().json();
    assert_eq!((ran["method"]["method"].as_str(), ran["dtype"].as_str()), (Some("lora"), Some("bf16")));
    let about = place.run("inspect merged --json").ok().json();
    assert_eq!(about["dtypes"]["BF16"], about["tensors"]);
    assert_eq!((about["family"].as_str(), about["tensors"] == ran["tensors"]), (Some("llama"), true));
    assert!(place.read("merged/config.json").contains("\"dtype\": \"bfloat16\""));
    assert!(place.path("merged/generation_config.json").exists());

    let base = format!("{GOLDEN}/models/llama-lm");
    place.run(&format!("merge {adapter} --output {base}")).fails(1, &["holds the base model"]);
    let prefix = format!("{GOLDEN}/cases/llama-lm--prefix/adapter --model {base}");
    place.run(&format!("merge {prefix} --output no")).fails(1, &["`prefix` cannot be merged: its keys"]);
    place.run(&format!("merge {adapter} --output no --dtype f16")).fails(2, &["choose f32 or bf16"]);
    assert!(!place.path("no").exists());
}

#[test]
fn a_trained_classifier_is_merged_with_its_head() {
    let place = Place::new();
    place.train("--epochs 1 --output out").ok();
    place.run("merge out --output merged").ok();
    let about = place.run("inspect merged --json").ok().json();
    assert_eq!((about["family"].as_str(), about["pooling"].as_str()), (Some("bert"), Some("pooler")));
    let config: Value = serde_json::from_str(&place.read("merged/config.json")).unwrap();
    assert_eq!(
        (&config["id2label"]["1"], &config["architectures"][0]),
        (&"1".into(), &"BertForSequenceClassification".into())
    );
    assert!(place.path("merged/vocab.txt").exists());
    place.run("merge out --output out").fails(1, &["it holds an adapter"]);
    place.run("train rows.csv --model merged --threads 1 --epochs 1 --output again").ok();
}

#[test]
fn a_lora_adapter_is_exported_for_llama_cpp() {
    let place = Place::new();
    let base = format!("--model {GOLDEN}/models/llama-lm");
    let run = |case: &str| {
        place.run(&format!("export {GOLDEN}/cases/llama-lm--{case}/adapter {base} --gguf out.gguf --json"))
    };
    let projections = run("lora-all").ok().json()["projections"].as_u64().unwrap() as usize;
    assert_eq!(Gguf::open(&place.path("out.gguf")).unwrap().tensors().len(), 2 * projections);
    run("ia3").fails(1, &["`ia3` cannot be exported as GGUF"]);
    run("prefix").fails(1, &["`prefix` cannot be exported as GGUF"]);

    let about = place.run("inspect out.gguf --tensors --json").ok();
    assert!(about.stderr.contains("blk.0.attn_q.weight.lora_a"), "{}", about.stderr);
    let about = about.json();
    assert_eq!(
        (&about["kind"], &about["adapter"], &about["family"]),
        (&"adapter".into(), &"lora".into(), &"llama".into())
    );
    assert_eq!(about["tensor_list"].as_array().unwrap().len(), 2 * projections);
}

#[test]
fn a_decoder_is_inspected_for_both_of_its_tasks() {
    let place = Place::new();
    let ran = place.run(&format!("inspect {GOLDEN}/models/llama-lm --classes 3 --json")).ok();
    let about = ran.json();
    assert_eq!(about["language_model_class"], "LlamaForCausalLM");
    // Rank 8 on queries [32, 32] and values [16, 32] of four blocks; a head of three classes beside.
    let lora = 4 * 8 * (32 + 32 + 32 + 16);
    assert_eq!(method(&about["language_model_methods"], "lora")["trainable_parameters"], lora);
    assert_eq!(method(&about["methods"], "lora")["trainable_parameters"], lora + 3 * 32);
    assert_eq!(about["dtype_bytes"]["F32"], about["bytes"]);
    for words in [
        "as a language model",
        "with a head for 3 classes",
        "4 heads of 8 (2 of keys and values)",
        "type      F32: ",
    ] {
        assert!(ran.stderr.contains(words), "`{words}` is not said: {}", ran.stderr);
    }
}

#[test]
fn adapters_and_single_files_are_inspected() {
    let place = Place::new();
    let said = place.run(&format!("inspect {GOLDEN}/cases/llama-lm--lora/adapter")).ok().stdout;
    for words in ["method    LORA", "r 4", "base      ", "head      none", "another program"] {
        assert!(said.contains(words), "`{words}` is not said: {said}");
    }
    let said = place.run(&format!("inspect {GOLDEN}/cases/bert-cls--lora/adapter")).ok().stdout;
    assert!(said.contains("head      yes"), "{said}");
    let file = format!("{GOLDEN}/models/gpt2-lm/model.safetensors");
    let said = place.run(&format!("inspect {file} --tensors")).ok().stdout;
    assert!(said.contains("| transformer.h.0.attn.c_attn.weight") && said.contains("[32, 96]"), "{said}");

    std::fs::write(place.path("bad.safetensors"), "no").unwrap();
    place.run("inspect bad.safetensors").fails(1, &["bad.safetensors"]);
    std::fs::write(place.path("bad.gguf"), "GGUF").unwrap();
    place.run("inspect bad.gguf").fails(1, &["bad.gguf"]);
}
