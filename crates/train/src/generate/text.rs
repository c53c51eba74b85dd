//! The text of a row as it grows, and the strings that end it.

use crate::Result;
use offshoot_models::TextStream;

/// Tokens to text, one by one. A tokenizer gives one of these to each row.
pub trait Decode {
    /// Takes a token; the text that is final now and was not before, often none.
    ///
    /// # Errors
    /// If the tokenizer cannot decode it.
    fn push(&mut self, id: u32) -> Result<String>;

    /// What is left when no token follows.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    fn finish(self: Box<Self>) -> Result<String>;
}

impl Decode for TextStream<'_> {
    fn push(&mut self, id: u32) -> Result<String> {
        Ok(TextStream::push(self, id)?)
    }

    fn finish(self: Box<Self>) -> Result<String> {
        Ok(TextStream::finish(*self)?)
    }
}

/// A text that ends where the first stop string to be complete begins. What could be the beginning of one is held back.
#[derive(Debug)]
pub(super) struct Text {
    text: String,
    /// How many bytes have been given.
    given: usize,
    stops: Vec<String>,
    pub(super) stopped: bool,
}

impl Text {
    /// An empty text that none of the `stops` may stand in.
    pub(super) fn new(stops: &[String]) -> Self {
        let stops = stops.iter().filter(|stop| !stop.is_empty()).cloned().collect();
        Self { text: String::new(), given: 0, stops, stopped: false }
    }

    /// Takes what follows; what is final now and was not before.
    pub(super) fn push(&mut self, new: &str) -> String {
        if self.stopped {
            return String::new();
        }
        self.text.push_str(new);
        let open = &self.text[self.given..];
        match self.stops.iter().filter_map(|stop| open.find(stop.as_str())).min() {
            Some(at) => {
                self.text.truncate(self.given + at);
                self.stopped = true;
                self.give(0)
            }
            None => {
                let held = self.stops.iter().map(|stop| begun(open, stop)).max().unwrap_or(0);
                self.give(held)
            }
        }
    }

    /// What was held back, now that nothing follows.
    pub(super) fn finish(&mut self) -> String {
        self.give(0)
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// Gives all but the last `held` bytes.
    fn give(&mut self, held: usize) -> String {
        let end = self.text.len() - held;
        let new = self.text[self.given..end].to_owned();
        self.given = end;
        new
    }
}

/// How many bytes at the end of a text are the beginning of `stop`.
fn begun(text: &str, stop: &str) -> usize {
    let lengths = stop.char_indices().map(|(at, _)| at).rev();
    lengths.filter(|&length| length > 0).find(|&length| text.ends_with(&stop[..length])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(stops: &[&str], parts: &[&str]) -> (Vec<String>, bool, String) {
        let stops: Vec<_> = stops.iter().map(ToString::to_string).collect();
        let mut text = Text::new(&stops);
        let mut given: Vec<_> = parts.iter().map(|part| text.push(part)).collect();
        given.push(text.finish());
        (given, text.stopped, text.into_text())
    }

    #[test]
    fn a_stop_string_is_found_across_pieces_and_never_given() {
        let (given, stopped, text) = pieces(&["\nUser:"], &["Hi", "!\n", "Us", "er", ": no", "more"]);
        assert_eq!(given, ["Hi", "!", "", "", "", "", ""]);
        assert!(stopped);
        assert_eq!(text, "Hi!");
    }

    #[test]
    fn what_only_looked_like_one_is_given_later() {
        let (given, stopped, text) = pieces(&["abac", "é€x"], &["aba", "b", "acé", "€", "y"]);
        // "abab" can not begin "abac"; its end "ab" can.
        assert_eq!(given, ["", "ab", "", "", "", ""]);
        assert!(stopped, "ab + ac");
        assert_eq!(text, "ab");
        let (given, stopped, _) = pieces(&["é€x"], &["é", "€", "y", "é€"]);
        assert_eq!(given, ["", "", "é€y", "", "é€"]);
        assert!(!stopped);
    }

    #[test]
    fn the_earliest_of_several_ends_the_text() {
        let (given, stopped, text) = pieces(&["world", "o w", ""], &["hello world"]);
        assert_eq!((given[0].as_str(), stopped, text.as_str()), ("hell", true, "hell"));
        assert_eq!(pieces(&[], &["a", "b"]).0, ["a", "b", ""]);
        assert_eq!(pieces(&["a"], &["a"]).2, "");
    }

    /// Against a search in all that is there after each piece.
    #[test]
    fn pieces_give_what_the_whole_text_gives() {
        let mut rng = offshoot_core::Rng::new(5);
        let mut word = |most: usize| -> String {
            (0..1 + rng.below(most)).map(|_| ["a", "b", "é"][rng.below(3)]).collect()
        };
        for _ in 0..2000 {
            let stops = [word(4), word(4)];
            let parts: Vec<String> = (0..6).map(|_| word(3)).collect();
            let whole = parts.concat();
            let first = |whole: String| stops.iter().filter_map(|stop| whole.find(stop.as_str())).min();
            let end = (1..=parts.len()).find_map(|count| first(parts[..count].concat()));
            let expected = &whole[..end.unwrap_or(whole.len())];
            let (given, stopped, text) = pieces(
                &stops.each_ref().map(String::as_str),
                &parts.iter().map(String::as_str).collect::<Vec<_>>(),
            );
            assert_eq!(
                (text.as_str(), given.concat().as_str(), stopped),
                (expected, expected, end.is_some())
            );
        }
    }
}
