//! The interpreter of pickles: it builds data out of allowed instructions and allowed names, and runs nothing.
//!
//! Work is one step for each instruction, memory at most a fixed number of bytes for each byte of the pickle.
//! Values refer to one another by their place in a heap, so a pickle that repeats a value a billion times
//! makes a billion of nothing, and nesting, however deep, costs no stack of ours.

use std::collections::BTreeMap;

use super::cursor::Cursor;
use super::globals::{self, Global};
use super::opcode::Op;
use super::value::{Heap, Object, Value};

/// No model's pickle comes near it: a tensor takes about 200 bytes, its elements stand elsewhere.
const LONGEST: usize = 64 << 20;
/// About 30 of them make a tensor.
const MOST_STEPS: usize = 4 << 20;
/// Picklers empty the stack after each thousand entries of a dictionary.
const DEEPEST: usize = 1 << 16;

/// What a pickle has built.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    pub(super) heap: Heap<'a>,
    /// The one value that was left.
    pub(super) root: Value<'a>,
}

/// Interprets the pickle at the cursor, up to its end.
///
/// # Errors
/// A sentence with the place: an instruction or a name that is not on the list, or one that does not fit.
pub(super) fn interpret<'a>(cursor: &mut Cursor<'a>) -> Result<Pickle<'a>, String> {
    let mut pickle = cursor.first(LONGEST);
    let mut machine = Machine::default();
    for _ in 0..MOST_STEPS {
        let at = pickle.position() - cursor.position();
        let placed = |reason: String| format!("the pickle, at byte {at}: {reason}");
        let op = Op::read(&mut pickle).map_err(placed)?;
        if (at == 0) != matches!(op, Op::Protocol(2..=5)) {
            return Err(placed("it does not begin as a pickle of protocol 2 to 5".into()));
        }
        if op == Op::Stop {
            let root = machine.last().ok_or_else(|| placed(UNFIT.into()))?;
            *cursor = pickle.widened(cursor);
            return Ok(Pickle { heap: machine.heap, root });
        }
        machine.step(op, pickle.left()).map_err(placed)?;
    }
    Err(format!("the pickle has more than {MOST_STEPS} instructions, which no model's weights need"))
}

/// Said of whatever a pickler would not have written.
const UNFIT: &str =
    "an instruction does not fit what is there; the file is damaged, or made to look like weights";

#[derive(Default)]
struct Machine<'a> {
    heap: Heap<'a>,
    stack: Vec<Value<'a>>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: BTreeMap<u32, Value<'a>>,
}

impl<'a> Machine<'a> {
    fn step(&mut self, op: Op<'a>, left: usize) -> Result<(), String> {
        if self.stack.len() + self.marks.len() >= DEEPEST {
            return Err(format!("more than {DEEPEST} values are open, which no model's weights need"));
        }
        if let Op::Global(module, name) = op {
            return self.global(module, name);
        }
        if op == Op::StackGlobal {
            let (name, module) = (self.text().ok_or(UNFIT)?, self.text().ok_or(UNFIT)?);
            return self.global(module, name);
        }
        self.plain(op, left).ok_or_else(|| UNFIT.to_owned())
    }

    /// Every instruction that can only fit or not.
    fn plain(&mut self, op: Op<'a>, left: usize) -> Option<()> {
        match op {
            Op::Protocol(_) | Op::Stop | Op::Global(..) | Op::StackGlobal => Some(()),
            Op::Frame(length) => (length <= left as u64).then_some(()),
            Op::Mark => {
                self.marks.push(self.stack.len());
                Some(())
            }
            Op::Pop => self.pop().map(|_| ()),
            Op::Push(value) => self.push(value),
            Op::EmptyTuple => self.add(Object::Tuple(Vec::new())),
            Op::EmptyList => self.add(Object::List(Vec::new())),
            Op::EmptyDict => self.add(Object::Dict(Vec::new())),
            Op::Tuple => {
                let items = self.above_mark()?;
                self.add(Object::Tuple(items))
            }
            Op::TupleOf(count) => {
                let items = self.above(self.stack.len().checked_sub(count)?)?;
                self.add(Object::Tuple(items))
            }
            Op::Append => {
                let item = self.pop()?;
                self.extend_list(vec![item])
            }
            Op::Appends => {
                let items = self.above_mark()?;
                self.extend_list(items)
            }
            Op::SetItem => {
                let items = self.above(self.stack.len().checked_sub(2)?)?;
                self.extend_dict(&items)
            }
            Op::SetItems => {
                let items = self.above_mark()?;
                self.extend_dict(&items)
            }
            Op::Put(place) => self.memoize(place),
            Op::Memoize => self.memoize(u32::try_from(self.memo.len()).ok()?),
            Op::Get(place) => self.push(*self.memo.get(&place)?),
            Op::PersistentId => {
                let id = self.pop()?;
                let storage = globals::storage(&mut self.heap, id)?;
                self.push(storage)
            }
            Op::Reduce => self.reduce(),
            Op::Build => self.build(),
        }
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), String> {
        let global = Global::find(module, name).ok_or_else(|| refused(module, name))?;
        self.stack.push(Value::Global(global));
        Ok(())
    }

