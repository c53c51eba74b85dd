//! How large an adapter is, and how it is trained.

use super::change;
use crate::failure::Usage;
use crate::text::parse_bytes;
use anyhow::Result;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use offshoot::train::{ClassWeights, Recipe, Schedule, TrainSettings};

/// The sizes of adapters: each method takes those that it has.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Method")]
pub(crate) struct SizeFlags {
    /// Rank of low-rank updates
    #[arg(long)]
    rank: Option<usize>,

    /// Number of virtual tokens
    #[arg(long)]
    tokens: Option<usize>,

    /// Width of bottlenecks and side networks
    #[arg(long)]
    width: Option<usize>,

    /// Number of top layers
    #[arg(long)]
    layers: Option<usize>,
}

/// How to train.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Training")]
pub(crate) struct TrainFlags {
    /// Passes over the training rows [default: 3]
    #[arg(long)]
    epochs: Option<usize>,

    /// Rows per step [default: 16]
    #[arg(long, value_name = "ROWS")]
    batch: Option<usize>,

    /// Peak learning rate [default: the method's own]
    #[arg(long, value_name = "RATE")]
    lr: Option<f32>,

    /// How the rate falls [default: linear]
    #[arg(long, value_parser = schedule())]
    schedule: Option<Schedule>,

    /// Share of the steps over which the rate rises [default: 0.06]
    #[arg(long, value_name = "SHARE")]
    warmup: Option<f64>,

    /// Decoupled weight decay [default: 0.01]
    #[arg(long, value_name = "RATE")]
    weight_decay: Option<f32>,

    /// Largest norm of a gradient; 0 for any [default: 1]
    #[arg(long, value_name = "NORM")]
    clip: Option<f64>,

    /// Share of a label's probability that is spread over all classes, where there are classes [default: 0]
    #[arg(long, value_name = "SHARE")]
    label_smoothing: Option<f32>,

    /// Multiply the loss of rows by the weight of their label: balanced, or LABEL=WEIGHT,... as in spam=5,ham=1
    #[arg(long, value_name = "WEIGHTS")]
    pub(crate) class_weights: Option<ClassWeights>,

    /// Stop after this many epochs without a better validation accuracy, or loss where there are no classes
    #[arg(long, value_name = "EPOCHS")]
    patience: Option<usize>,

    /// Train without dropout
    #[arg(long)]
    no_dropout: bool,

    /// Most tokens at a time; a step of more is taken in parts, with the same result [default: 512]
    #[arg(long, value_name = "TOKENS")]
    batch_tokens: Option<usize>,

    /// The most memory to take, as in 900MB: fewer tokens at a time, blocks that are computed twice and less
    /// that is kept make it fit [default: whatever it takes]
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    memory: Option<u64>,

    /// The most to keep of what frozen layers give, in memory (up to train.cache_memory) and then in a file
    /// beside the output; 0 computes it again in every epoch [default: 4GB]
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    cache_limit: Option<u64>,

    /// Decides the split, initial values, the order of rows, and dropout [default: 0]
    #[arg(long)]
    pub(crate) seed: Option<u64>,
}

impl SizeFlags {
    pub(super) fn change(&self, recipe: &mut Recipe) -> Result<()> {
        let sizes =
            [("rank", self.rank), ("tokens", self.tokens), ("width", self.width), ("layers", self.layers)];
        for (key, size) in sizes {
            let Some(size) = size else { continue };
            recipe.set(&format!("method.{key}={size}")).map_err(|_| {
                let names: Vec<&str> = recipe.methods.iter().map(|method| method.info().name).collect();
                Usage(format!(
                    "--{key}: {} has no such setting; see `offshoot methods NAME`",
                    names.join(", ")
                ))
            })?;
        }
        Ok(())
    }
}

impl TrainFlags {
    pub(super) fn change(&self, train: &mut TrainSettings) {
        change(&mut train.epochs, self.epochs.as_ref());
        change(&mut train.batch, self.batch.as_ref());
        change(&mut train.schedule, self.schedule.as_ref());
        change(&mut train.warmup, self.warmup.as_ref());
        change(&mut train.weight_decay, self.weight_decay.as_ref());
        change(&mut train.clip, self.clip.as_ref());
        change(&mut train.label_smoothing, self.label_smoothing.as_ref());
        change(&mut train.seed, self.seed.as_ref());
        change(&mut train.cache_limit, self.cache_limit.as_ref());
        change(&mut train.batch_tokens, self.batch_tokens.as_ref());
        train.memory = self.memory.or(train.memory);
        train.lr = self.lr.or(train.lr);
        train.class_weights = self.class_weights.clone().or(train.class_weights.take());
        train.patience = self.patience.or(train.patience);
        train.dropout &= !self.no_dropout;
    }
}

fn schedule() -> impl TypedValueParser<Value = Schedule> {
    PossibleValuesParser::new(["linear", "cosine", "constant"])
        .try_map(|name| serde_json::from_value::<Schedule>(name.into()))
}
