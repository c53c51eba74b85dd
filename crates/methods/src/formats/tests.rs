//! What is written is read back, and what cannot be honoured is refused by name.

use super::stub::{HIDDEN, LAYERS, Stub};
use super::*;
use crate::Target;
use offshoot_core::{Device, Rng, Tensor};
use serde_json::json;

/// A method on a stub, its head beside, every value different.
struct Trained {
    method: MethodConfig,
    backbone: Stub,
    adapter: Box<dyn Adapter>,
    params: Params,
    head_modules: Vec<String>,
    labels: Vec<String>,
}

fn trained(backbone: Stub, settings: Value) -> Trained {
    let method: MethodConfig = serde_json::from_value(settings).unwrap();
    let mut trained = built(backbone, method);
    for (index, param) in trained.params.iter_mut().enumerate() {
        let values = (0..param.value().len()).map(|i| index as f32 + i as f32 / 1024.0).collect::<Vec<_>>();
        param.set(&values).unwrap();
    }
    trained
}

fn built(mut backbone: Stub, mut method: MethodConfig) -> Trained {
    let (device, mut params, mut rng) = (Device::cpu(), Params::new(), Rng::new(0));
    method.resolve(backbone.shape());
    let mut target = Target { backbone: &mut backbone, params: &mut params, rng: &mut rng, device: &device };
    let adapter = method.build(&mut target).unwrap();
    let head_modules: &[&str] = match backbone.family() {
        "bert" => &["classifier"],
        _ => &["pre_classifier", "classifier"],
    };
    for module in head_modules {
        params.insert(format!("{module}.weight"), Tensor::zeros(&device, &[3, HIDDEN])).unwrap();
        params.insert(format!("{module}.bias"), Tensor::zeros(&device, &[3])).unwrap();
    }
    let head_modules = head_modules.iter().map(|module| module.to_string()).collect();
    let labels = ["bad", "fair", "good"].map(str::to_string).to_vec();
    Trained { method, backbone, adapter, params, head_modules, labels }
}

impl Trained {
    fn surroundings(&self) -> Export<'_> {
        Export {
            method: &self.method,
            adapter: &*self.adapter,
            backbone: &self.backbone,
            params: &self.params,
            base_model: "some/model",
            model_class: "SomeForSequenceClassification",
            head_modules: &self.head_modules,
            labels: &self.labels,
        }
    }

    fn export(&self) -> Result<Files> {
        export(&self.surroundings())
    }

    fn config(&self) -> Value {
        self.export().unwrap().config.unwrap().1
    }

    fn values(&self) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
        let value = |param: &Param| (param.value().shape().to_vec(), param.value().to_vec());
        self.params.iter().map(|param| (param.name().to_string(), value(param))).collect()
    }
}

fn tensors(named: &[NamedTensor]) -> Tensors {
    named.iter().map(|t| (t.name.clone(), (t.shape.clone(), t.values.clone()))).collect()
}

fn extra(files: &Files) -> Tensors {
    files.extra.iter().flat_map(|(_, named)| tensors(named)).collect()
}

/// Reads the files with a changed configuration.
fn reread(trained: &Trained, change: impl FnOnce(&mut Value)) -> Result<Imported> {
    let files = trained.export()?;
    let mut config = files.config.clone().unwrap().1;
    change(&mut config);
    import(&config, tensors(&files.weights.1), extra(&files), &trained.backbone)
}

