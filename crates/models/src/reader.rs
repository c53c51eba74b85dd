//! Reading a model's layers out of a checkpoint, under the names that its family gives them.

use crate::Result;
use crate::weights::Take;
use offshoot_core::nn::{Embedding, LayerNorm, Linear, RmsNorm};
use offshoot_core::{Device, Kind, Part, Place, Weight};

/// Takes layers by their path below the family's prefix (`model` in `model.layers.0...`).
pub(crate) struct Reader<'a, 'c> {
    pub(crate) prefix: &'static str,
    pub(crate) take: &'a mut Take<'c>,
    pub(crate) device: &'a Device,
}

impl Reader<'_, '_> {
    /// A weight of the bare model.
    pub(crate) fn weight(&mut self, name: &str, place: Place, shape: &[usize]) -> Result<Weight> {
        let full = format!("{}.{name}", self.prefix);
        self.take.weight((name, full), place, shape, self.device)
    }

    /// A weight that stands beside the bare model, such as an output head.
    pub(crate) fn outside(&mut self, name: &str, place: Place, shape: &[usize]) -> Result<Weight> {
        self.take.weight((name, name.to_owned()), place, shape, self.device)
    }

    /// A lookup table `[rows, cols]`.
    pub(crate) fn table(&mut self, path: &str, rows: usize, cols: usize) -> Result<Embedding> {
        let place = Place { part: Part::Embeddings, kind: Kind::Table };
        Ok(Embedding { table: self.weight(&format!("{path}.weight"), place, &[rows, cols])? })
    }

    /// A projection with its weight `[out, in]`.
    pub(crate) fn linear(
        &mut self,
        path: &str,
        part: Part,
        (inputs, outputs): (usize, usize),
        bias: bool,
    ) -> Result<Linear> {
        let weight = self.weight(&weight(path), Place { part, kind: Kind::Matrix }, &[outputs, inputs])?;
        let bias = if bias { Some(self.bias(path, part, outputs)?) } else { None };
        Ok(Linear { weight, bias, inputs, outputs, input_major: false })
    }

    /// A projection with a bias and its weight `[in, out]`, which GPT-2's files call a convolution.
    pub(crate) fn conv1d(
        &mut self,
        path: &str,
        part: Part,
        (inputs, outputs): (usize, usize),
    ) -> Result<Linear> {
        let (name, place) = (weight(path), Place { part, kind: Kind::Matrix });
        let full = format!("{}.{name}", self.prefix);
        let (weight, input_major) = self.take.conv1d((&name, full), place, [inputs, outputs], self.device)?;
        let bias = Some(self.bias(path, part, outputs)?);
        Ok(Linear { weight, bias, inputs, outputs, input_major })
    }

    fn bias(&mut self, path: &str, part: Part, outputs: usize) -> Result<Weight> {
        self.weight(&format!("{path}.bias"), Place { part, kind: Kind::Bias }, &[outputs])
    }

    /// A layer norm over `width` columns.
    pub(crate) fn layer_norm(
        &mut self,
        path: &str,
        part: Part,
        (width, eps): (usize, f32),
    ) -> Result<LayerNorm> {
        let place = |kind| Place { part, kind };
        let weight = self.weight(&weight(path), place(Kind::NormWeight), &[width])?;
        let bias = self.weight(&format!("{path}.bias"), place(Kind::NormBias), &[width])?;
        Ok(LayerNorm { weight, bias, eps })
    }

    /// A root-mean-square norm over `width` columns, whose scale is its weight plus `offset`.
    pub(crate) fn rms_norm(
        &mut self,
        path: &str,
        part: Part,
        width: usize,
        (eps, offset): (f32, f32),
    ) -> Result<RmsNorm> {
        let place = Place { part, kind: Kind::NormWeight };
        Ok(RmsNorm { weight: self.weight(&weight(path), place, &[width])?, eps, offset })
    }
}

fn weight(path: &str) -> String {
    format!("{path}.weight")
}
