//! A bottleneck adapter out of AdapterHub's files.

use super::{Form, NAME, NON_LINEARITIES, SUFFIXES, WEIGHTS_FILE, is_backbone};
use crate::bottleneck::{NonLinearity, Settings};
use crate::formats::fields::Fields;
use crate::formats::{CONFIG_FILE, Imported, Source, Tensors, listed};
use offshoot_core::{Backbone, Error, Result, Sublayer};
use serde_json::Value;

/// The end of the name of a first projection.
const DOWN: &str = ".adapter_down.0.weight";
/// Fields that only matter for initialisation, or for a feature that is refused where it is switched on.
const INERT: &[&str] = &[
    "adapter_residual_before_ln",
    "factorized_phm_W",
    "factorized_phm_rule",
    "hypercomplex_nonlinearity",
    "init_weights",
    "init_weights_seed",
    "inv_adapter_reduction_factor",
    "learn_phm",
    "phm_bias",
    "phm_c_init",
    "phm_dim",
    "phm_init_range",
    "phm_rank",
    "shared_W_phm",
    "shared_phm_rule",
];

pub(crate) fn import(source: Source<'_>) -> Result<Imported> {
    let backbone = source.backbone;
    let nested = source.config.get("config").filter(|config| config.is_object());
    let mut outer = Fields::new(CONFIG_FILE, source.config)?;
    let name = surroundings_fit(&mut outer, backbone);
    let tensors = renamed(source.tensors, name, backbone)?;
    let mut inner = match nested {
        Some(inner) => {
            outer.inert(&["config"]);
            outer.finish()?;
            Fields::new(format!("{CONFIG_FILE}, `config`"), inner)?
        }
        None => outer,
    };
    let (form, settings) = bottleneck(&mut inner, &tensors, backbone);
    inner.finish()?;
    let (norms, head): (Tensors, Tensors) =
        source.extra.into_iter().partition(|(name, _)| is_backbone(name, backbone));
    refuse_flexible_head(&head)?;
    let settings = Settings { norms: !norms.is_empty(), ..settings };
    let method = form.method(settings).ok_or_else(|| {
        Error::invalid(format!(
            "{CONFIG_FILE}: `mh_adapter`, `output_adapter`, `original_ln_before` and `is_parallel` are \
             those of no method here: houlsby has true, true, false, false; pfeiffer false, true, true, \
             false; parallel false, true, any, true"
        ))
    })?;
    Ok(Imported { method, values: tensors.into_iter().chain(norms).collect(), head, notes: Vec::new() })
}

/// A head of the library's flexible classes has layers that the classes of transformers have not.
fn refuse_flexible_head(head: &Tensors) -> Result<()> {
    let flexible = listed(head.keys().map(String::as_str).filter(|name| name.starts_with("heads.")));
    if flexible.is_empty() {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the adapter's head: {flexible} are of a flexible head, which cannot be loaded; move its file away to \
         load the adapter alone"
    )))
}

/// Checks what the configuration says about the model; gives the adapter's name, if it has one.
fn surroundings_fit<'a>(fields: &mut Fields<'a>, backbone: &dyn Backbone) -> Option<&'a str> {
    fields.inert(&["model_class", "model_name", "version"]);
    fields.must_be("model_type", backbone.family(), "this is the model's family");
    fields.must_be("hidden_size", backbone.shape().hidden, "this is the model's width");
    fields.get("name").and_then(Value::as_str)
}

/// The tensors under our names.
fn renamed(tensors: Tensors, name: Option<&str>, backbone: &dyn Backbone) -> Result<Tensors> {
    let parts = [Sublayer::Attention, Sublayer::FeedForward];
    let places = (0..backbone.shape().layers).flat_map(|layer| parts.map(|part| (layer, part)));
    let modules: Vec<_> = places.map(|(layer, part)| backbone.bottleneck_module(layer, part)).collect();
    let rename = |from: &str| {
        let suffix = SUFFIXES.iter().find(|suffix| from.ends_with(**suffix))?;
        let path = from.strip_suffix(suffix)?;
        let fits = |module: &&String| {
            let rest = path.strip_prefix(module.as_str()).and_then(|rest| rest.strip_prefix('.'));
            rest.is_some_and(|rest| name.map_or(!rest.contains('.'), |name| name == rest))
        };
        modules.iter().find(fits).map(|module| format!("{module}.{NAME}{suffix}"))
    };
    let unknown = listed(tensors.keys().map(String::as_str).filter(|from| rename(from).is_none()));
    if !unknown.is_empty() {
        return Err(Error::invalid(format!(
            "{WEIGHTS_FILE}: {unknown} do not belong to a bottleneck adapter {}on this {} model",
            name.map(|name| format!("named {name:?} ")).unwrap_or_default(),
            backbone.family()
        )));
    }
    Ok(tensors.into_iter().filter_map(|(from, value)| Some((rename(&from)?, value))).collect())
}

