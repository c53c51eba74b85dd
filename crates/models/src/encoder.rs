//! The post-norm encoder that BERT, RoBERTa and DistilBERT share. What differs between them is data:
//! [`Names`] and [`Settings`].

use crate::config::Fields;
use crate::family::{Architecture, Build};
use crate::reader::Reader;
use crate::{Error, Result};
use offshoot_core::nn::{Embedding, LayerNorm, Linear, Norm};
use offshoot_core::{
    Activation, AttentionSite, Backbone, Context, Heads, KeyValue, Mask, Part, Pass, ProjectKv, Shape, Site,
    Slot, Step, Sublayer, Tensor, Weight,
};

/// What a family calls its modules in files.
pub(crate) struct Names {
    /// `model_type` in config.json, and the module of the bare model in classes with a head.
    pub(crate) family: &'static str,
    /// The path of the blocks, without their index.
    pub(crate) blocks: &'static str,
    /// Query, key, value, output, up, down, within a block.
    pub(crate) projections: [(Slot, &'static str); 6],
    /// The norms after attention and after the feed-forward, within a block.
    pub(crate) norms: [&'static str; 2],
    /// Where AdapterHub keeps the bottlenecks after attention and after the feed-forward, within a block.
    pub(crate) bottlenecks: [&'static str; 2],
    /// The self-attention module, within a block.
    pub(crate) attention: &'static str,
    /// The pooler's projection, in families whose classes use one.
    pub(crate) pooler: Option<&'static str>,
}

/// What config.json says.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) shape: Shape,
    pub(crate) activation: Activation,
    pub(crate) eps: f32,
    /// Rows of the token type table; 0 if the family has none.
    pub(crate) types: usize,
    /// The table row of position 0.
    pub(crate) first_position: usize,
    /// Whether the position table is a fixed one, never trained.
    pub(crate) fixed_positions: bool,
    pub(crate) dropout: Dropouts,
}

/// Dropout rates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dropouts {
    pub(crate) embeddings: f32,
    pub(crate) probabilities: f32,
    pub(crate) attention: f32,
    pub(crate) feed_forward: f32,
}

/// An encoder that config.json describes.
pub(crate) struct Described {
    pub(crate) names: &'static Names,
    pub(crate) settings: Settings,
}

impl Architecture for Described {
    fn shape(&self) -> &Shape {
        &self.settings.shape
    }

    fn collect(&self, build: &Build, reader: &mut Reader<'_, '_>) -> Result<Box<dyn Backbone>> {
        Ok(Box::new(Encoder::collect(self.names, self.settings.clone(), build.pooled, reader)?))
    }
}

/// Checks that heads divide the hidden size.
pub(crate) fn check_heads(fields: &mut Fields, hidden: usize, heads: usize) {
    if heads == 0 || !hidden.is_multiple_of(heads) {
        fields.problem("hidden size", &format!("{hidden} cannot be divided among {heads} attention heads"));
    }
}

/// A BERT-like encoder.
#[derive(Clone)]
pub(crate) struct Encoder {
    names: &'static Names,
    settings: Settings,
    words: Embedding,
    positions: Embedding,
    types: Option<Embedding>,
    norm: LayerNorm,
    blocks: Vec<Block>,
    pooler: Option<Linear>,
    /// Whether the task reads the pooler. A pooler that nothing reads is kept for saving and never trained.
    pooled: bool,
}

#[derive(Clone)]
struct Block {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    attention_norm: LayerNorm,
    up: Linear,
    down: Linear,
    norm: LayerNorm,
}

/// Dropout sites: four per layer, the embeddings' at the first number after all layers of any model.
const EMBEDDING_SITE: u64 = 1 << 20;

impl Encoder {
    /// Collects an encoder's weights; what is missing is reported by `take.finish()`.
    pub(crate) fn collect(
        names: &'static Names,
        settings: Settings,
        pooled: bool,
        reader: &mut Reader<'_, '_>,
    ) -> Result<Self> {
        let shape = settings.shape;
        let mut parts = Parts { names, eps: settings.eps, reader };
        let table_rows = settings.first_position + shape.positions;
        let embedding = |name: &str| format!("embeddings.{name}");
        let encoder = Self {
            words: parts.reader.table(&embedding("word_embeddings"), shape.vocab, shape.hidden)?,
            positions: parts.reader.table(&embedding("position_embeddings"), table_rows, shape.hidden)?,
            types: match settings.types {
                0 => None,
                rows => Some(parts.reader.table(&embedding("token_type_embeddings"), rows, shape.hidden)?),
            },
            norm: parts.reader.layer_norm(
                &embedding("LayerNorm"),
                Part::Embeddings,
                (shape.hidden, settings.eps),
            )?,
            blocks: (0..shape.layers).map(|layer| parts.block(layer, &shape)).collect::<Result<_>>()?,
            pooler: parts.pooler(shape.hidden)?,
            names,
            settings,
            pooled,
        };
        if pooled && encoder.pooler.is_none() {
            let family = names.family;
            return Err(Error::Invalid(format!(
                "this {family} checkpoint has no pooler; use --pooling cls or mean"
            )));
        }
        Ok(encoder)
    }

    fn block_path(&self, layer: usize, within: &str) -> String {
        format!("{}.{}.{layer}.{within}", self.names.family, self.names.blocks)
    }

    fn heads(&self) -> Heads {
        let Shape { heads, kv_heads, head_dim, .. } = self.settings.shape;
        Heads { query: heads, key_value: kv_heads, dim: head_dim, scale: 1.0 / (head_dim as f32).sqrt() }
    }

    /// Attention and its projections: `x` `[n, d]` to the sublayer's output `[n, d]`.
    fn self_attention(&self, layer: usize, x: &Tensor, pass: &Pass<'_>) -> offshoot_core::Result<Tensor> {
        let block = &self.blocks[layer];
        let at = |slot| Site { layer, slot };
        let q = pass.linear(at(Slot::Query), &block.query, x)?;
        let k = pass.linear(at(Slot::Key), &block.key, x)?;
        let v = pass.linear(at(Slot::Value), &block.value, x)?;
        let kv = LayerKv { block, step: pass.step(), heads: self.heads() };
        let (dropout, dropout_site) = (self.settings.dropout.probabilities, 4 * layer as u64);
        let site = AttentionSite { layer, kv: &kv, mask: Mask::Full, dropout, dropout_site };
        let Context { context, after } = pass.attention(&site, &q, k, v)?;
        let y = pass.linear(at(Slot::Output), &block.output, &context)?;
        match after {
            Some(after) => y.add(&after),
            None => Ok(y),
        }
    }

    /// `x` `[n, d]` to the sublayer's output `[n, d]`.
    fn feed_forward(&self, layer: usize, x: &Tensor, pass: &Pass<'_>) -> offshoot_core::Result<Tensor> {
        let block = &self.blocks[layer];
        let y = pass.linear(Site { layer, slot: Slot::Up }, &block.up, x)?;
        let y = y.activation(self.settings.activation);
        pass.linear(Site { layer, slot: Slot::Down }, &block.down, &y)
    }

    /// The token type of each of the pass's rows.
    fn type_rows(&self, pass: &Pass<'_>) -> offshoot_core::Result<Vec<u32>> {
        let (types, known) = (pass.types(), self.settings.types);
        if types.iter().all(|&t| (t as usize) < known) {
            return Ok(types);
        }
        Err(offshoot_core::Error::invalid(format!(
            "pairs of texts need two token types, and this model has {known} (`type_vocab_size`); \
             put both texts into one column and leave --text-pair out, or choose another model"
        )))
    }

    /// The table row of each of the pass's rows.
    fn position_rows(&self, pass: &Pass<'_>) -> offshoot_core::Result<Vec<u32>> {
        let most = self.settings.shape.positions;
        let positions = pass.positions();
        if let Some(&last) = positions.iter().max().filter(|&&p| p as usize >= most) {
            let length = last + 1;
            return Err(offshoot_core::Error::invalid(format!(
                "a sequence of {length} tokens (virtual ones included) does not fit the model's {most} \
                 positions; lower --max-length"
            )));
        }
        Ok(positions.iter().map(|p| p + self.settings.first_position as u32).collect())
    }
}

impl Backbone for Encoder {
    fn family(&self) -> &'static str {
        self.names.family
    }

    fn shape(&self) -> &Shape {
        &self.settings.shape
    }

    fn fork(&self) -> Box<dyn Backbone> {
        Box::new(self.clone())
    }

    fn projections(&self) -> Vec<(Site, &Linear)> {
        let pooler = self.pooler.as_ref().filter(|_| self.pooled);
        let pooler = pooler.map(|linear| (Site { layer: self.blocks.len(), slot: Slot::Pooler }, linear));
        let mut sites = Vec::new();
        for (layer, b) in self.blocks.iter().enumerate() {
            sites.extend(b.projections().map(|(slot, linear)| (Site { layer, slot }, linear)));
        }
        sites.extend(pooler);
        sites
    }

    fn weights(&self) -> Vec<&Weight> {
        let tables = [Some(&self.words), Some(&self.positions), self.types.as_ref()];
        let mut weights: Vec<&Weight> = tables.into_iter().flatten().map(|e| &e.table).collect();
        weights.extend(self.norm.weights());
        weights.extend(self.blocks.iter().flat_map(Block::weights));
        weights.extend(self.pooler.iter().flat_map(Linear::weights));
        weights
    }

    fn weights_mut(&mut self) -> Vec<&mut Weight> {
        let positions = Some(&mut self.positions).filter(|_| !self.settings.fixed_positions);
        let tables = [Some(&mut self.words), positions, self.types.as_mut()];
        let mut weights: Vec<&mut Weight> = tables.into_iter().flatten().map(|e| &mut e.table).collect();
        weights.extend(self.norm.weights_mut());
        weights.extend(self.blocks.iter_mut().flat_map(Block::weights_mut));
        weights.extend(self.pooler.iter_mut().filter(|_| self.pooled).flat_map(Linear::weights_mut));
        weights
    }

    fn module(&self, site: Site) -> String {
        match self.names.projections.iter().find(|(slot, _)| *slot == site.slot) {
            Some((_, path)) => self.block_path(site.layer, path),
            None => format!("{}.{}", self.names.family, self.names.pooler.unwrap_or_default()),
        }
    }

    fn bottleneck_module(&self, layer: usize, part: Sublayer) -> String {
        self.block_path(layer, self.names.bottlenecks[part as usize])
    }

    fn attention_module(&self, layer: usize) -> String {
        self.block_path(layer, self.names.attention)
    }

    fn token_table(&self) -> &Weight {
        &self.words.table
    }

    fn embed(&self, pass: &Pass<'_>) -> offshoot_core::Result<Tensor> {
        let step = pass.step();
        let words = pass.join_prompts(self.words.forward(pass.batch().ids(), step)?)?;
        let mut x = words.add(&self.positions.forward(&self.position_rows(pass)?, step)?)?;
        if let Some(types) = &self.types {
            x = x.add(&types.forward(&self.type_rows(pass)?, step)?)?;
        }
        pass.dropout(self.norm.forward(&x, step)?, self.settings.dropout.embeddings, EMBEDDING_SITE)
    }

    fn block(&self, layer: usize, x: &Tensor, pass: &Pass<'_>) -> offshoot_core::Result<Tensor> {
        let (block, dropout) = (&self.blocks[layer], &self.settings.dropout);
        let site = 4 * layer as u64;
        let join = |part, x: &Tensor, y: Tensor, norm: &LayerNorm| {
            norm.forward(&x.add(&pass.sublayer((layer, part), x, y, Some(norm))?)?, pass.step())
        };
        let y = pass.dropout(self.self_attention(layer, x, pass)?, dropout.attention, site + 1)?;
        let x = join(Sublayer::Attention, x, y, &block.attention_norm)?;
        let y = pass.dropout(self.feed_forward(layer, &x, pass)?, dropout.feed_forward, site + 2)?;
        join(Sublayer::FeedForward, &x, y, &block.norm)
    }

    fn pooler(&self, first: &Tensor, pass: &Pass<'_>) -> offshoot_core::Result<Option<Tensor>> {
        let site = Site { layer: self.blocks.len(), slot: Slot::Pooler };
        let pooler = self.pooler.as_ref().filter(|_| self.pooled);
        pooler.map(|linear| Ok(pass.linear(site, linear, first)?.tanh())).transpose()
    }

    fn has_pooler(&self) -> bool {
        self.pooler.is_some()
    }
}

impl Block {
    fn projections(&self) -> [(Slot, &Linear); 6] {
        [
            (Slot::Query, &self.query),
            (Slot::Key, &self.key),
            (Slot::Value, &self.value),
            (Slot::Output, &self.output),
            (Slot::Up, &self.up),
            (Slot::Down, &self.down),
        ]
    }

