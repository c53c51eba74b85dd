//! The engine: tensors, the tape, the contract between frozen backbones and fine-tuning methods.
//!
//! Three ideas hold it together.
//!
//! - A [`Tensor`] is a pooled buffer, a shape and, only if it needs a gradient, a place on the [`Tape`].
//! - What is trained lives in [`Params`] and nowhere else; a backbone's [`Weight`] is frozen unless a method
//!   moved it there.
//! - The adapter is an argument of the forward pass: a [`Backbone`] calls the hooks of [`Adapter`] through a
//!   [`Pass`].
//!
//! Activations are packed: `[n, d]` with one row per token and no padding. Shapes in comments use `n` rows,
//! `d` hidden, `s` sequences, `h` query heads, `g` key/value heads, `e` head size, `p` virtual tokens, `c`
//! classes.

mod adapter;
mod backbone;
mod batch;
mod buffer;
mod cache;
mod device;
mod error;
mod guard;
mod known;
mod logits;
mod merge;
pub mod nn;
mod ops;
pub mod optim;
mod params;
mod pass;
mod quantized;
mod recompute;
mod rng;
mod rotation;
mod step;
mod tape;
mod tensor;
mod weight;

pub use adapter::{Adapter, Addition, KeyValue, NoAdapter, ProjectKv, Site, Slot, Sublayer};
pub use backbone::{Backbone, Shape, forward};
pub use batch::{Batch, Layout};
pub use cache::KvCache;
pub use device::{Device, PoolStats};
pub use error::{Error, Result};
pub use guard::{guarded, is_guarded};
pub use known::{Known, frozen_blocks, lowest_blocks};
pub use logits::logits_bytes;
pub use merge::{Merge, scale_rows};
pub use offshoot_kernels::activation::Activation;
pub use offshoot_kernels::attention::{Heads, Mask, Span};
pub use offshoot_kernels::gemm::Arithmetic;
pub use offshoot_kernels::memory::return_large;
pub use offshoot_kernels::profile;
pub use offshoot_kernels::quant::Format;
pub use ops::{
    AttentionDropout, OutputHead, concat_rows, cross_entropy, linear_cross_entropy, weighted_cross_entropy,
};
pub use params::{Param, ParamId, Params};
pub use pass::{AttentionSite, Context, Member, Mode, Pass};
pub use quantized::{Quantized, SharedBytes, dequantize};
pub use recompute::backward;
pub use rng::Rng;
pub use rotation::Rotation;
pub use step::{Counter, Step};
pub use tape::Tape;
pub use tensor::Tensor;
pub use weight::{Kind, Part, Place, Weight};
