//! A backbone's or a head's tensor: frozen, in f32 or quantised, unless a method moved it into [`Params`].

use crate::{ParamId, Params, Quantized, Result, Tensor};

/// Where in a model a weight stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Token, position and type tables and their norm.
    Embeddings,
    /// The transformer block of this index, from 0.
    Block(usize),
    /// The norm after the last block, in families that have one.
    FinalNorm,
    /// BERT's pooler.
    Pooler,
    /// The task's head.
    Head,
}

/// What a weight is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The matrix of a projection, `[out, in]`.
    Matrix,
    /// The bias of a projection, `[out]`.
    Bias,
    /// A lookup table, `[rows, d]`.
    Table,
    /// The scale of a norm, `[d]`.
    NormWeight,
    /// The shift of a norm, `[d]`.
    NormBias,
}

/// Where a weight stands and what it is: methods choose by this, never by a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The part of the model.
    pub part: Part,
    /// The role of the tensor there.
    pub kind: Kind,
}

/// One named tensor of a model. Frozen is a state of its type: a frozen weight has no gradient to ask for.
#[derive(Clone)]
pub struct Weight {
    name: String,
    place: Place,
    shape: Vec<usize>,
    state: State,
}

#[derive(Clone)]
enum State {
    Frozen(Tensor),
    Quantized(Quantized),
    Trainable(ParamId),
}

impl Weight {
    /// A frozen weight under its name in checkpoint files.
    pub fn frozen(name: impl Into<String>, place: Place, value: Tensor) -> Self {
        let shape = value.shape().to_vec();
        Self { name: name.into(), place, shape, state: State::Frozen(value.detach()) }
    }

    /// A frozen matrix or table that stays in the blocks of its file.
    pub fn quantized(name: impl Into<String>, place: Place, value: Quantized) -> Self {
        Self { name: name.into(), place, shape: value.shape().to_vec(), state: State::Quantized(value) }
    }

    /// The name in checkpoint files.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it stands and what it is.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The sizes of the axes, in any state.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of values, in any state.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// The handle, if it is trained.
    pub fn param(&self) -> Option<ParamId> {
        match &self.state {
            State::Frozen(_) | State::Quantized(_) => None,
            State::Trainable(id) => Some(*id),
        }
    }

    /// Moves the weight into `params`, to be trained; a quantised one in f32 from then on. Does nothing if it is trained already.
    ///
    /// # Errors
    /// [`Error::DuplicateParam`](crate::Error::DuplicateParam) if another parameter has its name.
    pub fn train(&mut self, params: &mut Params) -> Result<()> {
        let value = match &self.state {
            State::Frozen(value) => value.clone(),
            State::Quantized(blocks) => blocks.dequantize(),
            State::Trainable(_) => return Ok(()),
        };
        self.state = State::Trainable(params.insert(self.name.clone(), value)?);
        Ok(())
    }

    /// Packs it for products in bf16, if it is a frozen matrix in a file: see [`Quantized::pack`].
    pub fn pack(&mut self) {
        if let (State::Quantized(blocks), Kind::Matrix) = (&mut self.state, self.place.kind) {
            blocks.pack();
        }
    }

    /// The value, untracked; a quantised weight's is unpacked whole, a trained weight's is looked up in `params`.
    pub fn value(&self, params: &Params) -> Tensor {
        match &self.state {
            State::Frozen(value) => value.clone(),
            State::Quantized(blocks) => blocks.dequantize(),
            State::Trainable(id) => params.get(*id).value().clone(),
        }
    }

    /// The frozen value, if it is frozen in f32.
    pub fn frozen_value(&self) -> Option<&Tensor> {
        match &self.state {
            State::Frozen(value) => Some(value),
            State::Quantized(_) | State::Trainable(_) => None,
        }
    }

    /// The frozen value, if it is quantised.
    pub fn blocks(&self) -> Option<&Quantized> {
        match &self.state {
            State::Quantized(blocks) => Some(blocks),
            State::Frozen(_) | State::Trainable(_) => None,
        }
    }
}
