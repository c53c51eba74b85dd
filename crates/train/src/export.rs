//! Adapters for other programs.

use crate::trained::Trained;
use crate::{Error, Result};
use offshoot_core::Params;
use offshoot_methods::{MethodConfig, lora};
use offshoot_models::gguf::{LoraFactors, write_lora};
use std::path::Path;

/// How far two alphas may differ and be one: they are written as f32.
const SAME: f64 = 1e-6;

/// Writes a LoRA adapter of a language model as a GGUF file that llama.cpp loads over its base, and returns how
/// many projections it changes.
///
/// llama.cpp scales each update by `alpha / rank`, with one alpha for all: with `rs` that alpha is `alpha
/// sqrt(rank)`.
///
/// # Errors
/// If the adapter is of another method or has a setting or a head that such files have no place for, the base is
/// of a family that llama.cpp's files do not have, or the file cannot be written. The message names it.
pub fn export_gguf(path: &Path, trained: &Trained) -> Result<usize> {
    let settings = settings(trained)?;
    let factors = factors(trained, settings)?;
    let backbone = trained.backbone();
    let shape = backbone.shape();
    let alpha = alpha(settings, &factors)?;
    write_lora(path, (backbone.family(), (shape.heads, shape.kv_heads)), alpha as f32, &factors)?;
    Ok(factors.len())
}

/// The settings of an adapter that can be expressed.
fn settings(trained: &Trained) -> Result<&lora::Config> {
    let method = trained.method();
    let refuse = |reason: &str| {
        Err(Error::invalid(format!("`{}` cannot be exported as GGUF: {reason}", method.info().name)))
    };
    let settings = match method {
        MethodConfig::Lora(settings) => settings,
        MethodConfig::Dora(_) => {
            return refuse("such files have no place for its lengths; `offshoot merge` makes a model of it");
        }
        _ if method.check_merging().is_ok() => {
            return refuse("such files hold LoRA's factors; `offshoot merge` makes a model of it");
        }
        _ => return refuse("such files hold LoRA's factors and nothing else"),
    };
    if matches!(trained, Trained::Classifier(..)) {
        return refuse("the adapter has a classification head, and such files have no place for one");
    }
    if settings.bias {
        return refuse("its `bias` has no place in such files; `offshoot merge` makes a model of it");
    }
    Ok(settings)
}

/// The factors of every projection that has some.
fn factors(trained: &Trained, settings: &lora::Config) -> Result<Vec<LoraFactors>> {
    let (backbone, params) = (trained.backbone(), trained.params());
    let modules = backbone.projections().into_iter().map(|(site, _)| backbone.module(site));
    let factors: Vec<_> = modules.filter_map(|module| of_module(params, module)).collect();
    if factors.is_empty() {
        let reason = format!("the adapter has no factors for its targets {:?}", settings.targets);
        return Err(Error::invalid(reason));
    }
    Ok(factors)
}

fn of_module(params: &Params, module: String) -> Option<LoraFactors> {
    let value = |end: &str| params.find(&format!("{module}.{end}.weight")).map(|id| params.get(id).value());
    let (a, b) = (value("lora_A")?, value("lora_B")?);
    let (rank, a, b) = (a.rows(), a.to_vec(), b.to_vec());
    Some(LoraFactors { module, rank, a, b })
}

/// The one alpha that gives every projection its scale as `alpha / rank`.
fn alpha(settings: &lora::Config, factors: &[LoraFactors]) -> Result<f64> {
    let of = |factors: &LoraFactors| settings.scale(&factors.module) * factors.rank as f64;
    let first = factors.first().map_or(settings.alpha, of);
    let differs = |factors: &&LoraFactors| (of(factors) - first).abs() > SAME * first.abs();
    let Some(other) = factors.iter().find(differs) else { return Ok(first) };
    let setting = if settings.alpha_pattern.is_empty() { "rank_pattern` with `rs" } else { "alpha_pattern" };
    Err(Error::invalid(format!(
        "`lora` cannot be exported as GGUF: `{setting}` gives {} another alpha ({}) than the rest ({first}), and \
         such files have one for all; `offshoot merge` makes a model of it",
        other.module,
        of(other)
    )))
}

#[cfg(test)]
mod tests;
