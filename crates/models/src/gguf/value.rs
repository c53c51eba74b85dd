//! Values of metadata, read where they lie.

use std::borrow::Cow;

use super::bytes::Bytes;

/// The type of a value, or of an array's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Kind {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    Text,
    Array,
    U64,
    I64,
    F64,
}

impl Kind {
    /// In the order of their tags.
    const ALL: [Self; 13] = [
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::F32,
        Self::Bool,
        Self::Text,
        Self::Array,
        Self::U64,
        Self::I64,
        Self::F64,
    ];

    pub(super) fn of(tag: u32) -> Option<Self> {
        Self::ALL.get(usize::try_from(tag).ok()?).copied()
    }

    pub(super) fn tag(self) -> u32 {
        Self::ALL.iter().zip(0..).find(|(kind, _)| **kind == self).map_or(0, |(_, tag)| tag)
    }

    /// Bytes of a value, or of the shortest one.
    pub(super) fn least_bytes(self) -> u64 {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 | Self::Text => 8,
            Self::Array => 12,
        }
    }
}

/// One value of metadata.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Value<'a> {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    Text(Cow<'a, str>),
    Array(Array<'a>),
    U64(u64),
    I64(i64),
    F64(f64),
}

/// An array: its elements are decoded when asked for, so a vocabulary costs nothing until it is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Array<'a> {
    kind: Kind,
    count: usize,
    bytes: Cow<'a, [u8]>,
}

impl<'a> Array<'a> {
    /// An array of texts.
    pub fn texts<T: AsRef<str>>(texts: &[T]) -> Self {
        let bytes = texts.iter().flat_map(|text| text_bytes(text.as_ref())).collect::<Vec<_>>();
        Self { kind: Kind::Text, count: texts.len(), bytes: bytes.into() }
    }

    /// An array of 32-bit integers.
    pub fn i32s(values: &[i32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
        Self { kind: Kind::I32, count: values.len(), bytes: bytes.into() }
    }

    /// An array of 32-bit floats.
    pub fn f32s(values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
        Self { kind: Kind::F32, count: values.len(), bytes: bytes.into() }
    }

    /// The type of its elements.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The number of its elements.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Its elements in order.
    pub fn iter(&self) -> impl Iterator<Item = Value<'_>> {
        let mut rest = Bytes::at(&self.bytes, 0);
        (0..self.count).map_while(move |_| Value::decode(&mut rest, self.kind).ok())
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.kind.tag().to_le_bytes());
        out.extend((self.count as u64).to_le_bytes());
        out.extend_from_slice(&self.bytes);
    }
}

impl<'a> Value<'a> {
    /// Its type.
    pub fn kind(&self) -> Kind {
        match self {
            Self::U8(_) => Kind::U8,
            Self::I8(_) => Kind::I8,
            Self::U16(_) => Kind::U16,
            Self::I16(_) => Kind::I16,
            Self::U32(_) => Kind::U32,
            Self::I32(_) => Kind::I32,
            Self::F32(_) => Kind::F32,
            Self::Bool(_) => Kind::Bool,
            Self::Text(_) => Kind::Text,
            Self::Array(_) => Kind::Array,
            Self::U64(_) => Kind::U64,
            Self::I64(_) => Kind::I64,
            Self::F64(_) => Kind::F64,
        }
    }

    /// A whole number that is not negative, of any integer type.
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Self::U8(x) => Some(x.into()),
            Self::U16(x) => Some(x.into()),
            Self::U32(x) => Some(x.into()),
            Self::U64(x) => Some(x),
            Self::I8(x) => x.try_into().ok(),
            Self::I16(x) => x.try_into().ok(),
            Self::I32(x) => x.try_into().ok(),
            Self::I64(x) => x.try_into().ok(),
            _ => None,
        }
    }

    /// A float as it is, of either type.
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Self::F32(x) => Some(x.into()),
            Self::F64(x) => Some(x),
            _ => None,
        }
    }

    /// A text.
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// A truth value.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(*value) } else { None }
    }

    /// An array.
    pub fn as_array(&self) -> Option<&Array<'a>> {
        if let Self::Array(array) = self { Some(array) } else { None }
    }

    /// The value of a kind at a cursor.
    pub(super) fn decode(bytes: &mut Bytes<'a>, kind: Kind) -> Result<Self, String> {
        const WHAT: &str = "a value";
        Ok(match kind {
            Kind::U8 => Self::U8(u8::from_le_bytes(bytes.array(WHAT)?)),
            Kind::I8 => Self::I8(i8::from_le_bytes(bytes.array(WHAT)?)),
            Kind::U16 => Self::U16(u16::from_le_bytes(bytes.array(WHAT)?)),
            Kind::I16 => Self::I16(i16::from_le_bytes(bytes.array(WHAT)?)),
            Kind::U32 => Self::U32(u32::from_le_bytes(bytes.array(WHAT)?)),
            Kind::I32 => Self::I32(i32::from_le_bytes(bytes.array(WHAT)?)),
            Kind::F32 => Self::F32(f32::from_le_bytes(bytes.array(WHAT)?)),
            Kind::U64 => Self::U64(u64::from_le_bytes(bytes.array(WHAT)?)),
            Kind::I64 => Self::I64(i64::from_le_bytes(bytes.array(WHAT)?)),
            Kind::F64 => Self::F64(f64::from_le_bytes(bytes.array(WHAT)?)),
            Kind::Bool => Self::Bool(bytes.array::<1>(WHAT)? != [0]),
            Kind::Text => Self::Text(bytes.text(WHAT)?.into()),
            Kind::Array => Self::Array(Array::decode(bytes)?),
        })
    }

    /// Its bytes, without the tag of its type.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::U8(x) => out.push(*x),
            Self::I8(x) => out.extend(x.to_le_bytes()),
            Self::U16(x) => out.extend(x.to_le_bytes()),
            Self::I16(x) => out.extend(x.to_le_bytes()),
            Self::U32(x) => out.extend(x.to_le_bytes()),
            Self::I32(x) => out.extend(x.to_le_bytes()),
            Self::F32(x) => out.extend(x.to_le_bytes()),
            Self::Bool(x) => out.push(u8::from(*x)),
            Self::Text(x) => out.extend(text_bytes(x)),
            Self::Array(x) => x.write(out),
            Self::U64(x) => out.extend(x.to_le_bytes()),
            Self::I64(x) => out.extend(x.to_le_bytes()),
            Self::F64(x) => out.extend(x.to_le_bytes()),
        }
    }
}

impl<'a> Array<'a> {
    fn decode(bytes: &mut Bytes<'a>) -> Result<Self, String> {
        const WHAT: &str = "an array";
        let (kind, count) = (bytes.kind(WHAT)?, bytes.u64(WHAT)?);
        let (start, mut rest) = (*bytes, *bytes);
        rest.skip_elements(kind, count, WHAT, 1)?;
        let length = rest.position() - start.position();
        let elements = bytes.take(length as u64, WHAT)?;
        Ok(Self { kind, count: usize::try_from(count).unwrap_or(0), bytes: elements.into() })
    }
}

/// A text as the format stores it: its length, then its bytes.
pub(super) fn text_bytes(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes
}