    fn weights(&self) -> Vec<&Weight> {
        let mut weights: Vec<&Weight> =
            self.projections().into_iter().flat_map(|(_, l)| l.weights()).collect();
        weights.extend(self.attention_norm.weights());
        weights.extend(self.norm.weights());
        weights
    }

    fn weights_mut(&mut self) -> Vec<&mut Weight> {
        let linears =
            [&mut self.query, &mut self.key, &mut self.value, &mut self.output, &mut self.up, &mut self.down];
        let mut weights: Vec<&mut Weight> = linears.into_iter().flat_map(Linear::weights_mut).collect();
        weights.extend(self.attention_norm.weights_mut());
        weights.extend(self.norm.weights_mut());
        weights
    }
}

/// A block's key and value projections, lent to an adapter.
struct LayerKv<'a> {
    block: &'a Block,
    step: &'a Step<'a>,
    heads: Heads,
}

impl ProjectKv for LayerKv<'_> {
    fn project(&self, prompt: &Tensor) -> offshoot_core::Result<KeyValue> {
        let key = self.block.key.forward(prompt, self.step)?;
        Ok(KeyValue { key, value: self.block.value.forward(prompt, self.step)? })
    }

    fn heads(&self) -> Heads {
        self.heads
    }
}

/// Reads layers under their names.
struct Parts<'a, 'b, 'c> {
    names: &'static Names,
    eps: f32,
    reader: &'a mut Reader<'b, 'c>,
}

