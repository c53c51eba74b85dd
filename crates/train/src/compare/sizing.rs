//! A method made to train about as many values as it may: which rank, how many virtual tokens, how wide.

use super::Ground;
use crate::trainer::Learner;
use crate::{Error, Result};
use offshoot_methods::MethodConfig;

/// Sizes that are tried before the nearest is taken. What a method trains grows in proportion to its size, or to
/// the square of it: the second guess is right, or the fourth.
const GUESSES: usize = 8;

/// How far from what was asked for a method may be and still be compared at it: a quarter.
const NEAR: f64 = 0.25;

/// The method at the size at which it trains about `values` values, the head's among them; none if it has no size.
///
/// # Errors
/// [`Error::Invalid`] if at no size it trains about as many, with the nearest that there is; if it does not fit the
/// model.
pub(super) fn sized<P: Ground>(
    ground: &P,
    method: &MethodConfig,
    values: usize,
) -> Result<Option<MethodConfig>> {
    let Some(own) = method.size() else { return Ok(None) };
    let count = |size| trained(ground, method, size).map(|trained| (size, trained));
    let (mut last, mut now) = (count(1)?, count(own.max(2))?);
    if last.1 == now.1 {
        // What it is fitted to is not trained by steps.
        return Ok(None);
    }
    let mut nearest = last;
    for _ in 0..GUESSES {
        nearest = if off(now.1, values) < off(nearest.1, values) { now } else { nearest };
        let next = between(last, now, values);
        if next == now.0 || next == last.0 {
            break;
        }
        (last, now) = (now, count(next)?);
    }
    check(method, nearest, values)?;
    Ok(Some(method.resized(nearest.0)?))
}

/// How many values the method trains on the model at a size.
fn trained<P: Ground>(ground: &P, method: &MethodConfig, size: usize) -> Result<usize> {
    Ok(ground.grow(&method.resized(size)?, 0)?.params().count())
}

/// How many times too many or too few.
fn off(trained: usize, values: usize) -> f64 {
    (trained.max(1) as f64 / values.max(1) as f64).ln().abs()
}

/// The size at which a line through two counts reaches `values`.
fn between(a: (usize, usize), b: (usize, usize), values: usize) -> usize {
    let slope = (b.1 as f64 - a.1 as f64) / (b.0 as f64 - a.0 as f64);
    if !slope.is_normal() || slope < 0.0 {
        return b.0;
    }
    (b.0 as f64 + (values as f64 - b.1 as f64) / slope).round().max(1.0) as usize
}

fn check(method: &MethodConfig, (size, trained): (usize, usize), values: usize) -> Result<()> {
    if off(trained, values) <= (1.0 + NEAR).ln() {
        return Ok(());
    }
    let name = method.info().name;
    Err(Error::invalid(format!(
        "at no size `{name}` trains about {values} values; at {size} it trains {trained}"
    )))
}