const METHODS: &[&str] = &[
    r#"{"method": "lora"}"#,
    r#"{"method": "lora", "rank": 2, "alpha": 3.5, "targets": ["output", "down", "pooler"], "rs": true,
        "bias": true, "dropout": 0.1, "rank_pattern": {"1.output.dense": 3},
        "alpha_pattern": {"attention.output.dense": 7}}"#,
    r#"{"method": "lora", "targets": ["down"], "only_layers": [1]}"#,
    r#"{"method": "dora", "rank": 4, "targets": ["key", "up"]}"#,
    r#"{"method": "ia3"}"#,
    r#"{"method": "ia3", "targets": ["query"], "feedforward": ["output", "down"]}"#,
    r#"{"method": "prompt", "tokens": 4, "init": "normal"}"#,
    r#"{"method": "p-tuning", "tokens": 4, "mlp_width": 5}"#,
    r#"{"method": "prefix", "tokens": 4, "init": "normal"}"#,
    r#"{"method": "prefix-mlp", "tokens": 4, "mlp_width": 5}"#,
    r#"{"method": "llama-adapter", "tokens": 4, "gate": "scalar"}"#,
    r#"{"method": "llama-adapter", "tokens": 4, "layers": 2, "gate": "heads"}"#,
    r#"{"method": "llama-adapter", "tokens": 4, "layers": 2, "gate": "heads-linear"}"#,
    r#"{"method": "houlsby", "width": 2, "dropout": 0.1, "leave_out": [0]}"#,
    r#"{"method": "houlsby", "width": 3, "non_linearity": "gelu-tanh", "scaling": 0.5}"#,
    r#"{"method": "pfeiffer", "width": 2, "non_linearity": "gelu"}"#,
    r#"{"method": "parallel", "width": 5}"#,
    r#"{"method": "head"}"#,
    r#"{"method": "features"}"#,
    r#"{"method": "features-mlp", "width": 3, "epochs": 5}"#,
    r#"{"method": "bitfit"}"#,
    r#"{"method": "last-layers", "layers": 1}"#,
    r#"{"method": "read", "width": 2}"#,
];

#[test]
fn every_method_comes_back_as_it_was() {
    for settings in METHODS {
        for stub in [Stub::bert(), Stub::distilbert()] {
            let written = trained(stub.clone(), serde_json::from_str(settings).unwrap());
            let imported = reread(&written, |_| ()).unwrap_or_else(|e| panic!("{settings}: {e}"));
            let mut read = built(stub, imported.method.clone());
            imported.load_into(&mut read.params).unwrap_or_else(|e| panic!("{settings}: {e}"));
            assert_eq!(read.values(), written.values(), "{settings}");
            assert_eq!(read.config(), written.config(), "{settings}");
            assert!(imported.notes.is_empty(), "{settings}: {:?}", imported.notes);
        }
    }
}

#[test]
fn every_method_of_the_registry_is_tested() {
    let tested = |name: &str| METHODS.iter().any(|settings| settings.contains(&format!("\"{name}\"")));
    let untested: Vec<_> = MethodConfig::ALL.iter().map(|i| i.name).filter(|n| !tested(n)).collect();
    let apart = ["in-context", "hard-prompt", "features-knn", "features-forest", "features-xgboost", "full"];
    assert_eq!(untested, apart, "these are text, classifiers in files of their own, and a checkpoint");
}

#[test]
fn a_checkpoint_holds_trained_and_frozen_weights_and_the_head() {
    let full = trained(Stub::bert(), json!({ "method": "full" }));
    let files = full.export().unwrap();
    assert!(files.config.is_none());
    let names: Vec<_> = files.weights.1.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names.len(), full.backbone.weights().len() + 2);
    assert_eq!(names[0], "bert.embeddings.word_embeddings.weight");
    assert!(files.weights.1[1].values != vec![0.5; HIDDEN * HIDDEN], "the trained value, not the first one");
    let frozen = trained(Stub::bert(), json!({ "method": "head" }));
    let frozen = native::checkpoint(&frozen.surroundings());
    assert_eq!(frozen.weights.1[1].values, vec![0.5; HIDDEN * HIDDEN]);
}

#[test]
fn norms_that_were_trained_stand_beside() {
    let norm = "bert.encoder.layer.0.output.dense.bias";
    let written = trained(Stub::bert(), json!({ "method": "houlsby", "width": 2 }));
    let mut files = written.export().unwrap();
    let tensor = NamedTensor { name: norm.into(), shape: vec![HIDDEN], values: vec![1.0; HIDDEN] };
    files.extra.push((Format::AdapterHub.extra_files()[1], vec![tensor]));
    let config = files.config.clone().unwrap().1;
    let imported = import(&config, tensors(&files.weights.1), extra(&files), &written.backbone).unwrap();
    let MethodConfig::Houlsby(method) = &imported.method else { panic!("{:?}", imported.method) };
    assert!(method.0.norms && imported.values.contains_key(norm));
    assert_eq!(imported.head.len(), 2);
}

