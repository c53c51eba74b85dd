//! peft's IA3: one `ia3_l` per module, `[out, 1]` where it scales the output and `[1, in]` where it scales
//! the input.
//!
//! The tensors say which modules and which way; `target_modules` and `feedforward_modules` only say it again.

use super::{Given, Loaded, MODULES, Written, input_major, prefixed, unknown_tensors};
use crate::formats::fields::Fields;
use crate::formats::sites::{Choice, endings, modules};
use crate::formats::{CONFIG_FILE, Export};
use crate::{MethodConfig, ia3};
use offshoot_core::{Error, Result, Site, Slot};
use serde_json::json;
use std::collections::BTreeSet;

const TYPE: &str = "IA3";
const SUFFIX: &str = ".ia3_l";

pub(super) fn export(export: &Export<'_>, settings: &ia3::Config) -> Result<Written> {
    let feedforward = modules_at(export, &settings.feedforward);
    let targets: BTreeSet<_> =
        modules_at(export, &settings.targets).into_iter().chain(feedforward.clone()).collect();
    let fields = json!({
        "exclude_modules": null,
        "fan_in_fan_out": input_major(export.backbone),
        "feedforward_modules": feedforward,
        "init_ia3_weights": true,
        "target_modules": targets,
    });
    let tensors = export.own().into_iter().map(|tensor| prefixed(MODULES, tensor)).collect();
    Ok(Written { peft_type: TYPE, fields, prefix: MODULES, tensors, network: Vec::new() })
}

/// The ends of paths that single out the modules at these slots. peft compares `feedforward_modules` without
/// regard to dots, so these hold that way too.
fn modules_at(export: &Export<'_>, slots: &[Slot]) -> Vec<String> {
    let all = modules(export.backbone);
    let wanted = all.iter().filter(|(_, site)| slots.contains(&site.slot)).map(|(path, _)| path.clone());
    let wanted = wanted.collect();
    endings(&all.into_keys().collect::<Vec<_>>(), &wanted, |path, end| path.ends_with(end))
}

pub(super) fn import(mut fields: Fields<'_>, given: Given<'_>) -> Result<Loaded> {
    fields.inert(&["exclude_modules", "feedforward_modules", "init_ia3_weights", "target_modules"]);
    fields.must_be(
        "fan_in_fan_out",
        given.backbone.input_major_files(),
        "this model's files hold its weights so",
    );
    fields.finish()?;
    let modules = modules(given.backbone);
    let site = |name: &str| name.strip_suffix(SUFFIX).and_then(|module| modules.get(module)).copied();
    let unknown = given.tensors.keys().map(String::as_str).filter(|name| site(name).is_none());
    let known = format!("ia3_l at the projections of this {} model", given.backbone.family());
    unknown_tensors(TYPE, unknown, &known)?;
    let scales_input = |shape: &[usize]| matches!(shape, [1, inputs] if *inputs > 1);
    let all = given.tensors.iter().filter_map(|(name, (shape, _))| Some((site(name)?, scales_input(shape))));
    let (inputs, outputs): (Vec<_>, Vec<_>) = all.partition(|(_, input)| *input);
    let slots = |sites: Vec<(Site, bool)>| slots(&given, sites.into_iter().map(|(site, _)| site).collect());
    let config = ia3::Config { targets: slots(outputs)?, feedforward: slots(inputs)? };
    Ok(Loaded { method: MethodConfig::Ia3(config), values: given.tensors, notes: Vec::new() })
}

/// The slots of some sites, which must be those of every block.
fn slots(given: &Given<'_>, sites: BTreeSet<Site>) -> Result<Vec<Slot>> {
    let Choice { targets, only_layers } = Choice::of(given.backbone, &sites)?;
    match only_layers {
        None => Ok(targets),
        Some(layers) => Err(Error::invalid(format!(
            "{CONFIG_FILE}: the adapter scales {targets:?} in the blocks {layers:?} alone, and `ia3` here \
             in every block"
        ))),
    }
}