/// The form and the settings that the library's configuration asks for.
fn bottleneck(fields: &mut Fields<'_>, tensors: &Tensors, backbone: &dyn Backbone) -> (Form, Settings) {
    let form = read_form(fields);
    fields.inert(INERT);
    norms_and_residuals(fields, form);
    extensions(fields);
    let leave_out = fields.counts("leave_out");
    let settings = Settings {
        width: width(fields, tensors, &leave_out, backbone),
        non_linearity: non_linearity(fields),
        scaling: Some(fields.number("scaling", 1.0)),
        leave_out,
        dropout: fields.number("dropout", 0.0) as f32,
        norms: false,
    };
    (form, settings)
}

fn norms_and_residuals(fields: &mut Fields<'_>, form: Form) {
    const OWN: &str = "an adapter has no norm of its own here";
    fields.must_be("ln_before", false, OWN);
    fields.must_be("ln_after", false, OWN);
    fields.must_be("original_ln_after", true, "the model's own norm follows the adapter here");
    match form.original_ln_before && !form.is_parallel {
        true => fields.must_be("residual_before_ln", true, "the residual starts before the norm here"),
        // It says from which side of a norm that is not there the residual starts.
        false => fields.inert(&["residual_before_ln"]),
    }
}

/// Extensions of the bottleneck that are not built.
fn extensions(fields: &mut Fields<'_>) {
    const NOT_BUILT: &str = "this extension of the bottleneck is not built";
    fields.must_be("architecture", Value::Null, "only bottleneck adapters are read from AdapterHub's files");
    for name in ["cross_adapter", "phm_layer", "use_gating"] {
        fields.must_be(name, false, NOT_BUILT);
    }
    fields.must_be("inv_adapter", Value::Null, NOT_BUILT);
    if fields.number("stochastic_depth", 0.0) != 0.0 {
        fields.refuse("stochastic_depth", "must be 0: whole layers are not dropped here");
    }
}

fn non_linearity(fields: &mut Fields<'_>) -> Option<NonLinearity> {
    let name = fields.text("non_linearity", "").to_lowercase();
    let found = NON_LINEARITIES.iter().find(|(known, _)| *known == name).map(|(_, ours)| *ours);
    if found.is_none() {
        let known = NON_LINEARITIES.map(|(known, _)| known).join(", ");
        fields.refuse("non_linearity", &format!("must be one of {known}"));
    }
    found
}

fn read_form(fields: &mut Fields<'_>) -> Form {
    Form {
        mh_adapter: fields.flag("mh_adapter", false),
        output_adapter: fields.flag("output_adapter", false),
        original_ln_before: fields.flag("original_ln_before", false),
        is_parallel: fields.flag("is_parallel", false),
    }
}

/// The width of all bottlenecks: the rows of their first projections, which must be what `reduction_factor`
/// gives.
fn width(
    fields: &mut Fields<'_>,
    tensors: &Tensors,
    leave_out: &[usize],
    backbone: &dyn Backbone,
) -> Option<usize> {
    let factor = fields.get("reduction_factor");
    let downs = tensors.iter().filter(|(name, _)| name.ends_with(DOWN));
    let mut widths: Vec<_> = downs.filter_map(|(_, (shape, _))| shape.first().copied()).collect();
    widths.dedup();
    let shape = backbone.shape();
    let given = |layer: usize| reduced(shape.hidden, factor_of(factor, layer)?);
    let mut adapted = (0..shape.layers).filter(|layer| !leave_out.contains(layer));
    match widths[..] {
        [] => None,
        [width] if adapted.all(|layer| given(layer) == Some(width)) => Some(width),
        [width] => {
            fields.refuse(
                "reduction_factor",
                &format!("does not give the width of the file's tensors, {width}"),
            );
            None
        }
        _ => {
            fields.refuse("reduction_factor", "gives blocks of different widths, and here all have the same");
            None
        }
    }
}

/// The factor of a block: one number for all, or a table by block with a default.
fn factor_of(factor: Option<&Value>, layer: usize) -> Option<f64> {
    match factor? {
        Value::Object(table) => table.get(&layer.to_string()).or_else(|| table.get("default"))?.as_f64(),
        number => number.as_f64(),
    }
}

/// `hidden // factor`, at least 1, as the library computes it.
fn reduced(hidden: usize, factor: f64) -> Option<usize> {
    let hidden = hidden as f64;
    (factor > 0.0).then(|| (((hidden - hidden % factor) / factor).round() as usize).max(1))
}