#[test]
fn peft_finds_the_names_it_expects() {
    let names = |settings| {
        let files = trained(Stub::distilbert(), settings).export().unwrap();
        files.weights.1.into_iter().map(|t| t.name).collect::<Vec<_>>()
    };
    let lora = names(json!({ "method": "lora", "targets": ["query"], "only_layers": [0] }));
    assert_eq!(
        lora,
        [
            "base_model.model.distilbert.transformer.layer.0.attention.q_lin.lora_A.weight",
            "base_model.model.distilbert.transformer.layer.0.attention.q_lin.lora_B.weight",
            "base_model.model.pre_classifier.weight",
            "base_model.model.pre_classifier.bias",
            "base_model.model.classifier.weight",
            "base_model.model.classifier.bias",
        ]
    );
    let prompt = names(json!({ "method": "prompt", "tokens": 3 }));
    assert_eq!(prompt[0], "prompt_embeddings");
    assert_eq!(prompt[4], "base_model.classifier.bias");
}

#[test]
fn peft_reads_the_fields_it_expects() {
    let config = trained(Stub::bert(), json!({ "method": "lora", "alpha": 16.0, "dropout": 0.1 })).config();
    assert_eq!(
        config.to_string(),
        concat!(
            r#"{"alpha_pattern":{},"auto_mapping":null,"base_model_name_or_path":"some/model","#,
            r#""bias":"none","fan_in_fan_out":false,"inference_mode":true,"init_lora_weights":true,"#,
            r#""layers_pattern":null,"layers_to_transform":null,"lora_alpha":16,"lora_bias":false,"lora_dropout":0.1,"#,
            r#""modules_to_save":["classifier"],"peft_type":"LORA","r":8,"rank_pattern":{},"revision":null,"#,
            r#""target_modules":["query","value"],"task_type":"SEQ_CLS","use_dora":false,"#,
            r#""use_rslora":false}"#,
        )
    );
    let prefix =
        trained(Stub::bert(), json!({ "method": "prefix-mlp", "tokens": 4, "mlp_width": 5 })).config();
    assert_eq!(prefix["token_dim"], json!(HIDDEN));
    assert_eq!(prefix["num_layers"], json!(LAYERS));
    assert_eq!(prefix["num_virtual_tokens"], json!(4));
    assert_eq!(prefix["prefix_projection"], json!(true));
}

#[test]
fn ia3_names_both_groups_exactly() {
    let config = trained(Stub::bert(), json!({ "method": "ia3" })).config();
    assert_eq!(config["feedforward_modules"], json!(["0.output.dense", "1.output.dense"]));
    assert_eq!(config["target_modules"], json!(["0.output.dense", "1.output.dense", "key", "value"]));
    let config =
        trained(Stub::bert(), json!({ "method": "ia3", "feedforward": ["down", "output"] })).config();
    assert_eq!(config["feedforward_modules"], json!(["output.dense"]));
    let config = trained(Stub::distilbert(), json!({ "method": "ia3" })).config();
    assert_eq!(config["target_modules"], json!(["k_lin", "lin2", "v_lin"]));
}

#[test]
fn a_network_that_is_gone_leaves_its_table() {
    let cases = [("p-tuning", "prompt"), ("prefix-mlp", "prefix")];
    for (method, direct) in cases {
        let written = trained(Stub::bert(), json!({ "method": method, "tokens": 4, "mlp_width": 5 }));
        let files = written.export().unwrap();
        let (config, table) = (files.config.unwrap().1, tensors(&files.weights.1));
        let imported = import(&config, table.clone(), Tensors::new(), &written.backbone).unwrap();
        assert_eq!(imported.method.info().name, direct);
        assert_eq!(imported.notes.len(), 1);
        let values = &imported.values["prompt_encoder.embedding.weight"];
        assert_eq!(values, &table["prompt_embeddings"]);
        assert!(values.1.iter().any(|v| *v != 0.0));
    }
}

