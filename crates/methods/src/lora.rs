//! LoRA, Hu et al. 2021, <https://arxiv.org/abs/2106.09685>, section 4.1.
//!
//! `y = W x + b + scale B A x` with `A` `[rank, in]` random and `B` `[out, rank]` zero, so that training
//! starts from the backbone as it is. `scale` is `alpha / rank`, or `alpha / sqrt(rank)` with `rs`
//! (Kalajdzievski 2023, <https://arxiv.org/abs/2312.03732>). As in the authors' code, A is drawn as a linear
//! layer of torch draws its weight, uniform in `±1 / sqrt(in)`, where the paper says normal.

use crate::sites::wanted;
use crate::{
    Info, Merging, Method, Saves, Target, check_dropout, check_factor, check_layers, check_size, dropout_site,
};
use offshoot_core::nn::Base;
use offshoot_core::{Adapter, OutputHead, ParamId, Params, Result, Site, Slot, Step, Tensor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How `lora` presents itself.
pub const INFO: Info = Info {
    name: "lora",
    summary: "low-rank updates beside the projections",
    paper: "Hu et al. 2021, https://arxiv.org/abs/2106.09685",
    // B starts at zero and the update is a product: ten to twenty times the rate of full fine-tuning. On a few thousand
    // rows 1e-3 overfits in the second epoch and 5e-4 has not arrived in the third.
    learning_rate: 7e-4,
    saves: Saves::Peft,
    starts_as_identity: true,
    merging: Merging::Weights,
};

/// Settings of `lora`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Rank of the update. Default 8.
    pub rank: usize,
    /// The update is scaled by `alpha / rank`. Default 16.
    pub alpha: f64,
    /// Which projections get an update. Default: query and value, the paper's choice for a given budget
    /// (section 7.1).
    pub targets: Vec<Slot>,
    /// Only these blocks (all if absent).
    pub only_layers: Option<Vec<usize>>,
    /// Scales by `alpha / sqrt(rank)` instead, which keeps large ranks stable.
    pub rs: bool,
    /// Dropout on the update's input.
    pub dropout: f32,
    /// Adds a trained bias to `B`.
    pub bias: bool,
    /// Other ranks for modules whose path ends with the key.
    pub rank_pattern: BTreeMap<String, usize>,
    /// Other alphas for modules whose path ends with the key.
    pub alpha_pattern: BTreeMap<String, f64>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rank: 8,
            alpha: 16.0,
            targets: vec![Slot::Query, Slot::Value],
            only_layers: None,
            rs: false,
            dropout: 0.0,
            bias: false,
            rank_pattern: BTreeMap::new(),
            alpha_pattern: BTreeMap::new(),
        }
    }
}

impl Config {
    /// The update's factor at the module of this path.
    pub fn scale(&self, module: &str) -> f64 {
        let alpha = pattern(&self.alpha_pattern, module).copied().unwrap_or(self.alpha);
        let rank = self.rank_at(module) as f64;
        alpha / if self.rs { rank.sqrt() } else { rank }
    }

    fn rank_at(&self, module: &str) -> usize {
        pattern(&self.rank_pattern, module).copied().unwrap_or(self.rank)
    }

    fn wants(&self, site: Site) -> bool {
        let layers = self.only_layers.as_ref();
        let layer = site.slot == Slot::Pooler || layers.is_none_or(|layers| layers.contains(&site.layer));
        layer && self.targets.contains(&site.slot)
    }

    /// Registers the factors at every site that is wanted.
    pub(crate) fn factors(&self, method: &str, target: &mut Target<'_>) -> Result<BTreeMap<Site, Factors>> {
        self.check(method, target.shape().layers)?;
        wanted(method, target, |site| self.wants(site))?
            .into_iter()
            .map(|(site, module, size)| Ok((site, self.factor(method, target, &module, size)?)))
            .collect()
    }

    fn check(&self, method: &str, layers: usize) -> Result<()> {
        check_dropout(method, self.dropout)?;
        check_factor(method, "alpha", self.alpha)?;
        check_layers(method, "only_layers", self.only_layers.as_deref().unwrap_or_default(), layers)
    }

