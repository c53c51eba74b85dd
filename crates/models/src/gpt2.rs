//! GPT-2, Radford et al. 2019, "Language Models are Unsupervised Multitask Learners": a pre-norm decoder with
//! learned positions, biases everywhere and an output head that is the token table.
//!
//! Its files hold weights `[in, out]`, and queries, keys and values in one projection. Both stay so: an
//! adapter on `c_attn` is one adapter, with one `A` for all three, as in the libraries' files.

use crate::config::Fields;
use crate::decoder::check_positions;
use crate::family::{Architecture, Build, Family, HeadSpec, activation_or, dropout};
use crate::reader::Reader;
use crate::{Pooling, Result};
use offshoot_core::nn::{Embedding, LayerNorm, Linear, Norm};
use offshoot_core::{
    Activation, AttentionSite, Backbone, Context, Heads, KeyValue, Mask, Part, Pass, ProjectKv, Shape, Site,
    Slot, Step, Sublayer, Tensor, Weight,
};

/// How the registry presents GPT-2.
pub(crate) const FAMILY: Family = Family {
    name: "gpt2",
    summary: "GPT-2 and DistilGPT-2",
    prefix: "transformer",
    read: |fields| Box::new(settings(fields)),
    head: |_| HeadSpec::score(),
    pooling: Pooling::Last,
    class: "GPT2ForSequenceClassification",
    lm_class: Some("GPT2LMHeadModel"),
};

/// The projections, in the order of the files.
const NAMES: [(Slot, &str); 4] = [
    (Slot::QueryKeyValue, "attn.c_attn"),
    (Slot::Output, "attn.c_proj"),
    (Slot::Up, "mlp.c_fc"),
    (Slot::Down, "mlp.c_proj"),
];

/// What config.json says.
#[derive(Clone, Debug)]
struct Settings {
    shape: Shape,
    activation: Activation,
    eps: f32,
    /// Embeddings, attention probabilities, sublayer outputs.
    dropout: [f32; 3],
    /// Whether products of queries and keys are divided by the root of the head size.
    scaled: bool,
    /// Whether they are also divided by the block's number, from 1.
    by_layer: bool,
}

#[derive(Clone)]
struct Gpt2 {
    settings: Settings,
    words: Embedding,
    positions: Embedding,
    blocks: Vec<Block>,
    norm: LayerNorm,
}

#[derive(Clone)]
struct Block {
    query_key_value: Linear,
    output: Linear,
    up: Linear,
    down: Linear,
    attention_norm: LayerNorm,
    feed_forward_norm: LayerNorm,
}

/// Dropout sites: four per layer, the embeddings' at the first number after all layers of any model.
const EMBEDDING_SITE: u64 = 1 << 20;

fn settings(fields: &mut Fields) -> Settings {
    let (hidden, heads) = (fields.usize("n_embd"), fields.usize("n_head"));
    if !hidden.is_multiple_of(heads.max(1)) {
        fields.problem("n_head", &format!("is {heads}, which does not divide n_embd {hidden}"));
    }
    let positions = fields.usize("n_positions");
    fields.ignore(&["n_ctx", "reorder_and_upcast_attn"]);
    // The head of a class that is not loaded here.
    for name in ["activation", "first_dropout", "proj_to_labels", "type", "use_proj"] {
        fields.ignore(&[&format!("summary_{name}")]);
    }
    fields.only("tie_word_embeddings", true.into());
    Settings {
        shape: Shape {
            vocab: fields.usize("vocab_size"),
            positions,
            layers: fields.usize("n_layer"),
            hidden,
            heads,
            kv_heads: heads,
            head_dim: (hidden / heads.max(1)).max(1),
            ffn: fields.usize_or("n_inner", 4 * hidden),
        },
        activation: activation_or(fields, "activation_function", Activation::GeluTanh),
        eps: fields.f32_or("layer_norm_epsilon", 1e-5),
        dropout: ["embd_pdrop", "attn_pdrop", "resid_pdrop"].map(|name| dropout(fields, name, 0.1)),
        scaled: fields.bool_or("scale_attn_weights", true),
        by_layer: fields.bool_or("scale_attn_by_inverse_layer_idx", false),
    }
}

