//! DoRA, Liu et al. 2024, <https://arxiv.org/abs/2402.09353>, section 4.
//!
//! LoRA moves a weight's direction, a vector `m` its length: `y = m / c (W x + scale B A x) + b`, with `c =
//! ||W + scale B A||`, one length per output row, and `m` `[out]` starting at `||W||`. As in section 4.3, `c`
//! is a constant in the backward pass, which saves most of its memory. Dropout acts on the update alone; in
//! peft, which has no dropout by default, it also reaches `W x`.

use crate::lora::{self, Factors};
use crate::{Info, Merging, Method, Saves, Target, setting};
use offshoot_core::nn::Base;
use offshoot_core::{Adapter, ParamId, Params, Result, Site, Step, Tensor, scale_rows};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How `dora` presents itself.
pub const INFO: Info = Info {
    name: "dora",
    summary: "low-rank updates of direction, and a learned length",
    paper: "Liu et al. 2024, https://arxiv.org/abs/2402.09353",
    // The update is LoRA's, and so is the rate.
    learning_rate: 7e-4,
    saves: Saves::Peft,
    starts_as_identity: true,
    merging: Merging::Weights,
};

/// Settings of `dora`: LoRA's, except `bias`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Config(pub lora::Config);

impl Method for Config {
    fn build(&self, target: &mut Target<'_>) -> Result<Box<dyn Adapter>> {
        if self.0.bias {
            return Err(setting(INFO.name, "bias", "must be false: a bias of B has no length to learn"));
        }
        let factors = self.0.factors(INFO.name, target)?;
        let sites =
            factors.into_iter().map(|(site, factors)| Ok((site, Direction::new(target, site, factors)?)));
        Ok(Box::new(Dora { sites: sites.collect::<Result<_>>()? }))
    }
}

/// The update at one site.
struct Direction {
    factors: Factors,
    /// `m`, `[out]`
    length: ParamId,
    /// `||W||²` of each output row, `[out]`
    squared: Tensor,
}

impl Direction {
    fn new(target: &mut Target<'_>, site: Site, factors: Factors) -> Result<Self> {
        let projections = target.backbone.projections();
        let linear = projections.iter().find(|(at, _)| *at == site).map(|(_, linear)| *linear);
        let linear = linear.ok_or_else(|| setting(INFO.name, "targets", "name a projection that is gone"))?;
        let squared = linear.lend(target.params).squared_row_norms()?;
        let name = format!("{}.lora_magnitude_vector", target.backbone.module(site));
        Ok(Self { factors, length: target.params.insert(name, squared.sqrt())?, squared })
    }

    /// `1 / ||W + s B A||` of each output row, `[out]`, untracked, without the matrix itself: a row's square
    /// is `||W||² + 2 s B (W Aᵀ) + s² B (A Aᵀ) Bᵀ`.
    fn reciprocal(&self, params: &Params, base: &Base<'_>) -> Result<Tensor> {
        let (a, b) = (params.get(self.factors.a).value(), params.get(self.factors.b).value());
        let scale = self.factors.scale;
        let crossed = sum_columns(&transposed(b)?.mul(&base.product(a)?)?)?.scale(2.0 * scale);
        let own = b.matmul(&a.linear(a)?)?.mul(b)?.sum_rows().scale(scale * scale);
        Ok(self.squared.add(&crossed)?.add(&own)?.sqrt().recip())
    }
}

struct Dora {
    sites: BTreeMap<Site, Direction>,
}

impl Adapter for Dora {
    fn linear(&self, step: &Step<'_>, site: Site, x: &Tensor, y: Tensor, base: &Base<'_>) -> Result<Tensor> {
        let Some(direction) = self.sites.get(&site) else { return Ok(y) };
        let factor = step.param(direction.length).mul(&direction.reciprocal(step.params(), base)?)?;
        let update = direction.factors.update(step, site, x)?;
        match base.bias() {
            Some(bias) => y.add_row(&bias.scale(-1.0))?.add(&update)?.mul_row(&factor)?.add_row(&bias),
            None => y.add(&update)?.mul_row(&factor),
        }
    }

    fn merge_weight(&self, params: &Params, site: Site, weight: &Tensor) -> Result<Option<Tensor>> {
        let Some(direction) = self.sites.get(&site) else { return Ok(None) };
        let moved = direction.factors.merged(params, weight)?;
        let length = moved.mul(&moved)?.sum_rows().sqrt();
        let factors = params.get(direction.length).value().mul(&length.recip())?;
        scale_rows(&moved, &factors).map(Some)
    }
}

/// The transpose `[rank, n]` of a matrix `[n, rank]` of few columns, as a product with the unit matrix.
fn transposed(x: &Tensor) -> Result<Tensor> {
    let rank = x.cols();
    let unit: Vec<f32> = (0..rank * rank).map(|i| if i % (rank + 1) == 0 { 1.0 } else { 0.0 }).collect();
    Tensor::new(x.device(), &[rank, rank], &unit)?.linear(x)
}

/// The sum of each column of `[rank, n]`: `[1, n]`.
fn sum_columns(x: &Tensor) -> Result<Tensor> {
    Tensor::full(x.device(), &[1, x.rows()], 1.0).matmul(x)
}
