//! What a pickle builds: plain data in a heap, so that values may share and contain one another without
//! anything being copied, and without anything that could recurse.

use std::collections::BTreeMap;

use super::globals::Global;
use crate::weights::dtype::Dtype;

/// A value; cheap to copy, whatever it stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// Python's `None`.
    None,
    Bool(bool),
    Int(i64),
    /// Data that no name or size can be: a float, bytes, a number of more than 64 bits, a device.
    Opaque,
    Text(&'a str),
    Global(Global),
    /// A place in the heap.
    Object(usize),
}

/// What lies in the heap.
#[derive(Debug)]
pub(super) enum Object<'a> {
    Tuple(Vec<Value<'a>>),
    List(Vec<Value<'a>>),
    /// Keys and values in the file's order.
    Dict(Vec<(Value<'a>, Value<'a>)>),
    Storage(Box<Storage<'a>>),
    Tensor(Box<Tensor<'a>>),
}

/// A run of elements somewhere else in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Storage<'a> {
    /// How the file finds it.
    pub(super) key: &'a str,
    pub(super) dtype: Dtype,
    pub(super) elements: usize,
}

/// A view of a storage.
#[derive(Clone, Debug)]
pub(super) struct Tensor<'a> {
    pub(super) key: &'a str,
    /// Of one element of the view.
    pub(super) dtype: Dtype,
    /// The first element, counted in elements.
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    /// Elements from one index of an axis to the next.
    pub(super) strides: Vec<usize>,
}

/// Everything that a pickle has built so far.
#[derive(Debug, Default)]
pub(super) struct Heap<'a> {
    objects: Vec<Object<'a>>,
    /// Every storage that was named, by its key.
    pub(super) storages: BTreeMap<&'a str, Storage<'a>>,
}

impl<'a> Heap<'a> {
    /// Puts an object into the heap.
    pub(super) fn add(&mut self, object: Object<'a>) -> Value<'a> {
        self.objects.push(object);
        Value::Object(self.objects.len() - 1)
    }

    /// The object that a value stands for, if it is one.
    pub(super) fn get(&self, value: Value<'a>) -> Option<&Object<'a>> {
        match value {
            Value::Object(place) => self.objects.get(place),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, value: Value<'a>) -> Option<&mut Object<'a>> {
        match value {
            Value::Object(place) => self.objects.get_mut(place),
            _ => None,
        }
    }

    /// The items of a tuple.
    pub(super) fn tuple(&self, value: Value<'a>) -> Option<&[Value<'a>]> {
        match self.get(value)? {
            Object::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// The entries of a dictionary.
    pub(super) fn dict(&self, value: Value<'a>) -> Option<&[(Value<'a>, Value<'a>)]> {
        match self.get(value)? {
            Object::Dict(entries) => Some(entries),
            _ => None,
        }
    }

    /// A tensor.
    pub(super) fn tensor(&self, value: Value<'a>) -> Option<&Tensor<'a>> {
        match self.get(value)? {
            Object::Tensor(tensor) => Some(tensor),
            _ => None,
        }
    }
}
