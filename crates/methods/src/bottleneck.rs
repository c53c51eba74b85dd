//! Bottleneck adapters: what `houlsby`, `pfeiffer` and `parallel` share.
//!
//! A bottleneck is `scaling up(f(down(x)))`, with `down` `[width, hidden]`, `up` `[hidden, width]`, both with
//! a bias. The three methods differ in where it stands, in what it reads and in `f`; each file has its own
//! line of that. The authors start `up` near zero; here it starts at zero, so that the untrained adapter
//! leaves the backbone exactly as it is.

use crate::dense::Dense;
use crate::{MOST, Target, check_dropout, check_factor, check_layers, check_size, dropout_site, setting};
use offshoot_core::{Activation, Kind, Part, Result, Shape, Step, Sublayer, Tensor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Settings of the bottleneck methods. What is left open is filled by each with what its authors use.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Width of the bottleneck. Default: hidden / 16.
    pub width: Option<usize>,
    /// The non-linearity. Default: `silu` in `houlsby`, `relu` in the others.
    pub non_linearity: Option<NonLinearity>,
    /// Factor on the output. Default: 4 in `parallel`, 1 in the others.
    pub scaling: Option<f64>,
    /// Blocks that get no adapter. Default: none.
    pub leave_out: Vec<usize>,
    /// Dropout on the output. Default 0.
    pub dropout: f32,
    /// Also trains the norms of the blocks that have an adapter, as Houlsby et al. do. AdapterHub's files
    /// have no place for them, so this is off by default.
    pub norms: bool,
}

/// The non-linearity inside a bottleneck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NonLinearity {
    /// `max(x, 0)`
    Relu,
    /// `x Phi(x)`
    Gelu,
    /// Its approximation by a hyperbolic tangent.
    GeluTanh,
    /// `x sigmoid(x)`, also called swish.
    Silu,
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + exp(-x))`
    Sigmoid,
}

impl From<NonLinearity> for Activation {
    fn from(kind: NonLinearity) -> Self {
        match kind {
            NonLinearity::Relu => Self::Relu,
            NonLinearity::Gelu => Self::Gelu,
            NonLinearity::GeluTanh => Self::GeluTanh,
            NonLinearity::Silu => Self::Silu,
            NonLinearity::Tanh => Self::Tanh,
            NonLinearity::Sigmoid => Self::Sigmoid,
        }
    }
}

/// What one of the three methods fixes.
pub(crate) struct Form {
    pub(crate) name: &'static str,
    pub(crate) parts: &'static [Sublayer],
    pub(crate) non_linearity: NonLinearity,
    pub(crate) scaling: f64,
}

impl Form {
    /// Fills what the settings leave open.
    pub(crate) fn resolve(&self, settings: &mut Settings, shape: &Shape) {
        settings.width.get_or_insert((shape.hidden / 16).max(1));
        settings.non_linearity.get_or_insert(self.non_linearity);
        settings.scaling.get_or_insert(self.scaling);
    }

    /// Registers a bottleneck after each of the form's sublayers in every block that is not left out.
    pub(crate) fn build(&self, settings: &Settings, target: &mut Target<'_>) -> Result<Bottlenecks> {
        let shape = target.shape();
        let mut settings = settings.clone();
        self.resolve(&mut settings, &shape);
        let width = settings.width.unwrap_or_default();
        let scaling = settings.scaling.unwrap_or(self.scaling);
        check_size(self.name, "width", width, 1..=MOST)?;
        check_factor(self.name, "scaling", scaling)?;
        check_dropout(self.name, settings.dropout)?;
        let layers = adapted(self.name, &settings.leave_out, shape.layers)?;
        let mut all = BTreeMap::new();
        for &layer in &layers {
            for &part in self.parts {
                let module = target.backbone.bottleneck_module(layer, part);
                all.insert((layer, part), Bottleneck::new(target, &module, shape.hidden, width)?);
            }
        }
        if settings.norms {
            train_norms(target, &layers)?;
        }
        Ok(Bottlenecks {
            all,
            activation: settings.non_linearity.unwrap_or(self.non_linearity).into(),
            scaling: scaling as f32,
            dropout: settings.dropout,
        })
    }
}

/// The blocks that get an adapter.
fn adapted(method: &str, leave_out: &[usize], layers: usize) -> Result<Vec<usize>> {
    check_layers(method, "leave_out", leave_out, layers)?;
    let rest: Vec<usize> = (0..layers).filter(|layer| !leave_out.contains(layer)).collect();
    match rest.is_empty() {
        false => Ok(rest),
        true => {
            Err(setting(method, "leave_out", format!("leaves out all {layers} blocks; keep at least one")))
        }
    }
}

/// Houlsby's own code trains the embeddings' norm too; here nothing below the lowest adapter is trained.
fn train_norms(target: &mut Target<'_>, layers: &[usize]) -> Result<()> {
    target.train(|place| match place.part {
        Part::Block(layer) => {
            layers.contains(&layer) && matches!(place.kind, Kind::NormWeight | Kind::NormBias)
        }
        _ => false,
    })
}

/// All bottlenecks of an adapter.
pub(crate) struct Bottlenecks {
    all: BTreeMap<(usize, Sublayer), Bottleneck>,
    activation: Activation,
    scaling: f32,
    dropout: f32,
}

struct Bottleneck {
    down: Dense,
    up: Dense,
}

impl Bottleneck {
    /// The first `adapter` of the names is the adapter's own in AdapterHub's files.
    fn new(target: &mut Target<'_>, module: &str, hidden: usize, width: usize) -> Result<Self> {
        Ok(Self {
            down: Dense::random(target, &format!("{module}.adapter.adapter_down.0"), (hidden, width))?,
            up: Dense::zero(target, &format!("{module}.adapter.adapter_up"), (width, hidden))?,
        })
    }
}

impl Bottlenecks {
    /// Whether there is one at a sublayer.
    pub(crate) fn has(&self, at: (usize, Sublayer)) -> bool {
        self.all.contains_key(&at)
    }

    /// `y + scaling up(f(down(x)))` for `x` and `y` `[n, d]`; `y` itself where there is no bottleneck.
    pub(crate) fn add(
        &self,
        step: &Step<'_>,
        at: (usize, Sublayer),
        x: &Tensor,
        y: Tensor,
    ) -> Result<Tensor> {
        let Some(bottleneck) = self.all.get(&at) else { return Ok(y) };
        let inner = bottleneck.down.forward(step, x)?.activation(self.activation);
        let update = bottleneck.up.forward(step, &inner)?.scale(self.scaling);
        y.add(&step.dropout(&update, self.dropout, dropout_site(at.0, at.1 as u64))?)
    }
}