#[test]
fn a_prefix_table_is_layers_then_key_and_value() {
    let written = trained(Stub::bert(), json!({ "method": "prefix-mlp", "tokens": 2, "mlp_width": 3 }));
    let parts = written.adapter.begin(&offshoot_core::Step::detached(&written.params)).unwrap();
    let files = written.export().unwrap();
    let table = &files.weights.1[0];
    assert_eq!(table.shape, [2, LAYERS * 2 * HIDDEN]);
    let second_value_of_row_1 = &table.values[(LAYERS * 2 + 3) * HIDDEN..][..HIDDEN];
    assert_eq!(second_value_of_row_1, &parts[3].to_vec()[HIDDEN..]);
}

#[test]
fn gates_of_heads_are_not_for_peft() {
    for gate in ["heads", "heads-linear"] {
        let heads = trained(Stub::bert(), json!({ "method": "llama-adapter", "gate": gate }));
        let message = peft::export(&heads.surroundings()).unwrap_err().to_string();
        assert!(message.contains("`gate` of each head") && message.contains("scalar"), "{message}");
    }
}

/// A configuration's field, set to a value, and what the refusal must name.
fn assert_refused(settings: &Value, field: &str, value: Value, named: &[&str]) {
    let set = |config: &mut Value| match config.get("config").is_some_and(Value::is_object) {
        true => config["config"][field] = value.clone(),
        false => config[field] = value.clone(),
    };
    let message = reread(&trained(Stub::bert(), settings.clone()), set).unwrap_err().to_string();
    for text in named.iter().chain([&field]) {
        assert!(message.contains(text), "{field} = {value}: {message}");
    }
}

#[test]
fn lora_honours_or_refuses_every_field() {
    let lora = json!({ "method": "lora", "rank": 4 });
    for field in ["megatron_config", "arrow_config", "kasa_config", "use_bdlora", "monteclora_config"] {
        assert_refused(&lora, field, json!({ "a": 1 }), &["is not supported", "supported fields are"]);
    }
    assert_refused(&lora, "use_qalora", json!(true), &["is not supported"]);
    assert_refused(&lora, "layer_replication", json!([[0, 1]]), &["is not supported"]);
    assert_refused(&lora, "target_parameters", json!(["weight"]), &["is not supported"]);
    assert_refused(&lora, "trainable_token_indices", json!([1]), &["is not supported"]);
    assert_refused(&lora, "from_the_future", json!(0.5), &["is not supported"]);
    assert_refused(&lora, "bias", json!("all"), &["must be \"none\""]);
    assert_refused(&lora, "fan_in_fan_out", json!(true), &["must be false"]);
    assert_refused(&lora, "init_lora_weights", json!("pissa_niter_4"), &["path_initial_model"]);
    assert_refused(&lora, "rank_pattern", json!({ "layer.[01].query": 3 }), &["regular expression"]);
    assert_refused(&lora, "alpha_pattern", json!({ "self.query": 2, "query": 3 }), &["two keys", "layer.0"]);
    assert_refused(&lora, "lora_alpha", json!("8"), &["must be a number"]);
    assert_refused(&lora, "r", json!(2.5), &["must be a whole number"]);
    assert_refused(&lora, "peft_type", json!("VERA"), &["LORA, IA3, PREFIX_TUNING"]);
}

#[test]
fn lora_takes_what_has_no_effect() {
    let written = trained(Stub::bert(), json!({ "method": "lora", "rank": 4 }));
    let imported = reread(&written, |config| {
        for (field, value) in [
            ("init_lora_weights", json!("gaussian")),
            ("loftq_config", json!({ "loftq_bits": 4 })),
            ("megatron_core", json!("megatron.core")),
            ("qalora_group_size", json!(16)),
            ("use_bdlora", Value::Null),
            ("from_the_future", json!(false)),
            ("target_modules", json!(".*(query|value)")),
        ] {
            config[field] = value;
        }
    });
    assert_eq!(imported.unwrap().method, written.method);
}

