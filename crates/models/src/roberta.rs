//! RoBERTa, Liu et al. 2019, <https://arxiv.org/abs/1907.11692>: BERT's blocks; positions start after the
//! padding index; the classification head has a hidden layer and reads the first token.

use crate::bert::{self, bert_like};
use crate::config::Fields;
use crate::encoder::{Names, Settings};
use crate::family::{Family, HeadLayerSpec, HeadSpec, Outputs, dropout};
use crate::{Pooling, Result};
use offshoot_core::Activation;

/// How the registry presents RoBERTa.
pub(crate) const FAMILY: Family = Family {
    name: "roberta",
    summary: "RoBERTa and its distillations in its layout",
    names: &NAMES,
    settings,
    head,
    pooling: Pooling::Cls,
    class: "RobertaForSequenceClassification",
};

// Its classes for classification are built without a pooler.
const NAMES: Names = Names { family: "roberta", pooler: None, ..bert::NAMES };

fn settings(fields: &mut Fields) -> Result<Settings> {
    let padding = fields.usize_or("pad_token_id", 1);
    bert_like(fields, padding + 1)
}

fn head(fields: &mut Fields) -> HeadSpec {
    let hidden_dropout = dropout(fields, "hidden_dropout_prob", 0.1);
    let rate = dropout(fields, "classifier_dropout", hidden_dropout);
    let layer = |name, outputs, activation| HeadLayerSpec { name, outputs, activation, dropout: rate };
    HeadSpec {
        layers: vec![
            layer("classifier.dense", Outputs::Hidden, Some(Activation::Tanh)),
            layer("classifier.out_proj", Outputs::Classes, None),
        ],
    }
}
