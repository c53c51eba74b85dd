//! What a frozen model is to the rest of the house.

use crate::known::replay;
use crate::nn::Linear;
use crate::{Pass, Result, Site, Sublayer, Tensor, Weight};

/// The sizes of a transformer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows of the token table.
    pub vocab: usize,
    /// The longest sequence, virtual tokens included.
    pub positions: usize,
    /// Transformer blocks.
    pub layers: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
    /// Width of the feed-forward network.
    pub ffn: usize,
}

/// A pretrained transformer without its task head. It holds no adapter state and no mode, and `forward`
/// changes nothing.
///
/// Everything that only concerns names in files is in the methods that return text.
pub trait Backbone: Send + Sync {
    /// The family's name, as config.json gives it in `model_type`.
    fn family(&self) -> &'static str;

    /// The sizes.
    fn shape(&self) -> &Shape;

    /// A copy that shares all frozen values: what a method that trains the base's own weights works on.
    fn fork(&self) -> Box<dyn Backbone>;

    /// Every projection an adapter may target, in order.
    fn projections(&self) -> Vec<(Site, &Linear)>;

    /// Every weight, in file order.
    fn weights(&self) -> Vec<&Weight>;

    /// Every weight, in file order.
    fn weights_mut(&mut self) -> Vec<&mut Weight>;

    /// The module path of a projection in checkpoints of the class that has a task head.
    fn module(&self, site: Site) -> String;

    /// The module path under which AdapterHub files keep the bottleneck after a sublayer, up to the adapter's
    /// name.
    fn bottleneck_module(&self, layer: usize, part: Sublayer) -> String;

    /// The module path of a layer's self-attention, under which peft keeps LLaMA-Adapter's tensors.
    fn attention_module(&self, layer: usize) -> String;

    /// The output head of a language model `[vocab, d]`, without bias: a weight of its own, or the token table
    /// where the two are tied. None in encoders, and where a classifier's checkpoint has none. A model that
    /// was loaded to classify does not train it.
    fn output_head(&self) -> Option<&Weight> {
        None
    }

    /// What the rows of the token table are multiplied by before they enter the first block.
    fn embedding_scale(&self) -> f32 {
        1.0
    }

    /// Whether peft's LLaMA-Adapter adds its attention after the output projection, without projecting it.
    /// It does so on GPT-2, and files that it wrote ask for the same.
    fn adaption_after_output(&self) -> bool {
        false
    }

    /// Whether the blocks normalise their keys before attention, head by head, and with them the keys of an
    /// adapter's prompt ([`ProjectKv`](crate::ProjectKv)). Adapters of programs that leave a prompt's keys as
    /// they are mean something else there.
    fn normalises_keys(&self) -> bool {
        false
    }

    /// Whether files hold the weights of projections as `[in, out]`, as GPT-2's do. In memory each says for
    /// itself ([`Linear::input_major`]).
    fn input_major_files(&self) -> bool {
        false
    }

    /// The token table's value `[vocab, d]`, for initialising prompts from words.
    fn token_table(&self) -> &Weight;

    /// Token ids to the first block's input `[n, d]`, virtual tokens included.
    ///
    /// # Errors
    /// If a token is outside the vocabulary or a sequence is too long.
    fn embed(&self, pass: &Pass<'_>) -> Result<Tensor>;

    /// One transformer block: `x` `[n, d]` to `[n, d]`.
    ///
    /// # Errors
    /// As the hooks fail.
    fn block(&self, layer: usize, x: &Tensor, pass: &Pass<'_>) -> Result<Tensor>;

    /// What follows the last block (a final norm, in families that have one): `x` `[n, d]` to `[n, d]`.
    ///
    /// # Errors
    /// As its operations fail.
    fn finish(&self, x: Tensor, _pass: &Pass<'_>) -> Result<Tensor> {
        Ok(x)
    }

    /// The pretrained pooler over each sequence's first row `[s, d]`, in families that have one.
    ///
    /// # Errors
    /// As the hooks fail.
    fn pooler(&self, _first: &Tensor, _pass: &Pass<'_>) -> Result<Option<Tensor>> {
        Ok(None)
    }

    /// Whether [`pooler`](Self::pooler) gives anything.
    fn has_pooler(&self) -> bool {
        false
    }
}

/// The forward pass of a backbone with its adapters: the final hidden states `[n, d]`, virtual rows included.
///
/// This is the one seam for what depends on blocks: the tape is cut between them, what is known of the
/// lowest ones ([`Pass::know`]) is not computed again, and what shall be computed twice ([`Pass::recompute`])
/// is not kept. [`backward`](crate::backward) is the way back.
///
/// # Errors
/// As the backbone and the hooks fail.
pub fn forward(backbone: &dyn Backbone, pass: &mut Pass<'_>) -> Result<Tensor> {
    let (known, mut x) = match pass.known() {
        Some(known) => (known.blocks, replay(known, pass)?),
        None => (0, backbone.embed(pass)?),
    };
    x.device().begin(pass.layout().rows());
    for layer in known..backbone.shape().layers {
        pass.cut();
        let y = backbone.block(layer, &x, pass)?;
        pass.forget(layer, &x, &y);
        pass.state(layer, &y)?;
        x = y;
    }
    pass.cut();
    let x = backbone.finish(pass.finish(&x)?, pass)?;
    pass.commit();
    Ok(x)
}
