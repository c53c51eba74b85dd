//! A backbone that only has names and sizes: two blocks, width 8, feed-forward 12, named as BERT or as
//! DistilBERT.

use offshoot_core::nn::Linear;
use offshoot_core::{
    Backbone, Device, Error, Kind, Part, Pass, Place, Result, Shape, Site, Slot, Sublayer, Tensor, Weight,
};

pub(crate) const LAYERS: usize = 2;
pub(crate) const HIDDEN: usize = 8;
pub(crate) const FFN: usize = 12;

#[derive(Clone)]
pub(crate) struct Stub {
    family: &'static str,
    shape: Shape,
    table: Weight,
    linears: Vec<(Site, Linear)>,
}

impl Stub {
    pub(crate) fn bert() -> Self {
        Self::new("bert")
    }

    pub(crate) fn distilbert() -> Self {
        Self::new("distilbert")
    }

    fn new(family: &'static str) -> Self {
        let shape = Shape {
            vocab: 10,
            positions: 16,
            layers: LAYERS,
            hidden: HIDDEN,
            heads: 2,
            kv_heads: 2,
            head_dim: HIDDEN / 2,
            ffn: FFN,
        };
        let place = Place { part: Part::Embeddings, kind: Kind::Table };
        let table = weight(format!("{family}.embeddings.word_embeddings.weight"), place, &[10, HIDDEN]);
        let mut stub = Self { family, shape, table, linears: Vec::new() };
        stub.linears = stub.sites().into_iter().map(|site| (site, stub.linear(site))).collect();
        stub
    }

    fn sites(&self) -> Vec<Site> {
        use Slot::{Down, Key, Output, Pooler, Query, Up, Value};
        let block = |layer| [Query, Key, Value, Output, Up, Down].map(|slot| Site { layer, slot });
        let pooler = (self.family == "bert").then_some(Site { layer: LAYERS, slot: Pooler });
        (0..LAYERS).flat_map(block).chain(pooler).collect()
    }

    fn linear(&self, site: Site) -> Linear {
        let (inputs, outputs) = match site.slot {
            Slot::Up => (HIDDEN, FFN),
            Slot::Down => (FFN, HIDDEN),
            _ => (HIDDEN, HIDDEN),
        };
        let part = if site.slot == Slot::Pooler { Part::Pooler } else { Part::Block(site.layer) };
        let module = self.module(site);
        let matrix =
            weight(format!("{module}.weight"), Place { part, kind: Kind::Matrix }, &[outputs, inputs]);
        let bias = weight(format!("{module}.bias"), Place { part, kind: Kind::Bias }, &[outputs]);
        Linear { weight: matrix, bias: Some(bias), inputs, outputs, input_major: false }
    }
}

fn weight(name: String, place: Place, shape: &[usize]) -> Weight {
    Weight::frozen(name, place, Tensor::full(&Device::cpu(), shape, 0.5))
}

impl Backbone for Stub {
    fn family(&self) -> &'static str {
        self.family
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
        let linears = self.linears.iter().flat_map(|(_, linear)| linear.weights());
        std::iter::once(&self.table).chain(linears).collect()
    }

    fn weights_mut(&mut self) -> Vec<&mut Weight> {
        let linears = self.linears.iter_mut().flat_map(|(_, linear)| linear.weights_mut());
        std::iter::once(&mut self.table).chain(linears).collect()
    }

    fn module(&self, site: Site) -> String {
        let Site { layer, slot } = site;
        let bert = self.family == "bert";
        let within = match slot {
            Slot::Pooler => return "bert.pooler.dense".into(),
            Slot::Query => ["attention.self.query", "attention.q_lin"],
            Slot::Key => ["attention.self.key", "attention.k_lin"],
            Slot::Value => ["attention.self.value", "attention.v_lin"],
            Slot::Output => ["attention.output.dense", "attention.out_lin"],
            Slot::QueryKeyValue => ["attention.self.all", "attention.all"],
            Slot::Up | Slot::Gate => ["intermediate.dense", "ffn.lin1"],
            Slot::Down => ["output.dense", "ffn.lin2"],
        };
        match bert {
            true => format!("bert.encoder.layer.{layer}.{}", within[0]),
            false => format!("distilbert.transformer.layer.{layer}.{}", within[1]),
        }
    }

    fn bottleneck_module(&self, layer: usize, part: Sublayer) -> String {
        match (self.family, part) {
            ("bert", Sublayer::Attention) => format!("bert.encoder.layer.{layer}.attention.output.adapters"),
            ("bert", Sublayer::FeedForward) => format!("bert.encoder.layer.{layer}.output.adapters"),
            (_, Sublayer::Attention) => {
                format!("distilbert.transformer.layer.{layer}.attention_adapters.adapters")
            }
            (_, Sublayer::FeedForward) => {
                format!("distilbert.transformer.layer.{layer}.output_adapters.adapters")
            }
        }
    }

    fn attention_module(&self, layer: usize) -> String {
        match self.family {
            "bert" => format!("bert.encoder.layer.{layer}.attention.self"),
            _ => format!("distilbert.transformer.layer.{layer}.attention"),
        }
    }

    fn token_table(&self) -> &Weight {
        &self.table
    }

    fn embed(&self, _pass: &Pass<'_>) -> Result<Tensor> {
        Err(Error::invalid("the stub computes nothing"))
    }

    fn block(&self, _layer: usize, _x: &Tensor, _pass: &Pass<'_>) -> Result<Tensor> {
        Err(Error::invalid("the stub computes nothing"))
    }
}
