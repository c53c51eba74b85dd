//! The registry: a method is one file and one line here. Help texts, tables, formats and the conformance
//! suite iterate over it.

use crate::{Method, Target};
use offshoot_core::{Adapter, Result, Shape};
use serde::{Deserialize, Serialize};

/// What others need to know of a method.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// The name on the command line and in recipes.
    pub name: &'static str,
    /// One line for help texts.
    pub summary: &'static str,
    /// Authors, year and link.
    pub paper: &'static str,
    /// The default learning rate. The reason stands in the method's file.
    pub learning_rate: f32,
    /// Which files it is saved in; [`MethodConfig::saves`] knows what settings change of it.
    pub saves: Saves,
    /// Whether the untrained adapter leaves the backbone's output as it is.
    pub starts_as_identity: bool,
    /// Whether a trained adapter can become a part of the model's own weights.
    pub merging: Merging,
}

/// Whether what a method learns can be written into the model's own weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merging {
    /// It is a change of weights: [`offshoot_core::Merge`] makes it.
    Weights,
    /// It is not, and why: a sentence without its full stop.
    Never(&'static str),
}

/// How a method is written to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saves {
    /// peft's layout.
    Peft,
    /// AdapterHub's layout with safetensors.
    AdapterHub,
    /// safetensors under the model's own names, or the method's where the model has none.
    Weights,
    /// A complete checkpoint in the Hugging Face layout.
    Checkpoint,
    /// A head on frozen features, which is fitted to them and not trained by steps through the model.
    Features,
    /// A classifier on frozen features that is no network, in a file of its own.
    Fitted,
    /// A prompt in words: nothing is trained.
    Prompt,
}

/// Sizes given on the command line. A method takes those that it has and leaves the others to methods that
/// have them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    /// Rank of low-rank updates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank: Option<usize>,
    /// Virtual tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<usize>,
    /// Width of bottlenecks and side networks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<usize>,
    /// Number of top layers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<usize>,
}

/// Declares [`MethodConfig`] and its look-ups from one table.
macro_rules! methods {
    ($($name:literal => $module:ident::$variant:ident,)*) => {
        /// The saved form of a method: `{"method": "lora", "rank": 8, ...}`.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "method")]
        pub enum MethodConfig {
            $(
                #[doc = concat!("`", $name, "`")]
                #[serde(rename = $name)]
                $variant(crate::$module::Config),
            )*
        }

        impl MethodConfig {
            /// Every method's description, in the order of the registry.
            pub const ALL: &'static [Info] = &[$(crate::$module::INFO),*];

            /// The method's description.
            pub fn info(&self) -> &'static Info {
                match self {
                    $(Self::$variant(_) => &crate::$module::INFO,)*
                }
            }

            fn method(&self) -> &dyn Method {
                match self {
                    $(Self::$variant(config) => config,)*
                }
            }

            fn method_mut(&mut self) -> &mut dyn Method {
                match self {
                    $(Self::$variant(config) => config,)*
                }
            }
        }
    };
}

methods! {
    "in-context" => in_context::InContext,
    "hard-prompt" => hard_prompt::HardPrompt,
    "features" => features::Features,
    "features-mlp" => features_mlp::FeaturesMlp,
    "features-knn" => features_knn::FeaturesKnn,
    "features-forest" => features_forest::FeaturesForest,
    "features-xgboost" => features_xgboost::FeaturesXgboost,
    "head" => head::Head,
    "last-layers" => last_layers::LastLayers,
    "full" => full::Full,
    "bitfit" => bitfit::BitFit,
    "prompt" => prompt::Prompt,
    "p-tuning" => p_tuning::PTuning,
    "prefix" => prefix::Prefix,
    "prefix-mlp" => prefix_mlp::PrefixMlp,
    "houlsby" => houlsby::Houlsby,
    "pfeiffer" => pfeiffer::Pfeiffer,
    "parallel" => parallel::Parallel,
    "lora" => lora::Lora,
    "dora" => dora::Dora,
    "ia3" => ia3::Ia3,
    "llama-adapter" => llama_adapter::LlamaAdapter,
    "read" => read::Read,
}

