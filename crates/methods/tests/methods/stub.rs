//! A backbone with sizes, projections and names, and nothing that runs.

use offshoot_core::nn::Linear;
use offshoot_core::{
    Adapter, Backbone, Device, Error, Kind, Params, Part, Pass, Place, Result, Rng, Shape, Site, Slot,
    Sublayer, Tensor, Weight,
};
use offshoot_methods::{MethodConfig, Target};

/// Projections of every encoder slot in every layer, all zero, and a token table.
#[derive(Clone)]
pub(crate) struct Stub {
    shape: Shape,
    linears: Vec<(Site, Linear)>,
    table: Weight,
}

/// Sizes with `layers` blocks of `hidden`, 2 heads.
pub(crate) fn shape(layers: usize, hidden: usize) -> Shape {
    Shape {
        vocab: 11,
        positions: 40,
        layers,
        hidden,
        heads: 2,
        kv_heads: 2,
        head_dim: hidden / 2,
        ffn: 2 * hidden,
    }
}

impl Stub {
    pub(crate) fn new(shape: Shape) -> Self {
        let place = |kind| Place { part: Part::Block(0), kind };
        let zeros = |name: String, kind, shape: &[usize]| {
            Weight::frozen(name, place(kind), Tensor::zeros(&Device::cpu(), shape))
        };
        let (d, f) = (shape.hidden, shape.ffn);
        let linear = |layer: usize, slot: Slot, (inputs, outputs): (usize, usize)| {
            let name = format!("{layer}.{slot:?}");
            let weight = zeros(format!("{name}.weight"), Kind::Matrix, &[outputs, inputs]);
            let bias = Some(zeros(format!("{name}.bias"), Kind::Bias, &[outputs]));
            (Site { layer, slot }, Linear { weight, bias, inputs, outputs, input_major: false })
        };
        let block = |layer| {
            let square =
                [Slot::Query, Slot::Key, Slot::Value, Slot::Output].map(|s| linear(layer, s, (d, d)));
            square.into_iter().chain([linear(layer, Slot::Up, (d, f)), linear(layer, Slot::Down, (f, d))])
        };
        let linears = (0..shape.layers).flat_map(block).collect();
        Self { linears, table: zeros("words".into(), Kind::Table, &[shape.vocab, d]), shape }
    }
}

/// Builds a method on a stub.
pub(crate) fn build(config: &MethodConfig, shape: Shape) -> Result<(Box<dyn Adapter>, Params)> {
    let (mut backbone, mut params) = (Stub::new(shape), Params::new());
    let (mut rng, device) = (Rng::new(1), Device::cpu());
    let adapter = config.build(&mut Target {
        backbone: &mut backbone,
        params: &mut params,
        rng: &mut rng,
        device: &device,
    })?;
    Ok((adapter, params))
}

fn nothing_runs<T>() -> Result<T> {
    Err(Error::invalid("a stub does not run"))
}

impl Backbone for Stub {
    fn family(&self) -> &'static str {
        "stub"
    }

    fn shape(&self) -> &Shape {
        &self.shape
    }

    fn fork(&self) -> Box<dyn Backbone> {
        Box::new(self.clone())
    }

    fn projections(&self) -> Vec<(Site, &Linear)> {
        self.linears.iter().map(|(site, linear)| (*site, linear)).collect()
    }

    fn weights(&self) -> Vec<&Weight> {
        self.linears.iter().flat_map(|(_, linear)| linear.weights()).collect()
    }

    fn weights_mut(&mut self) -> Vec<&mut Weight> {
        self.linears.iter_mut().flat_map(|(_, linear)| linear.weights_mut()).collect()
    }

    fn module(&self, site: Site) -> String {
        format!("layer.{}.{:?}", site.layer, site.slot).to_lowercase()
    }

    fn bottleneck_module(&self, layer: usize, part: Sublayer) -> String {
        format!("layer.{layer}.{part:?}.adapters").to_lowercase()
    }

    fn attention_module(&self, layer: usize) -> String {
        format!("layer.{layer}.attention")
    }

    fn token_table(&self) -> &Weight {
        &self.table
    }

    fn embed(&self, _pass: &Pass<'_>) -> Result<Tensor> {
        nothing_runs()
    }

    fn block(&self, _layer: usize, _x: &Tensor, _pass: &Pass<'_>) -> Result<Tensor> {
        nothing_runs()
    }
}
