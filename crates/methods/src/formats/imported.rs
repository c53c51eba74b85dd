//! An adapter that was read, on its way into parameters.

use super::{Tensors, listed};
use crate::MethodConfig;
use offshoot_core::{Error, Params, Result};

/// An adapter that was read: build `method`, register the task's head, then [`load_into`](Self::load_into)
/// its parameters.
///
/// Files of AdapterHub may hold no head ([`head`](Self::head) is empty then). To train on from such an
/// adapter with a new head, load before the head is registered.
#[derive(Debug)]
pub struct Imported {
    /// The method and its settings.
    pub method: MethodConfig,
    /// The method's values by parameter name.
    pub values: Tensors,
    /// The task head's values by checkpoint name, such as `classifier.weight`. Empty if the files hold none.
    pub head: Tensors,
    /// What a person should know about how the files were read.
    pub notes: Vec<String>,
}

impl Imported {
    /// Writes the values into the parameters that the method and the head registered.
    ///
    /// # Errors
    /// If a parameter is missing, a tensor unexpected or a shape different: the message names all of them,
    /// and nothing is written.
    pub fn load_into(&self, params: &mut Params) -> Result<()> {
        let problems = [self.missing(params), self.unexpected(params), self.misshapen(params)];
        let problems: Vec<_> = problems.into_iter().flatten().collect();
        if !problems.is_empty() {
            return Err(Error::invalid(format!(
                "the adapter's tensors do not fit {} on this model: {}",
                self.method.info().name,
                problems.join("; ")
            )));
        }
        for param in params.iter_mut() {
            let values = self.find(param.name()).map(|(_, values)| values);
            values.map_or(Ok(()), |values| param.set(values))?;
        }
        Ok(())
    }

    fn find(&self, name: &str) -> Option<&(Vec<usize>, Vec<f32>)> {
        self.values.get(name).or_else(|| self.head.get(name))
    }

    fn missing(&self, params: &Params) -> Option<String> {
        section("missing", params.iter().map(|p| p.name()).filter(|name| self.find(name).is_none()))
    }

    fn unexpected(&self, params: &Params) -> Option<String> {
        let names = self.values.keys().chain(self.head.keys()).map(String::as_str);
        section("unexpected", names.filter(|name| params.find(name).is_none()))
    }

    fn misshapen(&self, params: &Params) -> Option<String> {
        let wrong = params.iter().filter_map(|param| {
            let (shape, values) = self.find(param.name())?;
            let asked = param.value().shape();
            let fits = shape == asked && values.len() == param.value().len();
            (!fits).then(|| format!("{} is {shape:?} and should be {asked:?}", param.name()))
        });
        let wrong: Vec<_> = wrong.collect();
        section("of another shape", wrong.iter().map(String::as_str))
    }
}

fn section<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let names = listed(names);
    (!names.is_empty()).then(|| format!("{what}: {names}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head;
    use offshoot_core::{Device, Tensor};

    #[test]
    fn all_that_does_not_fit_is_named_and_nothing_is_written() {
        let mut params = Params::new();
        for name in ["there", "absent", "shaped"] {
            params.insert(name, Tensor::zeros(&Device::cpu(), &[2])).unwrap();
        }
        let value = |shape: &[usize]| (shape.to_vec(), vec![1.0; shape.iter().product()]);
        let values = [("there", &[2][..]), ("shaped", &[2, 1]), ("more", &[3])];
        let values = values.map(|(name, shape)| (name.to_string(), value(shape))).into();
        let method = MethodConfig::Head(head::Config::default());
        let imported = Imported { method, values, head: Tensors::new(), notes: Vec::new() };
        let message = imported.load_into(&mut params).unwrap_err().to_string();
        assert!(
            message.contains("missing: absent; unexpected: more; of another shape: shaped is [2, 1]"),
            "{message}"
        );
        assert!(params.iter().all(|param| param.value().to_vec() == [0.0, 0.0]));
    }

    #[test]
    fn a_long_list_is_cut() {
        let names: Vec<_> = (0..20).map(|i| format!("t{i}")).collect();
        assert!(listed(names.iter().map(String::as_str)).ends_with("t7 and 12 more"));
    }
}
