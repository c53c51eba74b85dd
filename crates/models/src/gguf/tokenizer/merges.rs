//! The pairs that become one token, first the one that is merged first.

use std::collections::BTreeMap;

use super::vocabulary::texts;
use crate::gguf::Gguf;

/// Tokens of sentencepiece vocabularies have a tenth of these bytes at most. Cutting a token at each place
/// takes time by the square of its length.
const LONGEST: usize = 512;

/// Each token can be cut at most places of which both sides are tokens; in real files it is two on average.
const MOST_BYTES_PER_BYTE: usize = 32;

/// The pairs that the file lists, if it does.
pub(super) fn listed(gguf: &Gguf) -> Result<Option<Vec<(String, String)>>, String> {
    let Some(lines) = texts(gguf, "tokenizer.ggml.merges")? else { return Ok(None) };
    lines.iter().enumerate().map(|(place, line)| pair(place, line)).collect::<Result<_, _>>().map(Some)
}

/// The two sides of a line.
pub(crate) fn pair(place: usize, line: &str) -> Result<(String, String), String> {
    match line.split_once(' ') {
        Some((left, right)) if !left.is_empty() && !right.is_empty() && !right.contains(' ') => {
            Ok((left.to_owned(), right.to_owned()))
        }
        _ => Err(format!("merge {place}, {line:?}, is not two tokens with a space between: damaged file")),
    }
}

/// Checks that each side and what becomes of them is a token.
pub(crate) fn checked<'a>(
    merges: &'a [(String, String)],
    vocab: &BTreeMap<&str, usize>,
) -> Result<Vec<(&'a str, &'a str)>, String> {
    let mut whole = String::new();
    for (place, (left, right)) in merges.iter().enumerate() {
        whole.clear();
        whole.push_str(left);
        whole.push_str(right);
        if let Some(unknown) =
            [left, right, &whole].into_iter().find(|token| !vocab.contains_key(token.as_str()))
        {
            return Err(format!(
                "merge {place} of {left:?} and {right:?} needs {unknown:?}, which is no token: damaged file"
            ));
        }
    }
    Ok(merges.iter().map(|(left, right)| (left.as_str(), right.as_str())).collect())
}

/// A cut of a token into two others.
struct Cut<'a> {
    score: f64,
    left: &'a str,
    right: &'a str,
    /// Length of both sides in characters.
    lengths: (usize, usize),
}

/// The pairs that a vocabulary without a list implies: every cut of a token into two. Those of the best
/// token come first, of one token those with the longest left side.
pub(super) fn implied<'a>(
    tokens: &'a [String],
    vocab: &BTreeMap<&str, usize>,
    score: impl Fn(usize) -> f64,
) -> Result<Vec<(&'a str, &'a str)>, String> {
    let most = MOST_BYTES_PER_BYTE * tokens.iter().map(String::len).sum::<usize>();
    let (mut cuts, mut bytes) = (Vec::new(), 0);
    for (id, token) in tokens.iter().enumerate() {
        if token.len() > LONGEST {
            return Err(format!("token {id} has {} bytes, more than {LONGEST}: damaged file", token.len()));
        }
        let before = cuts.len();
        // -0 is 0.
        cut(token, score(id) + 0.0, vocab, &mut cuts);
        bytes += token.len() * (cuts.len() - before);
        if bytes > most {
            return Err("its tokens can be cut into each other in more ways than in any real file".into());
        }
    }
    cuts.sort_by(|a: &Cut<'_>, b| b.score.total_cmp(&a.score).then(b.lengths.cmp(&a.lengths)));
    Ok(cuts.into_iter().map(|cut| (cut.left, cut.right)).collect())
}

fn cut<'a>(token: &'a str, score: f64, vocab: &BTreeMap<&str, usize>, cuts: &mut Vec<Cut<'a>>) {
    let length = token.chars().count();
    for (before, (at, _)) in token.char_indices().enumerate().skip(1) {
        let (left, right) = token.split_at(at);
        if vocab.contains_key(left) && vocab.contains_key(right) {
            cuts.push(Cut { score, left, right, lengths: (before, length - before) });
        }
    }
}
