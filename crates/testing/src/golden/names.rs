//! From the libraries' tensor names to ours.

/// Prefixes of the wrappers that peft puts around a model, the longer one first.
const WRAPPERS: [&str; 2] = ["base_model.model.", "base_model."];

/// Our name of a library's tensor.
///
/// peft's names hold its wrappers (`base_model`, `modules_to_save`) and the adapter's name, `default`;
/// AdapterHub's hold the adapter's name after `adapters`, which is `adapter` here. DoRA's magnitudes are a
/// module of their own in peft's names.
pub(crate) fn ours(theirs: &str) -> String {
    let path = WRAPPERS.iter().find_map(|wrapper| theirs.strip_prefix(wrapper)).unwrap_or(theirs);
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('.').filter(|segment| !matches!(*segment, "default" | "modules_to_save")) {
        let named = segments.last() == Some(&"adapters");
        segments.push(if named { "adapter" } else { segment });
    }
    if segments.ends_with(&["lora_magnitude_vector", "weight"]) {
        segments.pop();
    }
    segments.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers_and_adapter_names_are_left_out() {
        for (theirs, expected) in [
            ("base_model.model.bert.a.query.lora_A.default.weight", "bert.a.query.lora_A.weight"),
            ("base_model.model.bert.a.query.lora_B.default.bias", "bert.a.query.lora_B.bias"),
            ("base_model.model.bert.a.key.ia3_l.default", "bert.a.key.ia3_l"),
            ("base_model.model.q.lora_magnitude_vector.default.weight", "q.lora_magnitude_vector"),
            ("base_model.model.classifier.modules_to_save.default.bias", "classifier.bias"),
            ("base_model.classifier.modules_to_save.default.out_proj.weight", "classifier.out_proj.weight"),
            ("prompt_encoder.default.mlp_head.0.bias", "prompt_encoder.mlp_head.0.bias"),
            ("prompt_encoder.default.embedding.weight", "prompt_encoder.embedding.weight"),
            (
                "bert.output.adapters.a.adapter_down.0.weight",
                "bert.output.adapters.adapter.adapter_down.0.weight",
            ),
            (
                "layer.0.output_adapters.adapters.a.adapter_up.bias",
                "layer.0.output_adapters.adapters.adapter.adapter_up.bias",
            ),
        ] {
            assert_eq!(ours(theirs), expected);
        }
    }

    #[test]
    fn the_models_own_names_stay() {
        for name in ["bert.embeddings.LayerNorm.weight", "classifier.dense.bias", "model.norm.weight"] {
            assert_eq!(ours(name), name);
        }
    }
}
