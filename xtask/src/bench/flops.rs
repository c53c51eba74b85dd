//! The products that a step cannot do without, as a count of floating-point operations: what the ceiling is.
//!
//! In multiplications, each with its addition two operations, for widths `d` (model), `q` (all query heads), `e`
//! (all key or all value heads) and `f` (feed-forward):
//!
//! - forward, for each token and block: `P = d q + 2 d e + q d + (2 or, gated, 3) d f`;
//! - input gradients: `P` again, but `d q + 2 d e` less in the lowest trained block: what is below its queries,
//!   keys and values needs none. (LoRA trains queries and values in every block; where everything is trained, the
//!   embeddings are too, and nothing is left out);
//! - weight gradients, where the weights themselves are trained: `P` again;
//! - attention, for each block and each pair of a query and a key that it sees: `2 q` forward, for scores and
//!   sums; `4 q` backward, to values, probabilities, queries and keys. In LoRA's lowest block, whose keys are
//!   frozen, `3 q`. Scores that are computed again instead of kept are not counted;
//! - the output head of a language model, for each labelled position: `d vocab` forward, again for the gradient
//!   of its input, and again where it is trained.
//!
//! Not counted: LoRA's own factors and a classifier's head (about 1 % and less), and whatever is no product.

use anyhow::{Context, Result};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// The widths of a model.
#[derive(Debug, PartialEq)]
pub(crate) struct Shape {
    hidden: f64,
    queries: f64,
    keys: f64,
    ffn: f64,
    layers: f64,
    vocab: f64,
    /// Whether the feed-forward network has a third matrix.
    gated: bool,
    /// Whether a query sees the keys before it alone; such a model has an output head.
    causal: bool,
}

/// What went through training.
pub(crate) struct Work {
    pub(crate) tokens: f64,
    /// The sum of the sequences' squared lengths.
    pub(crate) squares: f64,
    /// Positions with a loss.
    pub(crate) labelled: f64,
    /// Whether all weights are trained; else LoRA on queries and values in every block.
    pub(crate) full: bool,
}

impl Shape {
    /// Reads the config.json of a model's folder.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("config.json");
        let text = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        let config = serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))?;
        Self::of(&config).with_context(|| format!("{} does not say the model's widths", path.display()))
    }

    pub(super) fn of(config: &Value) -> Option<Self> {
        let of = |key: &str| config.get(key)?.as_f64();
        let (hidden, heads) = (of("hidden_size")?, of("num_attention_heads")?);
        let head = of("head_dim").unwrap_or(hidden / heads);
        let causal = config.get("model_type")?.as_str()? != "bert";
        Some(Self {
            hidden,
            queries: heads * head,
            keys: of("num_key_value_heads").unwrap_or(heads) * head,
            ffn: of("intermediate_size")?,
            layers: of("num_hidden_layers")?,
            vocab: of("vocab_size")?,
            gated: causal,
            causal,
        })
    }

    /// Operations of all the needed products.
    pub(crate) fn operations(&self, work: &Work) -> f64 {
        2.0 * (self.blocks(work) + self.attention(work) + self.head(work))
    }

    /// Multiplications of the blocks' matrices.
    fn blocks(&self, work: &Work) -> f64 {
        let inputs = self.hidden * self.queries + 2.0 * self.hidden * self.keys;
        let matrices = if self.gated { 3.0 } else { 2.0 };
        let block = inputs + self.queries * self.hidden + matrices * self.hidden * self.ffn;
        let all = self.layers * block;
        work.tokens * if work.full { 3.0 * all } else { 2.0 * all - inputs }
    }

    fn attention(&self, work: &Work) -> f64 {
        let pairs = if self.causal { (work.squares + work.tokens) / 2.0 } else { work.squares };
        let products = 6.0 * self.layers - if work.full { 0.0 } else { 1.0 };
        products * self.queries * pairs
    }

    fn head(&self, work: &Work) -> f64 {
        let products = if work.full { 3.0 } else { 2.0 };
        if self.causal { products * self.hidden * self.vocab * work.labelled } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn minilm() -> Shape {
        Shape::of(&json!({ "model_type": "bert", "hidden_size": 384, "num_attention_heads": 12,
            "intermediate_size": 1536, "num_hidden_layers": 6, "vocab_size": 30522 }))
        .unwrap()
    }

    #[test]
    fn an_encoder_counts_as_by_hand() {
        // One sequence of 128 tokens. A block has 4 x 384^2 + 2 x 384 x 1536 = 1,769,472 weights.
        let work = |full| Work { tokens: 128.0, squares: 16384.0, labelled: 1.0, full };
        let forward = 6.0 * 1_769_472.0 * 128.0;
        let attention = 384.0 * 16384.0;
        let lora = 2.0 * forward - 3.0 * 384.0 * 384.0 * 128.0 + 35.0 * attention;
        assert_eq!(minilm().operations(&work(false)), 2.0 * lora);
        assert_eq!(minilm().operations(&work(true)), 2.0 * (3.0 * forward + 36.0 * attention));
    }

    #[test]
    fn a_decoder_counts_its_head_on_labelled_rows_and_half_the_pairs() {
        let shape = Shape::of(&json!({ "model_type": "llama", "hidden_size": 576, "num_attention_heads": 9,
            "num_key_value_heads": 3, "head_dim": 64, "intermediate_size": 1536, "num_hidden_layers": 1,
            "vocab_size": 49152 }))
        .unwrap();
        let inputs = 576.0 * 576.0 + 2.0 * 576.0 * 192.0;
        let block = inputs + 576.0 * 576.0 + 3.0 * 576.0 * 1536.0;
        let blocks = 10.0 * (2.0 * block - inputs);
        let attention = 5.0 * 576.0 * 55.0;
        let head = 2.0 * 576.0 * 49152.0 * 4.0;
        let work = Work { tokens: 10.0, squares: 100.0, labelled: 4.0, full: false };
        assert_eq!(shape.operations(&work), 2.0 * (blocks + attention + head));
    }

    #[test]
    fn a_config_without_widths_is_refused() {
        assert_eq!(Shape::of(&json!({ "model_type": "bert" })), None);
    }
}
