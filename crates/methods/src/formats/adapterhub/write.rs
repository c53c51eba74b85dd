//! A bottleneck adapter into AdapterHub's files.

use super::is_backbone;
use super::{
    Form, HEAD_CONFIG_FILE, HEAD_FILE, HOULSBY, NAME, NON_LINEARITIES, NORMS_FILE, PARALLEL, PFEIFFER,
    WEIGHTS_FILE,
};
use crate::MethodConfig;
use crate::bottleneck::Settings;
use crate::formats::{CONFIG_FILE, Export, Files, NamedTensor, decimal};
use offshoot_core::{Error, Result};
use serde_json::{Value, json};

/// The version of the library whose files these are.
const VERSION: &str = "adapters.1.3.0";

pub(crate) fn export(export: &Export<'_>) -> Result<Files> {
    let (form, settings) = match export.method {
        MethodConfig::Houlsby(config) => (HOULSBY, &config.0),
        MethodConfig::Pfeiffer(config) => (PFEIFFER, &config.0),
        MethodConfig::Parallel(config) => (PARALLEL, &config.0),
        other => return Err(Error::invalid(format!("AdapterHub has no format for {}", other.info().name))),
    };
    let (norms, tensors) = export.own().into_iter().partition(|t| is_backbone(&t.name, export.backbone));
    let beside: [(_, Vec<NamedTensor>); 2] = [(HEAD_FILE, export.head()), (NORMS_FILE, norms)];
    let mut config = surroundings(export, json!(NAME));
    config["config"] = bottleneck_config(form, settings, export.backbone.shape().hidden)?;
    Ok(Files {
        config: Some((CONFIG_FILE, config)),
        weights: (WEIGHTS_FILE, tensors),
        extra: beside.into_iter().filter(|(_, tensors)| !tensors.is_empty()).collect(),
        head_config: Some((HEAD_CONFIG_FILE, head_config(export))),
    })
}

/// What both configurations say about the model.
fn surroundings(export: &Export<'_>, name: Value) -> Value {
    json!({
        "config": null,
        "hidden_size": export.backbone.shape().hidden,
        "model_class": export.model_class,
        "model_name": export.base_model,
        "model_type": export.backbone.family(),
        "name": name,
        "version": VERSION,
    })
}

fn head_config(export: &Export<'_>) -> Value {
    let mut config = surroundings(export, Value::Null);
    let labels = export.labels.iter().enumerate().map(|(class, label)| (label.clone(), json!(class)));
    config["label2id"] = Value::Object(labels.collect());
    config["num_labels"] = json!(export.labels.len());
    config
}

fn bottleneck_config(form: Form, settings: &Settings, hidden: usize) -> Result<Value> {
    let (Some(width), Some(non_linearity), Some(scaling)) =
        (settings.width, settings.non_linearity, settings.scaling)
    else {
        return Err(Error::invalid("a bottleneck adapter is saved with its sizes resolved"));
    };
    let named = NON_LINEARITIES.iter().find(|(_, ours)| *ours == non_linearity);
    Ok(json!({
        "adapter_residual_before_ln": false,
        "cross_adapter": false,
        "dropout": decimal(settings.dropout),
        "factorized_phm_W": true,
        "factorized_phm_rule": false,
        "hypercomplex_nonlinearity": "glorot-uniform",
        "init_weights": if form == PARALLEL { "mam_adapter" } else { "bert" },
        "init_weights_seed": null,
        "inv_adapter": null,
        "inv_adapter_reduction_factor": null,
        "is_parallel": form.is_parallel,
        "learn_phm": true,
        "leave_out": settings.leave_out,
        "ln_after": false,
        "ln_before": false,
        "mh_adapter": form.mh_adapter,
        "non_linearity": named.map(|(name, _)| *name),
        "original_ln_after": true,
        "original_ln_before": form.original_ln_before,
        "output_adapter": form.output_adapter,
        "phm_bias": true,
        "phm_c_init": "normal",
        "phm_dim": 4,
        "phm_init_range": 0.0001,
        "phm_layer": false,
        "phm_rank": 1,
        "reduction_factor": reduction_factor(hidden, width),
        "residual_before_ln": true,
        "scaling": scaling,
        "shared_W_phm": false,
        "shared_phm_rule": true,
        "stochastic_depth": 0.0,
        "use_gating": false,
    }))
}

/// The factor for which the library's `hidden // factor` is `width`. Where none is whole, one that rounds in
/// the middle.
fn reduction_factor(hidden: usize, width: usize) -> Value {
    match width != 0 && hidden.is_multiple_of(width) {
        true => json!(hidden / width),
        false => json!(hidden as f64 / (width as f64 + 0.5)),
    }
}