impl Architecture for Settings {
    fn shape(&self) -> &Shape {
        &self.shape
    }

    fn collect(&self, _: &Build, reader: &mut Reader<'_, '_>) -> Result<Box<dyn Backbone>> {
        let Shape { vocab, hidden, layers, positions, .. } = self.shape;
        let words = reader.table("wte", vocab, hidden)?;
        let table = reader.table("wpe", positions, hidden)?;
        let blocks = (0..layers).map(|layer| Block::collect(self, layer, reader)).collect::<Result<_>>()?;
        let norm = reader.layer_norm("ln_f", Part::FinalNorm, (hidden, self.eps))?;
        reader.take.skip("lm_head.weight");
        // Masks that old checkpoints hold as tensors.
        for layer in 0..layers {
            ["bias", "masked_bias"]
                .iter()
                .for_each(|name| reader.take.skip(&format!("h.{layer}.attn.{name}")));
        }
        Ok(Box::new(Gpt2 { settings: self.clone(), words, positions: table, blocks, norm }))
    }
}

impl Block {
    fn collect(settings: &Settings, layer: usize, reader: &mut Reader<'_, '_>) -> Result<Self> {
        let Shape { hidden, ffn, .. } = settings.shape;
        let (part, eps) = (Part::Block(layer), settings.eps);
        let path = |name: &str| format!("h.{layer}.{name}");
        Ok(Self {
            attention_norm: reader.layer_norm(&path("ln_1"), part, (hidden, eps))?,
            query_key_value: reader.conv1d(&path("attn.c_attn"), part, (hidden, 3 * hidden))?,
            output: reader.conv1d(&path("attn.c_proj"), part, (hidden, hidden))?,
            feed_forward_norm: reader.layer_norm(&path("ln_2"), part, (hidden, eps))?,
            up: reader.conv1d(&path("mlp.c_fc"), part, (hidden, ffn))?,
            down: reader.conv1d(&path("mlp.c_proj"), part, (ffn, hidden))?,
        })
    }

    fn projections(&self) -> [(Slot, &Linear); 4] {
        [
            (Slot::QueryKeyValue, &self.query_key_value),
            (Slot::Output, &self.output),
            (Slot::Up, &self.up),
            (Slot::Down, &self.down),
        ]
    }

    fn weights(&self) -> Vec<&Weight> {
        let mut weights = self.attention_norm.weights();
        weights.extend(self.query_key_value.weights());
        weights.extend(self.output.weights());
        weights.extend(self.feed_forward_norm.weights());
        weights.extend(self.up.weights());
        weights.extend(self.down.weights());
        weights
    }

    fn weights_mut(&mut self) -> Vec<&mut Weight> {
        let mut weights = self.attention_norm.weights_mut();
        weights.extend(self.query_key_value.weights_mut());
        weights.extend(self.output.weights_mut());
        weights.extend(self.feed_forward_norm.weights_mut());
        weights.extend(self.up.weights_mut());
        weights.extend(self.down.weights_mut());
        weights
    }
}

impl Gpt2 {
    fn heads(&self, layer: usize) -> Heads {
        let Shape { heads, kv_heads, head_dim, .. } = self.settings.shape;
        let root = if self.settings.scaled { (head_dim as f32).sqrt() } else { 1.0 };
        let by_layer = if self.settings.by_layer { (layer + 1) as f32 } else { 1.0 };
        Heads { query: heads, key_value: kv_heads, dim: head_dim, scale: 1.0 / (root * by_layer) }
    }

    /// Attention and its projections: `x` `[n, d]` to the sublayer's output `[n, d]`.
    fn attention(&self, layer: usize, x: &Tensor, pass: &Pass<'_>) -> offshoot_core::Result<Tensor> {
        let block = &self.blocks[layer];
        let at = |slot| Site { layer, slot };
        let qkv = pass.linear(at(Slot::QueryKeyValue), &block.query_key_value, x)?;
        let [q, k, v] = thirds(&qkv)?;
        let kv = LayerKv { block, step: pass.step(), heads: self.heads(layer) };
        let site = AttentionSite {
            layer,
            kv: &kv,
            mask: Mask::Causal { window: None },
            dropout: self.settings.dropout[1],
            dropout_site: 4 * layer as u64,
        };
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
        pass.linear(Site { layer, slot: Slot::Down }, &block.down, &y.activation(self.settings.activation))
    }
}