#[test]
fn lora_of_a_whole_model_less_one_site_is_refused() {
    let written = trained(Stub::bert(), json!({ "method": "lora" }));
    let files = written.export().unwrap();
    let mut file = tensors(&files.weights.1);
    file.retain(|name, _| !name.contains("layer.1.attention.self.query"));
    let config = files.config.unwrap().1;
    let message = import(&config, file, Tensors::new(), &written.backbone).unwrap_err().to_string();
    assert!(message.contains("bert.encoder.layer.1.attention.self.query"), "{message}");
}

#[test]
fn tensors_of_another_model_are_named() {
    for (settings, tensor) in [
        (json!({ "method": "lora" }), "attention.self.query.lora_A.weight"),
        (json!({ "method": "ia3" }), "attention.self.key.ia3_l"),
        (json!({ "method": "houlsby" }), "attention.output.adapters.adapter.adapter_down.0.bias"),
    ] {
        let files = trained(Stub::bert(), settings).export().unwrap();
        let (mut config, file) = (files.config.unwrap().1, tensors(&files.weights.1));
        config["model_type"] = Value::Null;
        let message = import(&config, file, Tensors::new(), &Stub::distilbert()).unwrap_err().to_string();
        assert!(message.contains(tensor) && message.contains("distilbert model"), "{message}");
    }
}

#[test]
fn sizes_come_from_the_tensors_and_must_agree() {
    let prompt = json!({ "method": "prompt", "tokens": 4 });
    assert_refused(&prompt, "num_virtual_tokens", json!(u64::MAX), &["must be 4"]);
    assert_refused(&prompt, "token_dim", json!(9), &["must be 8"]);
    assert_refused(&prompt, "num_transformer_submodules", json!(2), &["must be 1"]);
    let prefix = json!({ "method": "prefix-mlp", "tokens": 4, "mlp_width": 5 });
    assert_refused(&prefix, "num_layers", json!(12), &["must be 2"]);
    assert_refused(&prefix, "num_attention_heads", json!(12), &["must be 2"]);
    assert_refused(&prefix, "encoder_hidden_size", json!(1u64 << 60), &["must be 5", "prompt_encoder"]);
    assert_refused(&prefix, "prefix_projection", json!(false), &["must be true", "prompt_encoder"]);
    let p_tuning = json!({ "method": "p-tuning", "tokens": 4, "mlp_width": 5 });
    assert_refused(&p_tuning, "encoder_reparameterization_type", json!("LSTM"), &["MLP"]);
    let llama = json!({ "method": "llama-adapter", "gate": "scalar" });
    assert_refused(&llama, "adapter_len", json!(11), &["must be 10"]);
    assert_refused(&llama, "adapter_layers", json!(7), &["must be 1"]);
}

#[test]
fn adapterhub_honours_or_refuses_every_field() {
    let houlsby = json!({ "method": "houlsby", "width": 2 });
    for field in ["phm_layer", "use_gating", "ln_before", "ln_after", "cross_adapter"] {
        assert_refused(&houlsby, field, json!(true), &["must be false"]);
    }
    assert_refused(&houlsby, "inv_adapter", json!("nice"), &["must be null"]);
    assert_refused(&houlsby, "stochastic_depth", json!(0.1), &["must be 0"]);
    assert_refused(&houlsby, "scaling", json!("learned"), &["must be a number"]);
    assert_refused(&houlsby, "original_ln_after", json!(false), &["must be true"]);
    assert_refused(&houlsby, "reduction_factor", json!(2), &["width of the file's tensors, 2"]);
    assert_refused(&houlsby, "reduction_factor", json!({ "0": 4 }), &["width of the file's tensors, 2"]);
    assert_refused(&houlsby, "non_linearity", json!("leakyrelu"), &["relu, gelu, gelu_new"]);
    assert_refused(&houlsby, "leave_out", json!([-1]), &["list of whole numbers"]);
    assert_refused(&houlsby, "output_adapter", json!(false), &["houlsby has true, true"]);
    assert_refused(&houlsby, "architecture", json!("lora"), &["only bottleneck adapters"]);
    assert_refused(&houlsby, "from_the_future", json!(1), &["is not supported"]);
    let pfeiffer = json!({ "method": "pfeiffer", "width": 2 });
    assert_refused(&pfeiffer, "residual_before_ln", json!("post_add"), &["must be true"]);
}

