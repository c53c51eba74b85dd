//! LLaMA-Adapter on encoders has no reference file, so its formula is held here.

use crate::stub::{build, shape};
use offshoot_core::{Addition, Device, Heads, KeyValue, Params, ProjectKv, Result, Step, Tensor};
use offshoot_methods::MethodConfig;
use serde_json::json;

/// Above the rounding of a softmax over three f32 scores of order 1.
const TOLERANCE: f64 = 1e-5;

const HIDDEN: usize = 4;

/// Keys are the prompt, values are its negative.
struct Negative;

impl ProjectKv for Negative {
    fn project(&self, prompt: &Tensor) -> Result<KeyValue> {
        Ok(KeyValue { key: prompt.clone(), value: prompt.scale(-1.0) })
    }

    fn heads(&self) -> Heads {
        Heads { query: 2, key_value: 2, dim: 2, scale: 0.5 }
    }
}

/// What the adapter adds to the top one of two layers, for two query rows, with the gate set to `gates`.
fn added(gate: &str, gates: &[f32]) -> (Params, Vec<f32>, Vec<f32>) {
    let settings = json!({ "method": "llama-adapter", "tokens": 3, "gate": gate });
    let config: MethodConfig = serde_json::from_value(settings).unwrap();
    let (adapter, mut params) = build(&config, shape(2, HIDDEN)).unwrap();
    let id = params.find("layer.1.attention.adaption_gate").unwrap();
    params.get_mut(id).set(gates).unwrap();
    let query = [0.3, -0.7, 1.2, 0.1, -0.4, 0.8, 0.5, -1.1];
    let tensor = Tensor::new(&Device::cpu(), &[2, HIDDEN], &query).unwrap();
    let step = Step::detached(&params);
    assert!(adapter.attention(&step, 0, &tensor, &Negative).unwrap().is_none());
    let Some(Addition::BeforeOutput(y)) = adapter.attention(&step, 1, &tensor, &Negative).unwrap() else {
        panic!("nothing was added before the output projection");
    };
    (params, query.to_vec(), y.to_vec())
}

/// `gate softmax(q kᵀ / 2) v` in plain loops.
fn expected(params: &Params, query: &[f32], gate: impl Fn(usize) -> f64, row: usize, col: usize) -> f64 {
    let prompt = params.get(params.find("layer.1.attention.adaption_prompt").unwrap()).value().to_vec();
    let head = col / 2;
    let at = |token: usize, col: usize| f64::from(prompt[token * HIDDEN + col]);
    let q = |col: usize| f64::from(query[row * HIDDEN + col]);
    let score = |token| (2 * head..2 * head + 2).map(|c| q(c) * at(token, c)).sum::<f64>() * 0.5;
    let weights: Vec<f64> = (0..3).map(|token| score(token).exp()).collect();
    let total: f64 = weights.iter().sum();
    let context: f64 = (0..3).map(|token| weights[token] / total * -at(token, col)).sum();
    gate(head) * context
}

fn check(gate: &str, gates: &[f32], factor: impl Fn(usize) -> f64) {
    let (params, query, y) = added(gate, gates);
    for (i, &y) in y.iter().enumerate() {
        let want = expected(&params, &query, &factor, i / HIDDEN, i % HIDDEN);
        assert!((f64::from(y) - want).abs() < TOLERANCE, "{gate} at {i}: {y} is not {want}");
    }
}

#[test]
fn llama_adapter_has_a_tanh_gate_per_head() {
    check("heads", &[0.7, -1.5], |head| [0.7_f64, -1.5][head].tanh());
}

#[test]
fn litgpts_gate_is_one_number_a_head_as_it_is() {
    check("heads-linear", &[0.7, -1.5], |head| f64::from([0.7_f32, -1.5][head]));
}

#[test]
fn pefts_gate_is_one_number_as_it_is() {
    check("scalar", &[1.7], |_| f64::from(1.7_f32));
}