/// The queries, keys and values in `[n, 3 d]`.
fn thirds(qkv: &Tensor) -> offshoot_core::Result<[Tensor; 3]> {
    let d = qkv.cols() / 3;
    Ok([qkv.columns(0..d)?, qkv.columns(d..2 * d)?, qkv.columns(2 * d..3 * d)?])
}

impl Backbone for Gpt2 {
    fn family(&self) -> &'static str {
        FAMILY.name
    }

    fn shape(&self) -> &Shape {
        &self.settings.shape
    }

    fn fork(&self) -> Box<dyn Backbone> {
        Box::new(self.clone())
    }

    fn projections(&self) -> Vec<(Site, &Linear)> {
        let mut sites = Vec::new();
        for (layer, block) in self.blocks.iter().enumerate() {
            sites.extend(block.projections().map(|(slot, linear)| (Site { layer, slot }, linear)));
        }
        sites
    }

    fn weights(&self) -> Vec<&Weight> {
        let mut weights = vec![&self.words.table, &self.positions.table];
        weights.extend(self.blocks.iter().flat_map(Block::weights));
        weights.extend(self.norm.weights());
        weights
    }

    fn weights_mut(&mut self) -> Vec<&mut Weight> {
        let mut weights = vec![&mut self.words.table, &mut self.positions.table];
        weights.extend(self.blocks.iter_mut().flat_map(Block::weights_mut));
        weights.extend(self.norm.weights_mut());
        weights
    }

    fn module(&self, site: Site) -> String {
        let path = NAMES.iter().find(|(slot, _)| *slot == site.slot).map_or("", |(_, path)| path);
        format!("transformer.h.{}.{path}", site.layer)
    }

    fn bottleneck_module(&self, layer: usize, part: Sublayer) -> String {
        let name = match part {
            Sublayer::Attention => "attention_adapters",
            Sublayer::FeedForward => "output_adapters",
        };
        format!("transformer.h.{layer}.{name}.adapters")
    }

    fn attention_module(&self, layer: usize) -> String {
        format!("transformer.h.{layer}.attn")
    }

    fn output_head(&self) -> Option<&Weight> {
        Some(&self.words.table)
    }

    fn adaption_after_output(&self) -> bool {
        true
    }

    fn input_major_files(&self) -> bool {
        true
    }

    fn token_table(&self) -> &Weight {
        &self.words.table
    }

    fn embed(&self, pass: &Pass<'_>) -> offshoot_core::Result<Tensor> {
        check_positions(pass, self.settings.shape.positions)?;
        let words = pass.join_prompts(self.words.forward(pass.batch().ids(), pass.step())?)?;
        let x = words.add(&self.positions.forward(&pass.positions(), pass.step())?)?;
        pass.dropout(x, self.settings.dropout[0], EMBEDDING_SITE)
    }

    fn block(&self, layer: usize, x: &Tensor, pass: &Pass<'_>) -> offshoot_core::Result<Tensor> {
        let (block, step, site) = (&self.blocks[layer], pass.step(), 4 * layer as u64);
        let join = |part, x: &Tensor, y: Tensor, site| {
            let y = pass.dropout(y, self.settings.dropout[2], site)?;
            x.add(&pass.sublayer((layer, part), x, y, None)?)
        };
        let y = self.attention(layer, &block.attention_norm.forward(x, step)?, pass)?;
        let x = join(Sublayer::Attention, x, y, site + 1)?;
        let y = self.feed_forward(layer, &block.feed_forward_norm.forward(&x, step)?, pass)?;
        join(Sublayer::FeedForward, &x, y, site + 2)
    }

    fn finish(&self, x: Tensor, pass: &Pass<'_>) -> offshoot_core::Result<Tensor> {
        self.norm.forward(&x, pass.step())
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
        let [_, key, value] = thirds(&self.block.query_key_value.forward(prompt, self.step)?)?;
        Ok(KeyValue { key, value })
    }

    fn heads(&self) -> Heads {
        self.heads
    }
}
