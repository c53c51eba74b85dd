//! RoBERTa, Liu et al. 2019, <https://arxiv.org/abs/1907.11692>: BERT's blocks; positions start after the
//! padding index; the classification head has a hidden layer and reads the first token.

use crate::Pooling;
use crate::bert::{self, bert_like};
use crate::config::Fields;
use crate::encoder::{Described, Names};
use crate::family::{Architecture, Family, HeadLayerSpec, HeadSpec, Outputs, dropout};
use offshoot_core::Activation;

/// How the registry presents RoBERTa.
pub(crate) const FAMILY: Family = Family {
    name: "roberta",
    summary: "RoBERTa and its distillations in its layout",
    prefix: NAMES.family,
    read,
    head,
    pooling: Pooling::Cls,
    class: "RobertaForSequenceClassification",
    lm_class: None,
};

// Its classes for classification are built without a pooler.
const NAMES: Names = Names { family: "roberta", pooler: None, ..bert::NAMES };

fn read(fields: &mut Fields) -> Box<dyn Architecture> {
    let padding = fields.usize_or("pad_token_id", 1);
    let settings = bert_like(fields, padding + 1);
    Box::new(Described { names: &NAMES, settings })
}

fn head(fields: &mut Fields) -> HeadSpec {
    let hidden_dropout = dropout(fields, "hidden_dropout_prob", 0.1);
    let rate = dropout(fields, "classifier_dropout", hidden_dropout);
    let layer =
        |name, outputs, activation| HeadLayerSpec { name, outputs, activation, dropout: rate, bias: true };
    HeadSpec {
        layers: vec![
            layer("classifier.dense", Outputs::Hidden, Some(Activation::Tanh)),
            layer("classifier.out_proj", Outputs::Classes, None),
        ],
    }
}
