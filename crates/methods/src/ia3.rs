//! (IA)³, Liu et al. 2022, <https://arxiv.org/abs/2205.05638>, section 3.3: learned factors on activations.
//!
//! Keys and values become `l ⊙ (W x + b)`, and the feed-forward network's last projection reads `l ⊙ x`;
//! every `l` starts at one. The defaults are the paper's three places. peft's for BERT scale the input of
//! attention's output projection too, because its `output.dense` names both; `feedforward = ["down",
//! "output"]` says the same here.

use crate::sites::wanted;
use crate::{Info, Merging, Method, Saves, Target, setting};
use offshoot_core::nn::Base;
use offshoot_core::{Adapter, ParamId, Params, Result, Site, Slot, Step, Tensor, scale_rows};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How `ia3` presents itself.
pub const INFO: Info = Info {
    name: "ia3",
    summary: "learned factors on keys, values and the feed-forward network",
    paper: "Liu et al. 2022, https://arxiv.org/abs/2205.05638",
    // A factor starts at one and has to move by tenths: the authors use 3e-3 for a thousand steps, we have
    // fewer.
    learning_rate: 1e-2,
    saves: Saves::Peft,
    starts_as_identity: true,
    merging: Merging::Weights,
};

/// Settings of `ia3`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Projections whose output is scaled. Default: key and value.
    pub targets: Vec<Slot>,
    /// Projections whose input is scaled. Default: the feed-forward network's last one.
    pub feedforward: Vec<Slot>,
}

impl Default for Config {
    fn default() -> Self {
        Self { targets: vec![Slot::Key, Slot::Value], feedforward: vec![Slot::Down] }
    }
}

impl Method for Config {
    fn build(&self, target: &mut Target<'_>) -> Result<Box<dyn Adapter>> {
        if let Some(slot) = self.targets.iter().find(|slot| self.feedforward.contains(slot)) {
            let both = format!("names {slot:?}, which `feedforward` names too; keep it in one of them");
            return Err(setting(INFO.name, "targets", both));
        }
        let all = |site: Site| self.targets.contains(&site.slot) || self.feedforward.contains(&site.slot);
        let mut ia3 = Ia3 { inputs: BTreeMap::new(), outputs: BTreeMap::new() };
        for (site, module, (inputs, outputs)) in wanted(INFO.name, target, all)? {
            let (map, shape) = match self.feedforward.contains(&site.slot) {
                true => (&mut ia3.inputs, [1, inputs]),
                false => (&mut ia3.outputs, [outputs, 1]),
            };
            let ones = Tensor::full(target.device, &shape, 1.0);
            map.insert(site, target.params.insert(format!("{module}.ia3_l"), ones)?);
        }
        Ok(Box::new(ia3))
    }
}

struct Ia3 {
    /// `[1, in]`
    inputs: BTreeMap<Site, ParamId>,
    /// `[out, 1]`
    outputs: BTreeMap<Site, ParamId>,
}

impl Adapter for Ia3 {
    fn input(&self, step: &Step<'_>, site: Site, x: Tensor) -> Result<Tensor> {
        match self.inputs.get(&site) {
            Some(&factors) => x.mul_row(&step.param(factors)),
            None => Ok(x),
        }
    }

    fn linear(
        &self,
        step: &Step<'_>,
        site: Site,
        _x: &Tensor,
        y: Tensor,
        _base: &Base<'_>,
    ) -> Result<Tensor> {
        match self.outputs.get(&site) {
            Some(&factors) => y.mul_row(&step.param(factors)),
            None => Ok(y),
        }
    }

    fn merge_weight(&self, params: &Params, site: Site, weight: &Tensor) -> Result<Option<Tensor>> {
        if let Some(&factors) = self.inputs.get(&site) {
            return weight.mul_row(params.get(factors).value()).map(Some);
        }
        let factors = self.outputs.get(&site);
        factors.map(|&factors| scale_rows(weight, params.get(factors).value())).transpose()
    }

    fn merge_bias(&self, params: &Params, site: Site, bias: Option<&Tensor>) -> Result<Option<Tensor>> {
        let both = self.outputs.get(&site).zip(bias);
        both.map(|(&factors, bias)| bias.mul(&params.get(factors).value().reshape(bias.shape())?)).transpose()
    }
}
