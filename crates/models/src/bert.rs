//! BERT, Devlin et al. 2019, <https://arxiv.org/abs/1810.04805>: post-norm encoder, learned positions, token
//! types, pooler. Bare checkpoints (all-MiniLM-L6-v2) and those with a task head both load.

use crate::Pooling;
use crate::config::Fields;
use crate::encoder::{Described, Dropouts, Names, Settings, check_heads};
use crate::family::{Architecture, Family, HeadSpec, activation, dropout};
use offshoot_core::{Shape, Slot};

/// How the registry presents BERT.
pub(crate) const FAMILY: Family = Family {
    name: "bert",
    summary: "BERT, MiniLM and other post-norm encoders with token types",
    prefix: NAMES.family,
    read,
    head,
    pooling: Pooling::Pooler,
    class: "BertForSequenceClassification",
    lm_class: None,
};

/// What BERT calls its modules.
pub(crate) const NAMES: Names = Names {
    family: "bert",
    blocks: "encoder.layer",
    projections: [
        (Slot::Query, "attention.self.query"),
        (Slot::Key, "attention.self.key"),
        (Slot::Value, "attention.self.value"),
        (Slot::Output, "attention.output.dense"),
        (Slot::Up, "intermediate.dense"),
        (Slot::Down, "output.dense"),
    ],
    norms: ["attention.output.LayerNorm", "output.LayerNorm"],
    bottlenecks: ["attention.output.adapters", "output.adapters"],
    attention: "attention.self",
    pooler: Some("pooler.dense"),
};

fn read(fields: &mut Fields) -> Box<dyn Architecture> {
    let settings = bert_like(fields, 0);
    Box::new(Described { names: &NAMES, settings })
}

/// The fields that BERT and RoBERTa share. `first_position` is the table row of position 0.
pub(crate) fn bert_like(fields: &mut Fields, first_position: usize) -> Settings {
    let (hidden, heads) = (fields.usize("hidden_size"), fields.usize("num_attention_heads"));
    check_heads(fields, hidden, heads);
    let shape = Shape {
        vocab: fields.usize("vocab_size"),
        positions: fields.usize("max_position_embeddings").saturating_sub(first_position),
        layers: fields.usize("num_hidden_layers"),
        hidden,
        heads,
        kv_heads: heads,
        head_dim: hidden / heads.max(1),
        ffn: fields.usize("intermediate_size"),
    };
    let hidden_dropout = dropout(fields, "hidden_dropout_prob", 0.1);
    let settings = Settings {
        shape,
        activation: activation(fields, "hidden_act"),
        eps: fields.f32_or("layer_norm_eps", 1e-12),
        types: fields.usize_or("type_vocab_size", 2),
        first_position,
        fixed_positions: false,
        dropout: Dropouts {
            embeddings: hidden_dropout,
            probabilities: dropout(fields, "attention_probs_dropout_prob", 0.1),
            attention: hidden_dropout,
            feed_forward: hidden_dropout,
        },
    };
    fields.only("position_embedding_type", "absolute".into());
    // All but the first are leftovers of Google's original configs.
    fields.ignore(&[
        "tie_word_embeddings",
        "directionality",
        "pooler_fc_size",
        "pooler_num_attention_heads",
        "pooler_num_fc_layers",
        "pooler_size_per_head",
        "pooler_type",
    ]);
    settings
}

fn head(fields: &mut Fields) -> HeadSpec {
    let hidden_dropout = dropout(fields, "hidden_dropout_prob", 0.1);
    let rate = dropout(fields, "classifier_dropout", hidden_dropout);
    HeadSpec::single("classifier", rate)
}
