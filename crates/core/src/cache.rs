//! Keys and values of sequences that are being continued.

use crate::{Error, Result, Span, Tensor};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The keys and values of up to `slots` sequences, `capacity` rows each, in every layer. It belongs to whoever
/// generates, and a [`Pass`](crate::Pass) that is given it appends its rows.
///
/// A slot holds everything that stands before a sequence's next row: prefix keys, virtual tokens, text. So
/// the number of its rows is the position of the next one.
pub struct KvCache {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    slots: Vec<Slot>,
    /// `[slots capacity, g e]` of each layer, allocated when the layer first has something to keep.
    layers: Vec<Option<(Tensor, Tensor)>>,
}

#[derive(Clone, Default)]
struct Slot {
    rows: usize,
    /// What the sequence's adapter prepared in its first pass.
    prepared: Vec<Tensor>,
}

/// A sequence of a pass on its way into the cache.
pub(crate) struct Append<'a> {
    pub(crate) slot: usize,
    /// Its rows in the pass.
    pub(crate) rows: Range<usize>,
    /// Keys and values that come before all others; only for a slot that is empty.
    pub(crate) prefix: Option<(&'a Tensor, &'a Tensor)>,
}

impl KvCache {
    /// An empty cache for `slots` sequences of up to `capacity` rows, virtual ones and prefixes included.
    pub fn new(slots: usize, capacity: usize) -> Self {
        let state = State { slots: vec![Slot::default(); slots], layers: Vec::new() };
        Self { capacity, state: Mutex::new(state) }
    }

    /// The number of slots.
    pub fn slots(&self) -> usize {
        self.lock().slots.len()
    }

    /// Rows that a slot can hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Rows that a slot holds: the position of the sequence's next row.
    pub fn rows(&self, slot: usize) -> usize {
        self.lock().slots.get(slot).map_or(0, |slot| slot.rows)
    }

    /// Forgets all rows of a slot from `rows` on. A slot without rows starts anew.
    pub fn truncate(&self, slot: usize, rows: usize) {
        if let Some(slot) = self.lock().slots.get_mut(slot) {
            slot.rows = slot.rows.min(rows);
            if rows == 0 {
                slot.prepared.clear();
            }
        }
    }

    pub(crate) fn prepared(&self, slot: usize) -> Vec<Tensor> {
        self.lock().slots.get(slot).map(|slot| slot.prepared.clone()).unwrap_or_default()
    }

    pub(crate) fn keep_prepared(&self, slot: usize, prepared: &[Tensor]) {
        if let Some(slot) = self.lock().slots.get_mut(slot) {
            slot.prepared = prepared.iter().map(Tensor::detach).collect();
        }
    }

    /// Checks that rows can be appended to slots.
    pub(crate) fn check(&self, appends: &[(usize, usize)]) -> Result<()> {
        let state = self.lock();
        for (index, &(slot, rows)) in appends.iter().enumerate() {
            let Some(held) = state.slots.get(slot).map(|slot| slot.rows) else {
                return Err(Error::Index { op: "cache", index: slot, rows: state.slots.len() });
            };
            if appends[..index].iter().any(|(other, _)| *other == slot) {
                return Err(Error::invalid(format!(
                    "two sequences of a pass share slot {slot} of the cache"
                )));
            }
            if held + rows > self.capacity {
                let capacity = self.capacity;
                return Err(Error::invalid(format!(
                    "a sequence of {} tokens does not fit a cache of {capacity}",
                    held + rows
                )));
            }
        }
        Ok(())
    }

