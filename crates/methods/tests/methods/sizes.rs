//! How many values methods train: the arithmetic of their papers.

use crate::stub::{build, shape};
use offshoot_core::Params;
use offshoot_methods::MethodConfig;
use serde_json::{Value, json};

fn params(settings: Value, layers: usize, hidden: usize) -> Params {
    let config: MethodConfig = serde_json::from_value(settings).unwrap();
    build(&config, shape(layers, hidden)).unwrap().1
}

#[test]
fn a_bottleneck_of_24_at_1024_has_49152_weights() {
    let params = params(json!({ "method": "pfeiffer", "width": 24 }), 1, 1024);
    let weights = params.iter().filter(|p| p.name().ends_with(".weight"));
    assert_eq!(weights.map(|p| p.value().len()).sum::<usize>(), 49_152);
    assert_eq!(params.count(), 49_152 + 24 + 1024);
}

#[test]
fn counts_are_those_of_the_papers() {
    let (l, d, f) = (3, 32, 64);
    let cases = [
        (json!({ "method": "prompt", "tokens": 5 }), 5 * d),
        (
            json!({ "method": "p-tuning", "tokens": 5, "mlp_width": 24 }),
            5 * d + 24 * d + 24 * 24 + d * 24 + 80,
        ),
        (json!({ "method": "prefix", "tokens": 5, "init": "normal" }), 5 * l * 2 * d),
        (
            json!({ "method": "prefix-mlp", "tokens": 5, "mlp_width": 24 }),
            5 * d + 24 * d + 24 + 25 * l * 2 * d,
        ),
        (json!({ "method": "houlsby", "width": 8 }), 2 * l * (2 * d * 8 + d + 8)),
        (json!({ "method": "houlsby", "width": 8, "leave_out": [1] }), 2 * (l - 1) * (2 * d * 8 + d + 8)),
        (json!({ "method": "dora", "rank": 4 }), 2 * l * (4 * d + 4 * d + d)),
        (json!({ "method": "ia3" }), l * (d + d + f)),
        (json!({ "method": "ia3", "feedforward": ["down", "output"] }), l * (d + d + f + d)),
        (json!({ "method": "llama-adapter", "layers": 2 }), 2 * (10 * d + 2)),
        (json!({ "method": "llama-adapter", "layers": 2, "gate": "heads-linear" }), 2 * (10 * d + 2)),
        (json!({ "method": "llama-adapter", "layers": 2, "gate": "scalar" }), 2 * (10 * d + 1)),
        (json!({ "method": "read", "width": 4 }), d + 12 * (d + 4) + 24 + d * 4 + d),
        (json!({ "method": "read", "width": 4, "cell": "lstm" }), d + 16 * (d + 4) + 32 + d * 4 + d),
        (json!({ "method": "bitfit" }), l * (5 * d + f)),
        (json!({ "method": "head" }), 0),
        (json!({ "method": "features" }), 0),
    ];
    for (settings, count) in cases {
        assert_eq!(params(settings.clone(), l, d).count(), count, "{settings}");
    }
}

#[test]
fn names_are_those_of_the_files() {
    let names = |settings| params(settings, 1, 32).iter().map(|p| p.name().to_owned()).collect::<Vec<_>>();
    assert_eq!(
        names(json!({ "method": "ia3", "feedforward": [] })),
        ["layer.0.key.ia3_l", "layer.0.value.ia3_l"]
    );
    let bottleneck = names(json!({ "method": "parallel" }));
    assert_eq!(bottleneck[0], "layer.0.feedforward.adapters.adapter.adapter_down.0.weight");
    assert_eq!(bottleneck[2], "layer.0.feedforward.adapters.adapter.adapter_up.weight");
    assert_eq!(names(json!({ "method": "llama-adapter" }))[0], "layer.0.attention.adaption_prompt");
    assert_eq!(names(json!({ "method": "prompt" })), ["prompt_encoder.embedding.weight"]);
    assert_eq!(names(json!({ "method": "p-tuning" }))[5], "prompt_encoder.mlp_head.4.weight");
    assert_eq!(names(json!({ "method": "prefix-mlp" }))[3], "prompt_encoder.transform.2.weight");
    assert!(names(json!({ "method": "dora" })).contains(&"layer.0.query.lora_magnitude_vector".to_owned()));
}