    /// Where the values that belong to the last mark begin; values below are out of reach.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or_default()
    }

    fn pop(&mut self) -> Option<Value<'a>> {
        if self.stack.len() > self.floor() { self.stack.pop() } else { None }
    }

    fn text(&mut self) -> Option<&'a str> {
        match self.pop()? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn top(&self) -> Option<Value<'a>> {
        if self.stack.len() > self.floor() { self.stack.last().copied() } else { None }
    }

    /// Always fits.
    fn push(&mut self, value: Value<'a>) -> Option<()> {
        self.stack.push(value);
        Some(())
    }

    /// Always fits.
    fn add(&mut self, object: Object<'a>) -> Option<()> {
        let value = self.heap.add(object);
        self.push(value)
    }

    /// Takes the values from a height upward.
    fn above(&mut self, height: usize) -> Option<Vec<Value<'a>>> {
        (height >= self.floor()).then(|| self.stack.split_off(height))
    }

    fn above_mark(&mut self) -> Option<Vec<Value<'a>>> {
        let height = self.marks.pop()?;
        Some(self.stack.split_off(height))
    }

    fn extend_list(&mut self, items: Vec<Value<'a>>) -> Option<()> {
        let Object::List(list) = self.heap.get_mut(self.top()?)? else { return None };
        list.extend(items);
        Some(())
    }

    /// Adds keys and values in turn.
    fn extend_dict(&mut self, items: &[Value<'a>]) -> Option<()> {
        let (pairs, rest) = items.as_chunks::<2>();
        let Object::Dict(entries) = self.heap.get_mut(self.top()?)? else { return None };
        entries.extend(pairs.iter().map(|[key, value]| (*key, *value)));
        rest.is_empty().then_some(())
    }

    fn memoize(&mut self, place: u32) -> Option<()> {
        let value = self.top()?;
        self.memo.insert(place, value);
        Some(())
    }

    fn reduce(&mut self) -> Option<()> {
        let arguments = self.pop()?;
        let Value::Global(global) = self.pop()? else { return None };
        let arguments = self.heap.tuple(arguments).filter(|all| all.len() <= MOST_ARGUMENTS)?.to_vec();
        let value = global.call(&arguments, &mut self.heap)?;
        self.push(value)
    }

    /// Attributes of an object. A state dictionary's say of which version its modules are: nothing here hangs
    /// on it.
    fn build(&mut self) -> Option<()> {
        let state = self.pop()?;
        self.heap.dict(state)?;
        self.heap.dict(self.top()?)?;
        Some(())
    }

    /// The value that a finished pickle leaves.
    fn last(&self) -> Option<Value<'a>> {
        match (self.stack.as_slice(), self.marks.as_slice()) {
            ([root], []) => Some(*root),
            _ => None,
        }
    }
}

/// More than any name on the list takes.
const MOST_ARGUMENTS: usize = 8;

fn refused(module: &str, name: &str) -> String {
    const LONGEST_NAME: usize = 80;
    let full: String = format!("{module}.{name}").chars().take(LONGEST_NAME).collect();
    format!(
        "it asks for {full:?}, and weights need nothing of that name: the file holds more than tensors, or \
         is malicious. Nothing was run; save the tensors alone, as safetensors"
    )
}
