//! The instructions of a pickle that torch writes, of the protocols 2 to 5. Others are refused by number.

use super::cursor::Cursor;
use super::value::Value;

/// One instruction with its operands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Op<'a> {
    Protocol(u8),
    /// So many bytes follow that belong together.
    Frame(u64),
    Stop,
    Mark,
    Pop,
    Push(Value<'a>),
    EmptyTuple,
    EmptyList,
    EmptyDict,
    /// A tuple of what is above the mark.
    Tuple,
    /// A tuple of so many values.
    TupleOf(usize),
    Append,
    Appends,
    SetItem,
    SetItems,
    Put(u32),
    Memoize,
    Get(u32),
    /// A module and a name in it.
    Global(&'a str, &'a str),
    StackGlobal,
    PersistentId,
    Reduce,
    Build,
}

impl<'a> Op<'a> {
    /// Reads the next instruction.
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Self, String> {
        let code = cursor.u8().ok_or(ENDS)?;
        match Self::structure(code).map_or_else(|| Self::with_operands(code, cursor), Some) {
            Some(op) => Ok(op),
            None if !known(code) => {
                Err(format!("the instruction {code:#04x} is not one of those that weights need"))
            }
            None => Err(ENDS.to_owned()),
        }
    }

    /// An instruction without operands.
    fn structure(code: u8) -> Option<Self> {
        Some(match code {
            b'.' => Self::Stop,
            b'(' => Self::Mark,
            b'0' => Self::Pop,
            b'N' => Self::Push(Value::None),
            0x88 => Self::Push(Value::Bool(true)),
            0x89 => Self::Push(Value::Bool(false)),
            b')' => Self::EmptyTuple,
            b']' => Self::EmptyList,
            b'}' => Self::EmptyDict,
            b't' => Self::Tuple,
            0x85..=0x87 => Self::TupleOf(usize::from(code - 0x84)),
            b'a' => Self::Append,
            b'e' => Self::Appends,
            b's' => Self::SetItem,
            b'u' => Self::SetItems,
            0x94 => Self::Memoize,
            0x93 => Self::StackGlobal,
            b'Q' => Self::PersistentId,
            b'R' => Self::Reduce,
            b'b' => Self::Build,
            _ => return None,
        })
    }

    /// An instruction with operands; none if they are not all there, or are no text.
    fn with_operands(code: u8, cursor: &mut Cursor<'a>) -> Option<Self> {
        Some(match code {
            0x80 => Self::Protocol(cursor.u8()?),
            0x95 => Self::Frame(cursor.u64()?),
            b'q' => Self::Put(cursor.u8()?.into()),
            b'r' => Self::Put(cursor.u32()?),
            b'h' => Self::Get(cursor.u8()?.into()),
            b'j' => Self::Get(cursor.u32()?),
            b'c' => Self::Global(line(cursor)?, line(cursor)?),
            _ => Self::Push(value(code, cursor)?),
        })
    }
}

/// The last byte of a message must not be guessed at.
const ENDS: &str =
    "it ends in the middle, or holds a text that is none; the file is damaged, download it again";

/// Whether the code is one of a known instruction with operands.
fn known(code: u8) -> bool {
    b"\x80\x95qrhjcKMJG\x8a\x8bX\x8c\x8dCB\x8e".contains(&code)
}

/// A number, a text or bytes.
fn value<'a>(code: u8, cursor: &mut Cursor<'a>) -> Option<Value<'a>> {
    Some(match code {
        b'K' => Value::Int(cursor.u8()?.into()),
        b'M' => Value::Int(cursor.u16()?.into()),
        b'J' => Value::Int(cursor.array().map(i32::from_le_bytes)?.into()),
        0x8a | 0x8b => {
            let length = length(code, cursor)?;
            integer(cursor.take(length)?)
        }
        b'X' | 0x8c | 0x8d => {
            let length = length(code, cursor)?;
            Value::Text(text(cursor.take(length)?)?)
        }
        b'G' => cursor.take(8).map(|_| Value::Opaque)?,
        b'C' | b'B' | 0x8e => {
            let length = length(code, cursor)?;
            cursor.take(length).map(|_| Value::Opaque)?
        }
        _ => return None,
    })
}

/// The length that stands before a text, bytes or a long number, in one, four or eight bytes.
fn length(code: u8, cursor: &mut Cursor<'_>) -> Option<usize> {
    match code {
        0x8c | b'C' | 0x8a => cursor.u8().map(usize::from),
        0x8d | 0x8e => cursor.u64().and_then(|length| usize::try_from(length).ok()),
        _ => cursor.u32().and_then(|length| usize::try_from(length).ok()),
    }
}

/// Two's complement of any length, lowest byte first.
fn integer<'a>(bytes: &[u8]) -> Value<'a> {
    let negative = bytes.last().is_some_and(|highest| highest & 0x80 != 0);
    let mut wide = [if negative { 0xff } else { 0 }; 8];
    match wide.get_mut(..bytes.len()) {
        Some(low) => low.copy_from_slice(bytes),
        None => return Value::Opaque,
    }
    Value::Int(i64::from_le_bytes(wide))
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn line<'a>(cursor: &mut Cursor<'a>) -> Option<&'a str> {
    text(cursor.until(b'\n')?)
}