impl Parts<'_, '_, '_> {
    fn block(&mut self, layer: usize, shape: &Shape) -> Result<Block> {
        let names = self.names;
        let path = |within: &str| format!("{}.{layer}.{within}", names.blocks);
        let (d, ffn) = (shape.hidden, shape.ffn);
        let sizes = [(d, d), (d, d), (d, d), (d, d), (d, ffn), (ffn, d)];
        let mut linears = Vec::with_capacity(sizes.len());
        for ((_, within), (inputs, outputs)) in names.projections.iter().zip(sizes) {
            linears.push(self.reader.linear(&path(within), Part::Block(layer), (inputs, outputs), true)?);
        }
        let part = Part::Block(layer);
        let attention_norm = self.reader.layer_norm(&path(names.norms[0]), part, (d, self.eps))?;
        let norm = self.reader.layer_norm(&path(names.norms[1]), part, (d, self.eps))?;
        let six = |_| Error::Invalid("a block has six projections".into());
        let [query, key, value, output, up, down] = <[Linear; 6]>::try_from(linears).map_err(six)?;
        Ok(Block { query, key, value, output, attention_norm, up, down, norm })
    }

    fn pooler(&mut self, hidden: usize) -> Result<Option<Linear>> {
        let Some(within) = self.names.pooler else { return Ok(None) };
        match self.reader.take.shape(&format!("{within}.weight")) {
            Some(_) => self.reader.linear(within, Part::Pooler, (hidden, hidden), true).map(Some),
            None => Ok(None),
        }
    }
}
