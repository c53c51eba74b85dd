//! From the value that a torch file holds to named tensors.

use std::collections::{BTreeMap, BTreeSet};

use super::machine::Pickle;
use super::value::{Tensor, Value};

/// The tensors of a dictionary by name. Where an entry is a dictionary itself (`{"model": {...}}`), its
/// tensors count under their own names; what lies deeper (an optimizer's state) and what is no tensor (an
/// epoch's number) is left.
///
/// # Errors
/// A sentence: no dictionary, no tensor in it, or one name twice.
pub(super) fn tensors<'p, 'a>(pickle: &'p Pickle<'a>) -> Result<BTreeMap<&'a str, &'p Tensor<'a>>, String> {
    let Some(entries) = pickle.heap.dict(pickle.root) else {
        return Err("it holds no dictionary of tensors by name, so these are no weights".into());
    };
    let mut found = BTreeMap::new();
    collect(pickle, entries, &mut found)?;
    let mut visited = BTreeSet::new();
    for (_, value) in entries {
        let Value::Object(place) = value else { continue };
        // Once each: a file may name one dictionary any number of times.
        if visited.insert(*place)
            && let Some(inner) = pickle.heap.dict(*value)
        {
            collect(pickle, inner, &mut found)?;
        }
    }
    match found.is_empty() {
        true => Err("there is no tensor in its dictionary, so these are no weights".into()),
        false => Ok(found),
    }
}

fn collect<'p, 'a>(
    pickle: &'p Pickle<'a>,
    entries: &[(Value<'a>, Value<'a>)],
    found: &mut BTreeMap<&'a str, &'p Tensor<'a>>,
) -> Result<(), String> {
    for (key, value) in entries {
        let Some(tensor) = pickle.heap.tensor(*value) else { continue };
        let Value::Text(name) = key else {
            return Err("a tensor in it has no name but a number, so these are no weights".into());
        };
        if found.insert(name, tensor).is_some() {
            return Err(format!("tensor `{name}` is there twice; save one of them alone"));
        }
    }
    Ok(())
}