impl MethodConfig {
    /// A method by name with its default settings.
    ///
    /// # Errors
    /// If there is no such method: the message lists them.
    pub fn named(name: &str) -> Result<Self> {
        Self::with_sizes(name, &Sizes::default())
    }

    /// A method by name, with those of the given sizes that it has.
    ///
    /// # Errors
    /// If there is no such method: the message lists them.
    pub fn with_sizes(name: &str, sizes: &Sizes) -> Result<Self> {
        let mut settings = default_settings(name)?;
        let given = serde_json::to_value(sizes).map_err(json_error)?;
        for (key, value) in given.as_object().into_iter().flatten() {
            let known = Self::has_setting(name, key)?;
            if known {
                settings[key] = value.clone();
            }
        }
        serde_json::from_value(settings).map_err(json_error)
    }

    /// Whether the method has a setting of this name.
    ///
    /// # Errors
    /// If there is no such method.
    pub fn has_setting(name: &str, key: &str) -> Result<bool> {
        let complete: Self = serde_json::from_value(default_settings(name)?).map_err(json_error)?;
        let complete = serde_json::to_value(complete).map_err(json_error)?;
        Ok(key != "method" && complete.get(key).is_some())
    }

    /// How large the method is: the setting that decides how much it trains (a rank, virtual tokens or a width).
    /// None where no such setting is set, or none can be.
    pub fn size(&self) -> Option<usize> {
        let settings = serde_json::to_value(self).ok()?;
        SIZES.iter().find_map(|&size| settings.get(size)?.as_u64()?.try_into().ok())
    }

    /// The method at another [size](Self::size). The scale of a low-rank update, alpha / rank, stays what it is.
    ///
    /// # Errors
    /// If the method has no size.
    pub fn resized(&self, size: usize) -> Result<Self> {
        let mut settings = serde_json::to_value(self).map_err(json_error)?;
        let own = SIZES.iter().find_map(|&name| Some((name, settings.get(name)?.as_f64()?)));
        let (name, own) = own.ok_or_else(|| no_size(self.info().name))?;
        settings[name] = size.into();
        if let Some(alpha) = settings.get("alpha").and_then(serde_json::Value::as_f64) {
            settings["alpha"] = (alpha * size as f64 / own.max(1.0)).into();
        }
        serde_json::from_value(settings).map_err(json_error)
    }

    /// How the method with these settings is written to disk.
    pub fn saves(&self) -> Saves {
        self.method().saves().unwrap_or(self.info().saves)
    }

    /// Checks that what it learns can be written into the model's own weights.
    ///
    /// # Errors
    /// If it cannot: the message names the method and says why.
    pub fn check_merging(&self) -> Result<()> {
        match self.info().merging {
            Merging::Weights => Ok(()),
            Merging::Never(reason) => {
                let name = self.info().name;
                Err(offshoot_core::Error::invalid(format!("`{name}` cannot be merged: {reason}")))
            }
        }
    }

    /// Fills the sizes that were left open with what suits a backbone of this shape.
    pub fn resolve(&mut self, shape: &Shape) {
        self.method_mut().resolve(shape);
    }

    /// Registers the method's parameters in `target.params` and returns its adapter.
    ///
    /// # Errors
    /// If a setting does not fit the backbone.
    pub fn build(&self, target: &mut Target<'_>) -> Result<Box<dyn Adapter>> {
        self.method().build(target)
    }
}

/// Settings that are the size of a method which has them.
const SIZES: [&str; 3] = ["rank", "tokens", "width"];

fn no_size(name: &str) -> offshoot_core::Error {
    offshoot_core::Error::invalid(format!("`{name}` has no rank, virtual tokens or width to size it by"))
}

fn default_settings(name: &str) -> Result<serde_json::Value> {
    if MethodConfig::ALL.iter().any(|info| info.name == name) {
        return Ok(serde_json::json!({ "method": name }));
    }
    let known: Vec<_> = MethodConfig::ALL.iter().map(|info| info.name).collect();
    Err(offshoot_core::Error::invalid(format!(
        "there is no method `{name}`; the methods are {}",
        known.join(", ")
    )))
}

fn json_error(error: serde_json::Error) -> offshoot_core::Error {
    offshoot_core::Error::invalid(format!("method settings: {error}"))
}