#[test]
fn adapterhub_takes_any_name_and_a_table_of_factors() {
    let written = trained(Stub::bert(), json!({ "method": "houlsby", "width": 2 }));
    let files = written.export().unwrap();
    let rename = |(name, value): (String, _)| (name.replace(".adapter.", ".sentiment."), value);
    let file: Tensors = tensors(&files.weights.1).into_iter().map(rename).collect();
    let mut config = files.config.unwrap().1;
    config["name"] = json!("sentiment");
    config["config"]["reduction_factor"] = json!({ "1": 4.0, "default": 4 });
    let imported = import(&config, file.clone(), Tensors::new(), &written.backbone).unwrap();
    assert_eq!(imported.method, written.method);
    assert!(imported.head.is_empty());
    let flat = config["config"].clone();
    assert_eq!(
        import(&flat, file.clone(), Tensors::new(), &written.backbone).unwrap().method,
        written.method
    );
    config["name"] = json!("other");
    let message = import(&config, file, Tensors::new(), &written.backbone).unwrap_err().to_string();
    assert!(message.contains("named \"other\""), "{message}");
}

#[test]
fn a_flexible_head_is_refused() {
    let written = trained(Stub::bert(), json!({ "method": "pfeiffer", "width": 2 }));
    let files = written.export().unwrap();
    let head = Tensors::from([("heads.a.1.weight".to_string(), (vec![1], vec![0.0]))]);
    let (config, file) = (files.config.unwrap().1, tensors(&files.weights.1));
    let message = import(&config, file, head, &written.backbone).unwrap_err().to_string();
    assert!(message.contains("heads.a.1.weight") && message.contains("flexible"), "{message}");
}

#[test]
fn a_trained_part_of_the_backbone_is_refused_by_name() {
    let written = trained(Stub::bert(), json!({ "method": "lora" }));
    let files = written.export().unwrap();
    let mut file = tensors(&files.weights.1);
    file.insert("base_model.model.bert.pooler.dense.bias".into(), (vec![HIDDEN], vec![0.0; HIDDEN]));
    let mut config = files.config.unwrap().1;
    config["modules_to_save"] = json!(["classifier", "pooler"]);
    let message = import(&config, file, Tensors::new(), &written.backbone).unwrap_err().to_string();
    assert!(message.contains("modules_to_save") && message.contains("bert.pooler.dense.bias"), "{message}");
}

#[test]
fn our_own_format_is_checked_too() {
    let read = json!({ "method": "read", "width": 2 });
    assert_refused(&read, native::MARK, json!(2), &["must be 1"]);
    assert_refused(&read, "model_type", json!("roberta"), &["roberta model", "bert model"]);
    assert_refused(&read, "from_the_future", json!(1), &["is not supported"]);
    assert_refused(&read, "method", json!({ "method": "read", "width": 1u64 << 50 }), &["settings hold"]);
    assert_refused(&read, "method", json!({ "method": "reed" }), &["reed"]);
}

#[test]
fn a_configuration_of_no_format_is_refused() {
    let message = Format::detect(&json!({ "r": 8 })).unwrap_err().to_string();
    assert!(message.contains("`peft_type`") && message.contains("`config`"), "{message}");
    assert_eq!(Format::detect(&json!({ "peft_type": "LORA" })).unwrap(), Format::Peft);
    assert_eq!(Format::detect(&json!({ "mh_adapter": true })).unwrap(), Format::AdapterHub);
}
