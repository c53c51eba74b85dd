//! The characters that stand for bytes in byte-level vocabularies.

use std::collections::BTreeSet;

use super::vocabulary::{Kind, Vocabulary};

/// A byte's character: itself if it can be seen, else the next one from 256 on.
fn character(byte: u8) -> char {
    let seen = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    if seen(byte) {
        return char::from(byte);
    }
    let hidden_before = (0..byte).filter(|&other| !seen(other)).count();
    char::from_u32(256 + hidden_before as u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Converters write a user's tokens as the text that they stand for, also where merges make them: those get
/// their bytes' characters back. Any other is only found as it is.
pub(super) fn respell(words: &mut Vocabulary, merges: &[(String, String)]) {
    let alphabet: Vec<char> = (0..=u8::MAX).map(character).collect();
    let known: BTreeSet<char> = alphabet.iter().copied().collect();
    let strange = |token: &str| !token.chars().all(|letter| known.contains(&letter));
    if !words.tokens.iter().any(|token| strange(token)) {
        return;
    }
    let made: BTreeSet<String> = merges.iter().map(|(left, right)| format!("{left}{right}")).collect();
    let taken: BTreeSet<String> = words.tokens.iter().cloned().collect();
    for (token, kind) in words.tokens.iter_mut().zip(&mut words.kinds) {
        if *kind == Kind::Control || !strange(token) {
            continue;
        }
        let spelled: String = token.bytes().map(|byte| alphabet[usize::from(byte)]).collect();
        if made.contains(&spelled) && !taken.contains(&spelled) {
            (*token, *kind) = (spelled, Kind::Other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::character;

    #[test]
    fn bytes_have_the_characters_of_gpt_2() {
        let expected =
            [(b' ', 'Ġ'), (b'\n', 'Ċ'), (0, 'Ā'), (b'a', 'a'), (0x7f, 'ġ'), (0xad, 'Ń'), (0xff, 'ÿ')];
        for (byte, letter) in expected {
            assert_eq!(character(byte), letter, "{byte}");
        }
    }
}