    fn factor(
        &self,
        method: &str,
        target: &mut Target<'_>,
        module: &str,
        size: (usize, usize),
    ) -> Result<Factors> {
        let (inputs, outputs) = size;
        let rank = self.rank_at(module);
        check_size(method, "rank", rank, 1..=inputs.min(outputs))?;
        let a = target.uniform(&[rank, inputs], (1.0 / inputs as f64).sqrt());
        let b = target.zeros(&[outputs, rank]);
        let bias = self.bias.then(|| target.zeros(&[outputs]));
        Ok(Factors {
            a: target.params.insert(format!("{module}.lora_A.weight"), a)?,
            b: target.params.insert(format!("{module}.lora_B.weight"), b)?,
            bias: bias.map(|bias| target.params.insert(format!("{module}.lora_B.bias"), bias)).transpose()?,
            scale: self.scale(module) as f32,
            dropout: self.dropout,
        })
    }
}

impl Method for Config {
    fn build(&self, target: &mut Target<'_>) -> Result<Box<dyn Adapter>> {
        Ok(Box::new(Lora { factors: self.factors("lora", target)? }))
    }
}

/// The update at one site.
pub(crate) struct Factors {
    /// `[rank, in]`
    pub(crate) a: ParamId,
    /// `[out, rank]`
    pub(crate) b: ParamId,
    /// `[out]`
    bias: Option<ParamId>,
    pub(crate) scale: f32,
    dropout: f32,
}

impl Factors {
    /// `scale A x`: `x` `[n, in]` to `[n, rank]`.
    fn down(&self, step: &Step<'_>, site: Site, x: &Tensor) -> Result<Tensor> {
        let x = step.dropout(x, self.dropout, dropout_site(site.layer, site.slot as u64))?;
        Ok(x.linear(&step.param(self.a))?.scale(self.scale))
    }

    /// `scale bias`, if there is one: `[out]`.
    fn shift(&self, step: &Step<'_>) -> Option<Tensor> {
        self.bias.map(|bias| step.param(bias).scale(self.scale))
    }

    /// `scale (B A x + bias)`: `x` `[n, in]` to `[n, out]`.
    pub(crate) fn update(&self, step: &Step<'_>, site: Site, x: &Tensor) -> Result<Tensor> {
        let (down, b) = (self.down(step, site, x)?, step.param(self.b));
        down.affine(OutputHead::Dense(&b), self.shift(step).as_ref())
    }

    /// The update on top of `y` `[n, out]`, in its place.
    fn onto(&self, y: Tensor, step: &Step<'_>, site: Site, x: &Tensor) -> Result<Tensor> {
        let y = y.add_linear(&self.down(step, site, x)?, &step.param(self.b))?;
        match self.shift(step) {
            Some(shift) => y.add_row(&shift),
            None => Ok(y),
        }
    }

    /// `weight + scale B A`, `[out, in]`.
    pub(crate) fn merged(&self, params: &Params, weight: &Tensor) -> Result<Tensor> {
        let (a, b) = (params.get(self.a).value(), params.get(self.b).value());
        weight.add(&b.matmul(a)?.scale(self.scale))
    }
}

struct Lora {
    factors: BTreeMap<Site, Factors>,
}

impl Adapter for Lora {
    fn linear(&self, step: &Step<'_>, site: Site, x: &Tensor, y: Tensor, _base: &Base<'_>) -> Result<Tensor> {
        match self.factors.get(&site) {
            Some(factors) => factors.onto(y, step, site, x),
            None => Ok(y),
        }
    }

    fn merge_weight(&self, params: &Params, site: Site, weight: &Tensor) -> Result<Option<Tensor>> {
        self.factors.get(&site).map(|factors| factors.merged(params, weight)).transpose()
    }

    fn merge_bias(&self, params: &Params, site: Site, bias: Option<&Tensor>) -> Result<Option<Tensor>> {
        let Some((factors, own)) = self.factors.get(&site).and_then(|f| Some((f, f.bias?))) else {
            return Ok(None);
        };
        let own = params.get(own).value().scale(factors.scale);
        bias.map_or(Ok(own.clone()), |bias| bias.add(&own)).map(Some)
    }
}

/// The entry whose key is the end of a module path, at a dot.
fn pattern<'a, T>(patterns: &'a BTreeMap<String, T>, module: &str) -> Option<&'a T> {
    let fits = |key: &str| module == key || module.strip_suffix(key).is_some_and(|rest| rest.ends_with('.'));
    patterns.iter().find(|(key, _)| fits(key)).map(|(_, value)| value)
}
