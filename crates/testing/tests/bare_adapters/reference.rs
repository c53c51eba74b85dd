//! A LLaMA with LLaMA-Adapter in double precision and plain loops, after the formulas of the authors' code
//! (`alpaca_finetuning_v1/llama/model.py`) and of litgpt (`litgpt/adapter.py`). No line of it is the engine's.

use offshoot_core::Rng;
use std::collections::BTreeMap;

/// Tensors by name: shape and values.
pub(crate) type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

pub(crate) const LAYERS: usize = 3;
pub(crate) const HIDDEN: usize = 24;
pub(crate) const HEADS: usize = 4;
pub(crate) const DIM: usize = 6;
pub(crate) const FFN: usize = 40;
pub(crate) const VOCAB: usize = 50;
const EPS: f64 = 1e-5;
const THETA: f64 = 10_000.0;

/// A checkpoint in the Hugging Face layout whose values are large enough for every part to matter.
pub(crate) fn random_weights(kv_heads: usize) -> Tensors {
    let mut rng = Rng::new(7);
    let mut tensors = Tensors::new();
    let mut add = |name: String, shape: &[usize], mean: f64, deviation: f64| {
        let values = (0..shape.iter().product()).map(|_| (mean + rng.normal() * deviation) as f32).collect();
        tensors.insert(name, (shape.to_vec(), values));
    };
    add("model.embed_tokens.weight".into(), &[VOCAB, HIDDEN], 0.0, 1.0);
    for layer in 0..LAYERS {
        let mut matrix = |name: &str, rows: usize, cols: usize| {
            let deviation = 1.0 / (cols as f64).sqrt();
            add(format!("model.layers.{layer}.{name}.weight"), &[rows, cols], 0.0, deviation);
        };
        matrix("self_attn.q_proj", HEADS * DIM, HIDDEN);
        matrix("self_attn.k_proj", kv_heads * DIM, HIDDEN);
        matrix("self_attn.v_proj", kv_heads * DIM, HIDDEN);
        matrix("self_attn.o_proj", HIDDEN, HEADS * DIM);
        matrix("mlp.gate_proj", FFN, HIDDEN);
        matrix("mlp.up_proj", FFN, HIDDEN);
        matrix("mlp.down_proj", HIDDEN, FFN);
        for norm in ["input_layernorm", "post_attention_layernorm"] {
            add(format!("model.layers.{layer}.{norm}.weight"), &[HIDDEN], 1.0, 0.2);
        }
    }
    add("model.norm.weight".into(), &[HIDDEN], 1.0, 0.2);
    add("lm_head.weight".into(), &[VOCAB, HIDDEN], 0.0, 0.2);
    tensors
}

/// Which columns of a head are turned together, and so the order in which projections to q and k have rows.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Turn {
    /// 2i and 2i + 1, as Meta's models do.
    Neighbours,
    /// i and i + e / 2, as Hugging Face's layout does.
    Halves,
}

/// What a layer's file says.
pub(crate) struct Prompt {
    /// `[tokens, hidden]`
    pub(crate) rows: Vec<f32>,
    /// What the attention to it is multiplied by in each head, the tanh taken.
    pub(crate) gates: Vec<f64>,
}

/// The model with its prompts, `None` in layers without.
pub(crate) struct Reference<'a> {
    pub(crate) weights: &'a Tensors,
    pub(crate) kv_heads: usize,
    pub(crate) turn: Turn,
    pub(crate) prompts: Vec<Option<Prompt>>,
}

