//! Values whose size is known all through, so that no step on them does more work than that.

use minijinja::value::{Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Error, State, filters};

use super::engine::refused;

/// How deep a value that has a name may be nested.
const DEEPEST: usize = 64;
/// Its size with all that it holds, counted as often as it is held: bytes of texts, and 16 for each part.
const MOST: usize = 1 << 20;
const PART: usize = 16;

/// The value itself, if it is not too large.
pub(super) fn measured(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    Walk::new(state).measure(value, 0)?;
    Ok(value.clone())
}

/// A copy of a value in lists and maps of its own, so that it cannot hold the namespace it is kept in.
pub(super) fn plain(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    Walk::new(state).copy(value, 0)
}

/// The filter `map`, whose result may hold one argument many times.
pub(super) fn map(
    state: &mut State<'_, '_>,
    value: Value,
    args: Rest<ValueOrKwargs>,
) -> Result<Value, Error> {
    let mapped = Value::from(filters::map(state, value, args)?);
    measured(state, &mapped)
}

/// The function `range`; minijinja's overflows at the ends of the numbers.
pub(super) fn range(
    state: &State<'_, '_>,
    lower: i64,
    upper: Option<i64>,
    step: Option<i64>,
) -> Result<Value, Error> {
    const LONGEST: i128 = 100_000;
    let (from, to) = upper.map_or((0, lower), |upper| (lower, upper));
    let (from, to, step) = (i128::from(from), i128::from(to), i128::from(step.unwrap_or(1)));
    if step == 0 {
        return Err(refused("range with a step of 0"));
    }
    let count = ((to - from + step - step.signum()) / step).max(0);
    if count > LONGEST {
        return Err(refused("range has too many elements"));
    }
    state.consume_fuel(count as u64 / 2)?;
    Ok((0..count).map(|at| (from + at * step) as i64).collect())
}

struct Walk<'a, 'b, 'c> {
    state: &'a State<'b, 'c>,
    size: usize,
}

impl<'a, 'b, 'c> Walk<'a, 'b, 'c> {
    fn new(state: &'a State<'b, 'c>) -> Self {
        Self { state, size: 0 }
    }

    fn part(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        self.state.consume_fuel(u64::from(depth > 0))?;
        self.size += PART + value.as_str().map_or(0, str::len);
        if depth > DEEPEST || self.size > MOST {
            return Err(refused("a value is larger or nested deeper than any in a real template"));
        }
        Ok(())
    }

    fn measure(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        self.part(value, depth)?;
        match value.kind() {
            ValueKind::Seq | ValueKind::Iterable => {
                value.try_iter()?.try_for_each(|item| self.measure(&item, depth + 1))
            }
            ValueKind::Map => value.try_iter()?.try_for_each(|key| {
                self.measure(&key, depth + 1)?;
                self.measure(&value.get_item(&key)?, depth + 1)
            }),
            _ => Ok(()),
        }
    }

    fn copy(&mut self, value: &Value, depth: usize) -> Result<Value, Error> {
        self.part(value, depth)?;
        match value.kind() {
            ValueKind::Seq | ValueKind::Iterable => {
                let items = value.try_iter()?.map(|item| self.copy(&item, depth + 1));
                Ok(Value::from(items.collect::<Result<Vec<Value>, Error>>()?))
            }
            ValueKind::Map => {
                let mut pairs = Vec::new();
                for key in value.try_iter()? {
                    pairs.push((self.copy(&key, depth + 1)?, self.copy(&value.get_item(&key)?, depth + 1)?));
                }
                Ok(Value::from_iter(pairs))
            }
            _ => Ok(value.clone()),
        }
    }
}

/// Python's methods, as minijinja has them but for two.
pub(super) fn method(
    state: &mut State<'_, '_>,
    value: &Value,
    name: &str,
    args: &[Value],
) -> Result<Value, Error> {
    match (value.as_str(), name, args) {
        (Some(text), "title", []) => Ok(Value::from(title(text))),
        (Some(text), "format", _) => {
            check_format(state, text, args)?;
            minijinja_contrib::pycompat::unknown_method_callback(state, value, name, args)
        }
        _ => minijinja_contrib::pycompat::unknown_method_callback(state, value, name, args),
    }
}

/// Every letter after something else is upper case, every letter after a letter lower case; minijinja's knows
/// other borders of words.
fn title(text: &str) -> String {
    let mut title = String::with_capacity(text.len());
    let mut inside = false;
    for char in text.chars() {
        if inside {
            title.extend(char.to_lowercase())
        } else {
            title.extend(char.to_uppercase())
        }
        inside = char.is_alphabetic();
    }
    title
}

/// Pays for a formatted text before it is made: a field may stand in it any number of times, and one with a
/// width (`{:>999999999}`) may be of any length, so that is refused.
fn check_format(state: &State<'_, '_>, text: &str, args: &[Value]) -> Result<(), Error> {
    let (mut fields, mut open) = (0_u64, false);
    for char in text.chars() {
        match char {
            '{' => (fields, open) = (fields + 1, !open),
            '}' => open = false,
            ':' if open => return Err(refused("str.format with a format in a field is not supported")),
            _ => {}
        }
    }
    let mut walk = Walk::new(state);
    args.iter().try_for_each(|arg| walk.measure(arg, 0))?;
    state.consume_fuel(fields * (walk.size as u64 / 16))
}