    /// Writes the new keys and values `[n, g e]` of a layer behind those that are there, and gives all of
    /// them, with the rows that each sequence's queries see. [`commit`](Self::commit) makes them count.
    pub(crate) fn append(
        &self,
        layer: usize,
        appends: &[Append<'_>],
        key: &Tensor,
        value: &Tensor,
    ) -> Result<(Tensor, Tensor, Vec<Span>)> {
        let mut state = self.lock();
        let held: Vec<usize> = appends.iter().map(|a| state.slots[a.slot].rows).collect();
        let (keys, values) = state.layer(layer, self.capacity, key)?;
        let mut spans = Vec::with_capacity(appends.len());
        for (append, held) in appends.iter().zip(held) {
            let start = append.slot * self.capacity;
            let mut end = start + held;
            if let Some((key, value)) = append.prefix {
                copy_rows(keys, end, key, 0..key.rows());
                copy_rows(values, end, value, 0..value.rows());
                end += key.rows();
            }
            copy_rows(keys, end, key, append.rows.clone());
            copy_rows(values, end, value, append.rows.clone());
            spans.push(Span { queries: append.rows.clone(), keys: start..end + append.rows.len() });
        }
        Ok((keys.clone(), values.clone(), spans))
    }

    /// Counts `rows` that all layers have appended to a slot.
    pub(crate) fn commit(&self, slot: usize, rows: usize) {
        if let Some(slot) = self.lock().slots.get_mut(slot) {
            slot.rows += rows;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A layer's keys and values, for rows like those of `like` `[n, g e]`.
    fn layer(&mut self, layer: usize, capacity: usize, like: &Tensor) -> Result<(&mut Tensor, &mut Tensor)> {
        if self.layers.len() <= layer {
            self.layers.resize(layer + 1, None);
        }
        let shape = [self.slots.len() * capacity, like.cols()];
        let zeros = || (Tensor::zeros(like.device(), &shape), Tensor::zeros(like.device(), &shape));
        let (keys, values) = self.layers[layer].get_or_insert_with(zeros);
        match keys.cols() == like.cols() {
            true => Ok((keys, values)),
            false => Err(Error::Shapes { op: "cache", left: keys.shape().to_vec(), right: shape.to_vec() }),
        }
    }
}

/// Copies rows of `from` to the rows of `to` that begin at `at`.
fn copy_rows(to: &mut Tensor, at: usize, from: &Tensor, rows: Range<usize>) {
    let cols = from.cols();
    let target = at * cols..(at + rows.len()) * cols;
    to.host_mut()[target].copy_from_slice(&from.host()[rows.start * cols..rows.end * cols]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Device;

    fn rows(values: &[f32]) -> Tensor {
        Tensor::new(&Device::cpu(), &[values.len(), 1], values).unwrap()
    }

    #[test]
    fn rows_stand_behind_those_that_are_there() {
        let cache = KvCache::new(2, 4);
        let (new, prefix) = (rows(&[1.0, 2.0, 3.0]), rows(&[9.0]));
        let append = |slot, rows, prefix| Append { slot, rows, prefix };
        let first = [append(1, 0..2, Some((&prefix, &prefix))), append(0, 2..3, None)];
        let (keys, _, spans) = cache.append(0, &first, &new, &new).unwrap();
        assert_eq!(keys.to_vec(), [3.0, 0.0, 0.0, 0.0, 9.0, 1.0, 2.0, 0.0]);
        assert_eq!(spans, [Span { queries: 0..2, keys: 4..7 }, Span { queries: 2..3, keys: 0..1 }]);
        drop(keys);
        cache.commit(1, 3);
        cache.commit(0, 1);
        let next = rows(&[5.0]);
        let (keys, _, spans) = cache.append(0, &[append(1, 0..1, None)], &next, &next).unwrap();
        assert_eq!(keys.to_vec()[4..], [9.0, 1.0, 2.0, 5.0]);
        assert_eq!(spans, [Span { queries: 0..1, keys: 4..8 }]);
        assert_eq!((cache.rows(0), cache.rows(1)), (1, 3));
        cache.truncate(1, 2);
        assert_eq!(cache.rows(1), 2);
    }

    #[test]
    fn what_does_not_fit_is_refused_before_anything_is_computed() {
        let cache = KvCache::new(2, 4);
        cache.commit(1, 3);
        assert!(cache.check(&[(0, 4), (1, 1)]).is_ok());
        assert!(cache.check(&[(1, 2)]).unwrap_err().to_string().contains("5 tokens"));
        assert!(cache.check(&[(2, 1)]).is_err());
        assert!(cache.check(&[(0, 1), (0, 1)]).is_err());
    }
}