impl Reference<'_> {
    /// Logits `[tokens, vocab]`.
    pub(crate) fn logits(&self, ids: &[u32]) -> Vec<f64> {
        let mut states: Vec<Vec<f64>> = ids.iter().map(|&id| self.row(id as usize)).collect();
        for layer in 0..LAYERS {
            let normed = self.normed(&states, &format!("model.layers.{layer}.input_layernorm"));
            add(&mut states, &self.attention(layer, &normed));
            let normed = self.normed(&states, &format!("model.layers.{layer}.post_attention_layernorm"));
            add(&mut states, &self.feed_forward(layer, &normed));
        }
        let normed = self.normed(&states, "model.norm");
        self.product(&normed, "lm_head").concat()
    }

    /// Softmax over the text and, apart from it and gated, over the prompt: `[tokens, hidden]`.
    fn attention(&self, layer: usize, x: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let name = |name: &str| format!("model.layers.{layer}.self_attn.{name}");
        let mut q = self.ordered(self.product(x, &name("q_proj")));
        let mut k = self.ordered(self.product(x, &name("k_proj")));
        let v = self.product(x, &name("v_proj"));
        for (position, (q, k)) in q.iter_mut().zip(&mut k).enumerate() {
            self.turn(q, position);
            self.turn(k, position);
        }
        let prompt = self.prompts[layer].as_ref().map(|prompt| {
            let rows: Vec<Vec<f64>> = prompt.rows.chunks(HIDDEN).map(wide).collect();
            let keys = self.ordered(self.product(&rows, &name("k_proj")));
            (keys, self.product(&rows, &name("v_proj")), &prompt.gates)
        });
        let mut context = vec![vec![0.0; HEADS * DIM]; x.len()];
        for (at, context) in context.iter_mut().enumerate() {
            for head in 0..HEADS {
                let own = head * DIM..(head + 1) * DIM;
                let shared = head / (HEADS / self.kv_heads) * DIM;
                let query = &q[at][own.clone()];
                let mut out = attend(query, &k[..=at], &v[..=at], shared);
                if let Some((keys, values, gates)) = &prompt {
                    let second = attend(query, keys, values, shared);
                    out.iter_mut().zip(second).for_each(|(out, second)| *out += gates[head] * second);
                }
                context[own].copy_from_slice(&out);
            }
        }
        self.product(&context, &name("o_proj"))
    }

    fn feed_forward(&self, layer: usize, x: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let name = |name: &str| format!("model.layers.{layer}.mlp.{name}");
        let (mut gate, up) = (self.product(x, &name("gate_proj")), self.product(x, &name("up_proj")));
        for (gate, up) in gate.iter_mut().zip(up) {
            gate.iter_mut().zip(up).for_each(|(gate, up)| *gate = *gate / (1.0 + (-*gate).exp()) * up);
        }
        self.product(&gate, &name("down_proj"))
    }

    fn row(&self, id: usize) -> Vec<f64> {
        wide(&self.weights["model.embed_tokens.weight"].1[id * HIDDEN..(id + 1) * HIDDEN])
    }

    /// `x Wᵀ`
    fn product(&self, x: &[Vec<f64>], module: &str) -> Vec<Vec<f64>> {
        let (shape, values) = &self.weights[&format!("{module}.weight")];
        let rows: Vec<Vec<f64>> = values.chunks(shape[1]).map(wide).collect();
        x.iter().map(|x| rows.iter().map(|row| dot(row, x)).collect()).collect()
    }

    fn normed(&self, x: &[Vec<f64>], module: &str) -> Vec<Vec<f64>> {
        let weight = wide(&self.weights[&format!("{module}.weight")].1);
        let norm = |x: &Vec<f64>| {
            let scale = 1.0 / (dot(x, x) / x.len() as f64 + EPS).sqrt();
            x.iter().zip(&weight).map(|(x, w)| x * scale * w).collect()
        };
        x.iter().map(norm).collect()
    }

    /// Queries or keys as the projection of the model's own layout gives them: Meta's has the rows of a head
    /// interleaved where Hugging Face's has them in halves.
    fn ordered(&self, mut x: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
        if self.turn == Turn::Neighbours {
            for head in x.iter_mut().flat_map(|row| row.chunks_mut(DIM)) {
                let halves = head.to_vec();
                (0..DIM).for_each(|col| head[col] = halves[col % 2 * (DIM / 2) + col / 2]);
            }
        }
        x
    }

    fn turn(&self, row: &mut [f64], position: usize) {
        for head in row.chunks_mut(DIM) {
            for pair in 0..DIM / 2 {
                let angle = position as f64 * THETA.powf(-2.0 * pair as f64 / DIM as f64);
                let (one, two) = match self.turn {
                    Turn::Neighbours => (2 * pair, 2 * pair + 1),
                    Turn::Halves => (pair, pair + DIM / 2),
                };
                let (x, y) = (head[one], head[two]);
                head[one] = x * angle.cos() - y * angle.sin();
                head[two] = y * angle.cos() + x * angle.sin();
            }
        }
    }
}

/// `softmax(q Kᵀ / sqrt(e)) V` of one head, whose keys and values begin at a column.
fn attend(query: &[f64], keys: &[Vec<f64>], values: &[Vec<f64>], column: usize) -> Vec<f64> {
    let scale = (DIM as f64).sqrt();
    let weights: Vec<f64> =
        keys.iter().map(|key| (dot(query, &key[column..column + DIM]) / scale).exp()).collect();
    let total: f64 = weights.iter().sum();
    (0..DIM)
        .map(|col| values.iter().zip(&weights).map(|(value, w)| value[column + col] * w / total).sum())
        .collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(states: &mut [Vec<f64>], more: &[Vec<f64>]) {
    states.iter_mut().flatten().zip(more.iter().flatten()).for_each(|(state, more)| *state += more);
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}
