//! The files of AdapterHub's `adapters` 1.3 for bottleneck adapters: `adapter_config.json` with
//! `adapter.safetensors`, and the head's `head_config.json` with `model_head.safetensors`.
//!
//! The adapter's name is part of every tensor's: `….adapters.NAME.adapter_down.0.weight`. On reading, any
//! name will do; we write `adapter`. Trained norms (`norms = true`) have no place in these files and stand
//! beside in `norms.safetensors`, which the library does not read.

mod read;
mod write;

pub(crate) use read::import;
pub(crate) use write::export;

use crate::bottleneck::{NonLinearity, Settings};
use crate::{MethodConfig, houlsby, parallel, pfeiffer};
use offshoot_core::Backbone;

pub(crate) const WEIGHTS_FILE: &str = "adapter.safetensors";
pub(crate) const HEAD_CONFIG_FILE: &str = "head_config.json";
pub(crate) const HEAD_FILE: &str = "model_head.safetensors";
/// Norms that were trained beside the adapter, under their checkpoint names.
pub(crate) const NORMS_FILE: &str = "norms.safetensors";
/// The adapter's name in our files.
const NAME: &str = "adapter";
/// A bottleneck's tensors, after the adapter's name.
const SUFFIXES: [&str; 4] =
    [".adapter_down.0.bias", ".adapter_down.0.weight", ".adapter_up.bias", ".adapter_up.weight"];
/// The library's names of non-linearities, and ours. The first of ours is the one that is written.
const NON_LINEARITIES: [(&str, NonLinearity); 8] = [
    ("relu", NonLinearity::Relu),
    ("gelu", NonLinearity::Gelu),
    ("gelu_new", NonLinearity::GeluTanh),
    ("gelu_pytorch_tanh", NonLinearity::GeluTanh),
    ("swish", NonLinearity::Silu),
    ("silu", NonLinearity::Silu),
    ("tanh", NonLinearity::Tanh),
    ("sigmoid", NonLinearity::Sigmoid),
];
/// What tells the three methods apart in the library's configuration.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Form {
    mh_adapter: bool,
    output_adapter: bool,
    original_ln_before: bool,
    is_parallel: bool,
}

const HOULSBY: Form =
    Form { mh_adapter: true, output_adapter: true, original_ln_before: false, is_parallel: false };
const PFEIFFER: Form =
    Form { mh_adapter: false, output_adapter: true, original_ln_before: true, is_parallel: false };
const PARALLEL: Form =
    Form { mh_adapter: false, output_adapter: true, original_ln_before: false, is_parallel: true };

impl Form {
    /// The method of this form. A parallel adapter has no use for `original_ln_before`.
    fn method(self, settings: Settings) -> Option<MethodConfig> {
        let form = Self { original_ln_before: self.original_ln_before && !self.is_parallel, ..self };
        match form {
            HOULSBY => Some(MethodConfig::Houlsby(houlsby::Config(settings))),
            PFEIFFER => Some(MethodConfig::Pfeiffer(pfeiffer::Config(settings))),
            PARALLEL => Some(MethodConfig::Parallel(parallel::Config(settings))),
            _ => None,
        }
    }
}

fn is_backbone(name: &str, backbone: &dyn Backbone) -> bool {
    backbone.weights().iter().any(|weight| weight.name() == name)
}
