//! Settings as files and command lines give them.

use crate::stub::{build, shape};
use offshoot_methods::{MethodConfig, Saves, Sizes};
use serde_json::{Value, json};

fn config(settings: Value) -> MethodConfig {
    serde_json::from_value(settings).unwrap()
}

/// The message of a method that must not build on 4 blocks of 32.
fn refusal(settings: Value) -> String {
    match build(&config(settings.clone()), shape(4, 32)) {
        Ok(_) => panic!("{settings} was built"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn every_methods_settings_survive_json() {
    for info in MethodConfig::ALL {
        let mut config = MethodConfig::named(info.name).unwrap();
        config.resolve(&shape(4, 32));
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<MethodConfig>(&text).unwrap(), config, "{text}");
        assert_eq!(config.info().name, info.name);
    }
}

#[test]
fn an_unknown_setting_is_refused_by_name() {
    for info in MethodConfig::ALL {
        let settings = json!({ "method": info.name, "no_such_setting": 1 });
        let error = serde_json::from_value::<MethodConfig>(settings).unwrap_err().to_string();
        assert!(error.contains("no_such_setting"), "{}: {error}", info.name);
    }
}

#[test]
fn an_unknown_method_is_refused_with_the_list() {
    let error = MethodConfig::named("lorra").unwrap_err().to_string();
    assert!(error.contains("`lorra`"));
    MethodConfig::ALL.iter().for_each(|info| assert!(error.contains(info.name), "{error}"));
}

#[test]
fn open_sizes_are_filled_from_the_shape() {
    let resolved = |name: &str| {
        let mut config = MethodConfig::named(name).unwrap();
        config.resolve(&shape(6, 384));
        serde_json::to_value(config).unwrap()
    };
    for name in ["houlsby", "pfeiffer", "parallel"] {
        assert_eq!(resolved(name)["width"], 24, "{name}");
    }
    assert_eq!(resolved("parallel")["scaling"], 4.0);
    assert_eq!(resolved("houlsby")["non_linearity"], "silu");
    assert_eq!(resolved("pfeiffer")["non_linearity"], "relu");
    assert_eq!(resolved("read")["width"], 48);
    assert_eq!(resolved("llama-adapter")["layers"], 2);
    assert_eq!(resolved("prefix-mlp")["mlp_width"], 192);
    assert_eq!(resolved("p-tuning")["mlp_width"], 384);
}

#[test]
fn a_size_goes_to_the_methods_that_have_it() {
    let sizes = Sizes { rank: Some(3), tokens: Some(5), width: Some(7), layers: Some(2) };
    let with = |name: &str| serde_json::to_value(MethodConfig::with_sizes(name, &sizes).unwrap()).unwrap();
    assert_eq!(with("dora")["rank"], 3);
    assert_eq!(with("prefix")["tokens"], 5);
    assert_eq!(with("read")["width"], 7);
    assert_eq!(with("last-layers")["layers"], 2);
    assert_eq!(with("bitfit"), json!({ "method": "bitfit" }));
}

#[test]
fn a_method_is_resized_by_the_setting_that_decides_how_much_it_trains() {
    let sizes = Sizes { rank: Some(4), tokens: Some(5), ..Sizes::default() };
    let resized = |name: &str, size: usize| {
        let method = MethodConfig::with_sizes(name, &sizes).unwrap().resized(size).unwrap();
        assert_eq!(method.size(), Some(size), "{name}");
        serde_json::to_value(method).unwrap()
    };
    let lora = resized("lora", 12);
    assert_eq!((&lora["rank"], &lora["alpha"]), (&json!(12), &json!(48.0)), "alpha / rank was 16 / 4");
    assert_eq!(resized("llama-adapter", 40)["tokens"], 40);
    let mut houlsby = MethodConfig::named("houlsby").unwrap();
    assert_eq!(houlsby.size(), None, "it depends on the model");
    houlsby.resolve(&shape(4, 32));
    assert_eq!(serde_json::to_value(houlsby.resized(9).unwrap()).unwrap()["width"], 9);
    for name in ["bitfit", "last-layers", "hard-prompt"] {
        let method = MethodConfig::named(name).unwrap();
        assert_eq!(method.size(), None);
        assert!(method.resized(3).unwrap_err().to_string().contains(name));
    }
}

#[test]
fn a_bad_setting_is_named_with_what_is_valid() {
    let dropout = "at least 0 and below 1";
    let cases = [
        (json!({ "method": "features", "l2": -1.0 }), "`l2`", "0 or more"),
        (json!({ "method": "features-mlp", "width": 1_000_000_000 }), "`width`", "from 1 to"),
        (json!({ "method": "features-mlp", "rate": 0.0 }), "`rate`", "above 0"),
        (json!({ "method": "features-knn", "k": 0 }), "`k`", "1 or more"),
        (json!({ "method": "features-forest", "trees": 0 }), "`trees`", "from 1 to"),
        (json!({ "method": "features-xgboost", "depth": 17 }), "`depth`", "from 1 to 16"),
        (json!({ "method": "features-xgboost", "eta": 1.5 }), "`eta`", "up to 1"),
        (json!({ "method": "last-layers", "layers": 5 }), "`layers`", "from 1 to 4"),
        (json!({ "method": "last-layers", "layers": 0 }), "`layers`", "from 1 to 4"),
        (json!({ "method": "prompt", "tokens": 0 }), "`tokens`", "from 1 to 39"),
        (json!({ "method": "p-tuning", "tokens": 40 }), "`tokens`", "from 1 to 39"),
        (json!({ "method": "p-tuning", "mlp_width": 0 }), "`mlp_width`", "from 1 to 65536"),
        (json!({ "method": "prefix", "tokens": 0 }), "`tokens`", "from 1 to 39"),
        (json!({ "method": "prefix-mlp", "mlp_width": 0 }), "`mlp_width`", "from 1 to 65536"),
        (json!({ "method": "houlsby", "width": 1_u64 << 60 }), "`width`", "from 1 to 65536"),
        (json!({ "method": "houlsby", "width": 0 }), "`width`", "from 1 to 65536"),
        (json!({ "method": "pfeiffer", "dropout": 1.0 }), "`dropout`", dropout),
        (json!({ "method": "parallel", "scaling": 0.0 }), "`scaling`", "other than 0"),
        (json!({ "method": "parallel", "leave_out": [4] }), "`leave_out`", "0 to 3"),
        (json!({ "method": "houlsby", "leave_out": [0, 1, 2, 3] }), "`leave_out`", "at least one"),
        (json!({ "method": "lora", "rank": 33 }), "`rank`", "from 1 to 32"),
        (json!({ "method": "lora", "dropout": -0.1 }), "`dropout`", dropout),
        (json!({ "method": "lora", "only_layers": [9] }), "`only_layers`", "0 to 3"),
        (json!({ "method": "lora", "targets": ["gate"] }), "`targets`", "query, key, value"),
        (json!({ "method": "dora", "bias": true }), "`bias`", "false"),
        (json!({ "method": "dora", "alpha": 0.0 }), "`alpha`", "other than 0"),
        (json!({ "method": "ia3", "targets": ["down"] }), "`targets`", "one of them"),
        (json!({ "method": "llama-adapter", "tokens": 0 }), "`tokens`", "from 1 to 65536"),
        (json!({ "method": "llama-adapter", "layers": 5 }), "`layers`", "from 1 to 4"),
        (json!({ "method": "read", "width": 0 }), "`width`", "from 1 to 65536"),
        (json!({ "method": "read", "scale": 0.0 }), "`scale`", "other than 0"),
    ];
    for (settings, name, valid) in cases {
        let method = settings["method"].as_str().unwrap().to_owned();
        let message = refusal(settings);
        assert!(message.starts_with(&format!("{method}: ")), "{message}");
        assert!(message.contains(name) && message.contains(valid), "{message}");
    }
}

#[test]
fn only_the_scalar_gate_has_a_peft_file() {
    assert_eq!(config(json!({ "method": "llama-adapter" })).saves(), Saves::Weights);
    assert_eq!(config(json!({ "method": "llama-adapter", "gate": "heads-linear" })).saves(), Saves::Weights);
    assert_eq!(config(json!({ "method": "llama-adapter", "gate": "scalar" })).saves(), Saves::Peft);
    assert_eq!(config(json!({ "method": "prompt" })).saves(), Saves::Peft);
}
