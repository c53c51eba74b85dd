//! DistilBERT, Sanh et al. 2019, <https://arxiv.org/abs/1910.01108>: BERT's blocks without token types and
//! pooler, without dropout after the attention's output projection, with names of its own.

use crate::Pooling;
use crate::config::Fields;
use crate::encoder::{Described, Dropouts, Names, Settings, check_heads};
use crate::family::{Architecture, Family, HeadLayerSpec, HeadSpec, Outputs, activation, dropout};
use offshoot_core::{Activation, Shape, Slot};

/// How the registry presents DistilBERT.
pub(crate) const FAMILY: Family = Family {
    name: "distilbert",
    summary: "DistilBERT",
    prefix: NAMES.family,
    read,
    head,
    pooling: Pooling::Cls,
    class: "DistilBertForSequenceClassification",
    lm_class: None,
};

const NAMES: Names = Names {
    family: "distilbert",
    blocks: "transformer.layer",
    projections: [
        (Slot::Query, "attention.q_lin"),
        (Slot::Key, "attention.k_lin"),
        (Slot::Value, "attention.v_lin"),
        (Slot::Output, "attention.out_lin"),
        (Slot::Up, "ffn.lin1"),
        (Slot::Down, "ffn.lin2"),
    ],
    norms: ["sa_layer_norm", "output_layer_norm"],
    bottlenecks: ["attention_adapters.adapters", "output_adapters.adapters"],
    attention: "attention",
    pooler: None,
};

fn read(fields: &mut Fields) -> Box<dyn Architecture> {
    let (hidden, heads) = (fields.usize("dim"), fields.usize("n_heads"));
    check_heads(fields, hidden, heads);
    let shape = Shape {
        vocab: fields.usize("vocab_size"),
        positions: fields.usize("max_position_embeddings"),
        layers: fields.usize("n_layers"),
        hidden,
        heads,
        kv_heads: heads,
        head_dim: hidden / heads.max(1),
        ffn: fields.usize("hidden_dim"),
    };
    let rate = dropout(fields, "dropout", 0.1);
    let settings = Settings {
        shape,
        activation: activation(fields, "activation"),
        // Fixed in the architecture; config.json has no field for it.
        eps: 1e-12,
        types: 0,
        first_position: 0,
        // The table is in the checkpoint either way; the sinusoidal one is never trained.
        fixed_positions: fields.bool_or("sinusoidal_pos_embds", false),
        dropout: Dropouts {
            embeddings: rate,
            probabilities: dropout(fields, "attention_dropout", 0.1),
            attention: 0.0,
            feed_forward: rate,
        },
    };
    fields.ignore(&["qa_dropout", "tie_word_embeddings", "tie_weights_"]);
    Box::new(Described { names: &NAMES, settings })
}

fn head(fields: &mut Fields) -> HeadSpec {
    let rate = dropout(fields, "seq_classif_dropout", 0.2);
    let relu = Some(Activation::Relu);
    HeadSpec {
        layers: vec![
            HeadLayerSpec {
                name: "pre_classifier",
                outputs: Outputs::Hidden,
                activation: relu,
                dropout: 0.0,
                bias: true,
            },
            HeadLayerSpec {
                name: "classifier",
                outputs: Outputs::Classes,
                activation: None,
                dropout: rate,
                bias: true,
            },
        ],
    }
}
