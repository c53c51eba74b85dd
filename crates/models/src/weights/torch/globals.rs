//! The names that a pickle may ask for, and what is built where Python would call them. Nothing is ever run:
//! each of them stands for a piece of data.

use super::value::{Heap, Object, Storage, Tensor, Value};
use crate::weights::dtype::Dtype;

/// The most axes of a tensor; torch's own operations stop there.
const MOST_AXES: usize = 64;

/// A name on the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    /// `collections.OrderedDict`, which is a dictionary here.
    OrderedDict,
    /// `torch._utils._rebuild_tensor`, without gradient and hooks.
    Tensor,
    /// `torch._utils._rebuild_tensor_v2`.
    TensorV2,
    /// `torch._utils._rebuild_tensor_v3`, for types that have no storage of their own.
    TensorV3,
    /// `torch._utils._rebuild_parameter`, which is its tensor here.
    Parameter,
    /// `torch.Size`, which is a tuple here.
    Size,
    /// `torch.device`, which says nothing here.
    Device,
    /// `torch.FloatStorage` and its like: elements of this type.
    Storage(Dtype),
    /// `torch.float32` and its like.
    Element(Dtype),
}

/// Names in the module `torch`, and the type as safetensors names it.
const STORAGES: [(&str, &str); 11] = [
    ("DoubleStorage", "F64"),
    ("FloatStorage", "F32"),
    ("HalfStorage", "F16"),
    ("BFloat16Storage", "BF16"),
    ("LongStorage", "I64"),
    ("IntStorage", "I32"),
    ("ShortStorage", "I16"),
    ("CharStorage", "I8"),
    ("ByteStorage", "U8"),
    ("BoolStorage", "BOOL"),
    ("ComplexFloatStorage", "C64"),
];

/// The same of element types.
const ELEMENTS: [(&str, &str); 17] = [
    ("float64", "F64"),
    ("float32", "F32"),
    ("float16", "F16"),
    ("bfloat16", "BF16"),
    ("int64", "I64"),
    ("int32", "I32"),
    ("int16", "I16"),
    ("int8", "I8"),
    ("uint64", "U64"),
    ("uint32", "U32"),
    ("uint16", "U16"),
    ("uint8", "U8"),
    ("bool", "BOOL"),
    ("complex64", "C64"),
    ("float8_e4m3fn", "F8_E4M3"),
    ("float8_e5m2", "F8_E5M2"),
    ("float8_e4m3fnuz", "F8_E4M3FNUZ"),
];

impl Global {
    /// The global of this name, if it is on the list.
    pub(super) fn find(module: &str, name: &str) -> Option<Self> {
        match (module, name) {
            ("collections", "OrderedDict") => Some(Self::OrderedDict),
            ("torch._utils", "_rebuild_tensor") => Some(Self::Tensor),
            ("torch._utils", "_rebuild_tensor_v2") => Some(Self::TensorV2),
            ("torch._utils", "_rebuild_tensor_v3") => Some(Self::TensorV3),
            ("torch._utils", "_rebuild_parameter") => Some(Self::Parameter),
            ("torch", "Size") => Some(Self::Size),
            ("torch", "device") => Some(Self::Device),
            ("torch.storage", "UntypedStorage") => Dtype::parse("U8").map(Self::Storage),
            ("torch", name) => {
                let storage = listed(&STORAGES, name).map(Self::Storage);
                storage.or_else(|| listed(&ELEMENTS, name).map(Self::Element))
            }
            _ => None,
        }
    }

    /// What stands where Python would call it with these arguments; none if they do not fit.
    pub(super) fn call<'a>(self, arguments: &[Value<'a>], heap: &mut Heap<'a>) -> Option<Value<'a>> {
        match (self, arguments) {
            (Self::OrderedDict, []) => Some(heap.add(Object::Dict(Vec::new()))),
            (Self::Tensor, [storage, offset, shape, strides]) => {
                tensor(heap, [*storage, *offset, *shape, *strides], None)
            }
            (Self::TensorV2, [storage, offset, shape, strides, _gradient, _hooks, rest @ ..])
                if no_metadata(rest, heap) =>
            {
                tensor(heap, [*storage, *offset, *shape, *strides], None)
            }
            (
                Self::TensorV3,
                [storage, offset, shape, strides, _gradient, _hooks, Value::Global(kind), rest @ ..],
            ) if no_metadata(rest, heap) => {
                let Self::Element(dtype) = kind else { return None };
                tensor(heap, [*storage, *offset, *shape, *strides], Some(*dtype))
            }
            (Self::Parameter, [data, _gradient, _hooks]) => heap.tensor(*data).map(|_| *data),
            (Self::Size, [sizes]) => heap.tuple(*sizes).map(|_| *sizes),
            (Self::Device, [_, ..]) => Some(Value::Opaque),
            _ => None,
        }
    }
}

fn listed(list: &[(&str, &str)], name: &str) -> Option<Dtype> {
    let (_, dtype) = list.iter().find(|(known, _)| *known == name)?;
    Dtype::parse(dtype)
}

/// The last argument of the newer forms may say that the values are to be negated or conjugated when read.
fn no_metadata<'a>(rest: &[Value<'a>], heap: &Heap<'a>) -> bool {
    match rest {
        [] | [Value::None] => true,
        [metadata] => heap.dict(*metadata).is_some_and(<[_]>::is_empty),
        _ => false,
    }
}

/// A view `[storage, offset, shape, strides]`; its type is the storage's, or `dtype` over plain bytes.
fn tensor<'a>(heap: &mut Heap<'a>, view: [Value<'a>; 4], dtype: Option<Dtype>) -> Option<Value<'a>> {
    let [storage, offset, shape, strides] = view;
    let Object::Storage(storage) = heap.get(storage)? else { return None };
    let (key, dtype) = (storage.key, dtype.unwrap_or(storage.dtype));
    let (shape, strides) = (counts(heap, shape)?, counts(heap, strides)?);
    if shape.len() != strides.len() {
        return None;
    }
    let tensor = Tensor { key, dtype, offset: count(offset)?, shape, strides };
    Some(heap.add(Object::Tensor(Box::new(tensor))))
}

/// A tuple of sizes.
fn counts<'a>(heap: &Heap<'a>, tuple: Value<'a>) -> Option<Vec<usize>> {
    let sizes = heap.tuple(tuple).filter(|sizes| sizes.len() <= MOST_AXES)?;
    sizes.iter().map(|size| count(*size)).collect()
}

fn count(value: Value<'_>) -> Option<usize> {
    match value {
        Value::Int(number) => usize::try_from(number).ok(),
        _ => None,
    }
}

/// What a persistent id stands for: `("storage", type, key, location, elements)`, in old files with a sixth
/// part that must be none; none if it is something else, or another storage has this key.
pub(super) fn storage<'a>(heap: &mut Heap<'a>, id: Value<'a>) -> Option<Value<'a>> {
    let (Value::Global(Global::Storage(dtype)), Value::Text(key), elements) = (match heap.tuple(id)? {
        [Value::Text("storage"), kind, key, Value::Text(_), elements]
        | [Value::Text("storage"), kind, key, Value::Text(_), elements, Value::None] => {
            (*kind, *key, count(*elements)?)
        }
        _ => return None,
    }) else {
        return None;
    };
    let storage = Storage { key, dtype, elements };
    let known = heap.storages.entry(key).or_insert(storage);
    if *known != storage {
        return None;
    }
    Some(heap.add(Object::Storage(Box::new(storage))))
}
