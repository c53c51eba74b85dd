//! A backbone's or a head's tensor: frozen, unless a method moved it into [`Params`].

use crate::{ParamId, Params, Result, Tensor};

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
    state: State,
}

#[derive(Clone)]
enum State {
    Frozen(Tensor),
    Trainable(ParamId),
}

impl Weight {
    /// A frozen weight under its name in checkpoint files.
    pub fn frozen(name: impl Into<String>, place: Place, value: Tensor) -> Self {
        Self { name: name.into(), place, state: State::Frozen(value.detach()) }
    }

    /// The name in checkpoint files.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it stands and what it is.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The handle, if it is trained.
    pub fn param(&self) -> Option<ParamId> {
        match &self.state {
            State::Frozen(_) => None,
            State::Trainable(id) => Some(*id),
        }
    }

    /// Moves the weight into `params`, to be trained. Does nothing if it is trained already.
    ///
    /// # Errors
    /// [`Error::DuplicateParam`](crate::Error::DuplicateParam) if another parameter has its name.
    pub fn train(&mut self, params: &mut Params) -> Result<()> {
        if let State::Frozen(value) = &self.state {
            self.state = State::Trainable(params.insert(self.name.clone(), value.clone())?);
        }
        Ok(())
    }

    /// The value, untracked; a trained weight's is looked up in `params`.
    pub fn value(&self, params: &Params) -> Tensor {
        match &self.state {
            State::Frozen(value) => value.clone(),
            State::Trainable(id) => params.get(*id).value().clone(),
        }
    }

    /// The frozen value, if it is frozen.
    pub fn frozen_value(&self) -> Option<&Tensor> {
        match &self.state {
            State::Frozen(value) => Some(value),
            State::Trainable(_) => None,
        }
    }
}
