//! Small vocabularies written as converters write them.

use tempfile::tempdir;

use super::super::{Array, Value, write};
use super::*;

type Metadata = Vec<(&'static str, Value<'static>)>;

const TOKENS: &str = "tokenizer.ggml.tokens";
const MERGES: &str = "tokenizer.ggml.merges";

fn texts(list: &[&str]) -> Value<'static> {
    Value::Array(Array::texts(list))
}

fn text(text: &str) -> Value<'static> {
    Value::Text(text.to_owned().into())
}

/// The metadata with some of it replaced.
fn with(mut metadata: Metadata, changes: &[(&'static str, Value<'static>)]) -> Metadata {
    metadata.retain(|(key, _)| !changes.iter().any(|(changed, _)| changed == key));
    metadata.extend(changes.iter().cloned());
    metadata
}

fn without(mut metadata: Metadata, key: &str) -> Metadata {
    metadata.retain(|(known, _)| *known != key);
    metadata
}

fn opened(metadata: &Metadata) -> Gguf {
    let folder = tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    write(&path, metadata, &[]).unwrap();
    Gguf::open(&path).unwrap()
}

fn ids(metadata: &Metadata, text: &str) -> Vec<u32> {
    opened(metadata).tokenizer().unwrap().encode(text, None, 100).unwrap().ids
}

fn refusal(metadata: &Metadata) -> String {
    let message = opened(metadata).tokenizer().unwrap_err().to_string();
    assert!(message.contains("model.gguf: "), "{message}");
    message
}

/// Ids:                  0        1      2    3    4    5    6    7     8     9     10    11      12
const BYTE_LEVEL: [&str; 13] =
    ["<|end|>", "<t>", "a", "b", "1", "Ġ", "Ċ", "ab", "Ġa", "ĊĊ", "11", "Ġab", "111"];

fn byte_level() -> Metadata {
    vec![
        ("general.architecture", text("llama")),
        ("tokenizer.ggml.model", text("gpt2")),
        ("tokenizer.ggml.pre", text("smollm")),
        (TOKENS, texts(&BYTE_LEVEL)),
        ("tokenizer.ggml.token_type", Value::Array(Array::i32s(&[3, 4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]))),
        (MERGES, texts(&["Ġ a", "a b", "Ġa b", "Ċ Ċ", "1 1", "11 1"])),
        ("tokenizer.ggml.bos_token_id", Value::U32(0)),
        ("tokenizer.ggml.eos_token_id", Value::U32(0)),
    ]
}

#[test]
fn bytes_are_paired_after_the_cuts_of_the_named_way() {
    let cut =
        |pre: &str, content: &str| ids(&with(byte_level(), &[("tokenizer.ggml.pre", text(pre))]), content);
    for pre in ["smollm", "gpt-2", "default"] {
        assert_eq!(cut(pre, "ab ab"), [7, 11], "{pre}");
        assert_eq!(cut(pre, "a\n\na"), [2, 6, 6, 2], "{pre}");
        assert_eq!(cut(pre, "11111"), [10, 12], "{pre}");
    }
    // Line breaks stay together; digits are three at most, or one.
    assert_eq!(cut("qwen2", "a\n\na"), [2, 9, 2]);
    assert_eq!(cut("qwen2", "1111"), [4, 4, 4, 4]);
    assert_eq!(cut("llama-bpe", "a\n\na"), [0, 2, 9, 2]);
    assert_eq!(cut("llama-bpe", "11111"), [0, 12, 10]);
    assert_eq!(ids(&without(byte_level(), "tokenizer.ggml.pre"), "11111"), [10, 12]);
    let message = refusal(&with(byte_level(), &[("tokenizer.ggml.pre", text("tekken"))]));
    assert!(message.contains("`tekken`") && message.contains("default, gpt-2, smollm"), "{message}");
}

#[test]
fn llama_3_keeps_a_word_that_is_a_token() {
    let merges = (MERGES, texts(&["a b", "Ċ Ċ", "1 1", "11 1"]));
    let unmade = |pre: &str| {
        let changes = [merges.clone(), ("tokenizer.ggml.pre", text(pre))];
        ids(&with(byte_level(), &changes), "ab ab")
    };
    assert_eq!(unmade("gpt-2"), [7, 5, 7]);
    assert_eq!(unmade("llama-bpe"), [0, 7, 11]);
}

#[test]
fn control_tokens_are_special_and_a_users_are_only_whole() {
    let file = opened(&byte_level());
    assert_eq!(ids(&byte_level(), "a<|end|><t> ab"), [2, 0, 1, 11]);
    let json: Json = serde_json::from_str(&file.tokenizer_json().unwrap()).unwrap();
    let special = |place: usize| json["added_tokens"][place]["special"].as_bool();
    assert_eq!((special(0), special(1), special(2)), (Some(true), Some(false), None));
    assert_eq!(file.tokenizer().unwrap().vocab_size(), BYTE_LEVEL.len());
}

#[test]
fn a_token_in_plain_spelling_gets_its_bytes_characters_if_merges_make_it() {
    let mut tokens = BYTE_LEVEL;
    (tokens[9], tokens[1]) = ("\n\n", "<é>");
    let kinds = [3, 4, 1, 1, 1, 1, 1, 1, 1, 4, 1, 1, 1];
    let changed = with(
        byte_level(),
        &[
            (TOKENS, texts(&tokens)),
            ("tokenizer.ggml.token_type", Value::Array(Array::i32s(&kinds))),
            ("tokenizer.ggml.pre", text("qwen2")),
        ],
    );
    assert_eq!(ids(&changed, "a\n\na<é>"), [2, 9, 2, 1]);
}

#[test]
fn texts_are_begun_and_ended_as_the_file_says() {
    let flag = |name, value| (name, Value::Bool(value));
    let (bos, eos) = ("tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token");
    assert_eq!(ids(&byte_level(), "ab"), [7]);
    assert_eq!(ids(&with(byte_level(), &[flag(bos, true)]), "ab"), [0, 7]);
    let both = with(byte_level(), &[flag(bos, true), flag(eos, true)]);
    assert_eq!(ids(&both, "ab"), [0, 7, 0]);
    let pair = opened(&both).tokenizer().unwrap().encode("ab", Some("a"), 100).unwrap();
    assert_eq!((pair.ids, pair.types), (vec![0, 7, 0, 0, 2, 0], vec![0; 6]));
    let unnamed = without(with(byte_level(), &[flag(bos, true)]), "tokenizer.ggml.bos_token_id");
    assert!(refusal(&unnamed).contains("`tokenizer.ggml.bos_token_id` does not name"));
}

#[test]
fn special_tokens_are_those_the_file_names_and_has() {
    let id = |name, id| (name, Value::U32(id));
    let file = opened(&with(
        byte_level(),
        &[
            id("tokenizer.ggml.eot_token_id", 1),
            id("tokenizer.ggml.eom_token_id", 0),
            id("tokenizer.ggml.padding_token_id", 13),
        ],
    ));
    assert_eq!(file.special_tokens(), SpecialTokens { bos: Some(0), eos: vec![0, 1], pad: None });
    assert_eq!(opened(&vec![]).special_tokens(), SpecialTokens::default());
}

/// Ids: 0 to 2 special, 3 and 4 bytes, then pieces with scores that rise with the id in `PIECES[5..]`.
const PIECES: [&str; 13] =
    ["<unk>", "<s>", "</s>", "<0xC3>", "<0xA9>", "\u{2581}", "a", "b", "c", "bc", "ab", "\u{2581}a", "abc"];

fn pieces() -> Metadata {
    let scores = [0.0, 0.0, 0.0, 0.0, 0.0, -9.0, -9.0, -9.0, -9.0, -4.0, -3.0, -2.0, -1.0];
    vec![
        ("general.architecture", text("llama")),
        ("tokenizer.ggml.model", text("llama")),
        (TOKENS, texts(&PIECES)),
        ("tokenizer.ggml.scores", Value::Array(Array::f32s(&scores))),
        ("tokenizer.ggml.token_type", Value::Array(Array::i32s(&[2, 3, 3, 6, 6, 1, 1, 1, 1, 1, 1, 1, 1]))),
        ("tokenizer.ggml.bos_token_id", Value::U32(1)),
        ("tokenizer.ggml.eos_token_id", Value::U32(2)),
        ("tokenizer.ggml.unknown_token_id", Value::U32(0)),
    ]
}

#[test]
fn pieces_are_paired_by_score() {
    // "▁" is put before the first word; "▁a" is worth more than "ab".
    assert_eq!(ids(&pieces(), "ab"), [1, 11, 7]);
    assert_eq!(ids(&pieces(), "b abc"), [1, 5, 7, 11, 9]);
    let bare = with(pieces(), &[("tokenizer.ggml.add_space_prefix", Value::Bool(false))]);
    assert_eq!(ids(&bare, "abc"), [1, 12]);
    // Bytes stand for what is no piece.
    assert_eq!(ids(&bare, "é</s>é"), [1, 3, 4, 2, 3, 4]);
    assert_eq!(ids(&with(bare, &[("tokenizer.ggml.add_bos_token", Value::Bool(false))]), "abc"), [12]);
}

#[test]
fn gemma_pairs_in_the_order_of_ids_and_keeps_spaces() {
    let mut tokens = PIECES;
    // As files have them: the run of spaces is spelled out.
    tokens[8] = "  ";
    let gemma = with(pieces(), &[("general.architecture", text("gemma3")), (TOKENS, texts(&tokens))]);
    let gemma = without(gemma, "tokenizer.ggml.scores");
    assert_eq!(ids(&gemma, "ab  ab"), [1, 10, 8, 10]);
    assert_eq!(ids(&gemma, " a"), [1, 11]);
}

/// Computed with transformers' `generate_merges` on the same vocabulary and scores.
#[test]
fn implied_pairs_are_those_of_transformers() {
    let tokens: Vec<String> = PIECES.iter().map(|&token| token.to_owned()).collect();
    let vocab = tokens.iter().enumerate().map(|(id, token)| (token.as_str(), id)).collect();
    let scores = [0.0, 0.0, 0.0, 0.0, 0.0, -9.0, -9.0, -9.0, -9.0, -2.0, -2.0, -2.0, -1.0];
    let found = merges::implied(&tokens, &vocab, |id| scores[id]).unwrap();
    let expected = [("ab", "c"), ("a", "bc"), ("b", "c"), ("a", "b"), (SPACE, "a")];
    assert_eq!(found, expected);
}

#[test]
fn contradictions_are_named() {
    let i32s = |values: &[i32]| Value::Array(Array::i32s(values));
    let merges = |list: &[&str]| (MERGES, texts(list));
    let check = |file: Metadata, parts: &[&str]| {
        let message = refusal(&file);
        parts.iter().for_each(|part| assert!(message.contains(part), "{part}: {message}"));
    };
    check(with(byte_level(), &[merges(&["a b", "b Ġ"])]), &["merge 1", "\"bĠ\", which is no token"]);
    check(with(byte_level(), &[merges(&["x a"])]), &["merge 0", "\"x\", which is no token"]);
    for bad in ["ab", " b", "a ", "a b c", ""] {
        check(with(byte_level(), &[merges(&[bad])]), &["merge 0", "is not two tokens"]);
    }
    check(with(byte_level(), &[(MERGES, i32s(&[1]))]), &[MERGES, "a list of texts"]);
    check(without(byte_level(), MERGES), &["there is no `tokenizer.ggml.merges`"]);
    check(without(byte_level(), TOKENS), &["there is no `tokenizer.ggml.tokens`"]);
    check(with(byte_level(), &[(TOKENS, texts(&[]))]), &["a vocabulary of 0 tokens"]);
    let mut tokens = BYTE_LEVEL;
    tokens[12] = "a";
    check(with(byte_level(), &[(TOKENS, texts(&tokens))]), &["tokens 2 and 12 are both \"a\""]);
    check(
        with(byte_level(), &[("tokenizer.ggml.token_type", i32s(&[1]))]),
        &["one number for each of 13 tokens"],
    );
    check(
        with(byte_level(), &[("tokenizer.ggml.eos_token_id", Value::U32(13))]),
        &["eos_token_id` is 13, but there are 13 tokens"],
    );
    check(with(byte_level(), &[("tokenizer.ggml.add_bos_token", Value::U32(1))]), &["must be true or false"]);
    check(without(pieces(), "tokenizer.ggml.scores"), &["`tokenizer.ggml.scores` must be one number"]);
    check(with(pieces(), &[("tokenizer.ggml.model", text("t5"))]), &["`t5`", "gpt2 and llama"]);
    check(without(pieces(), "tokenizer.ggml.model"), &["no tokenizer"]);
}

#[test]
fn a_vocabulary_never_becomes_more_than_the_file_justifies() {
    let sizes = |sizes: std::ops::Range<usize>| {
        let tokens: Vec<String> = sizes.map(|size| "a".repeat(size)).collect();
        let scores = Value::Array(Array::f32s(&vec![0.0; tokens.len()]));
        let file = without(pieces(), "tokenizer.ggml.token_type");
        let changes = [(TOKENS, Value::Array(Array::texts(&tokens))), ("tokenizer.ggml.scores", scores)];
        with(file, &changes)
    };
    assert_eq!(
        ids(&with(sizes(1..30), &[("tokenizer.ggml.add_space_prefix", Value::Bool(false))]), "aaa"),
        [1, 2]
    );
    assert!(refusal(&sizes(1..200)).contains("in more ways than in any real file"));
    assert!(refusal(&sizes(510..514)).contains("has 513 bytes, more than 512"));
}

#[test]
fn a_list_that_claims_more_than_the_file_has_is_refused() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    write(&path, &byte_level(), &[]).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let key = bytes.windows(TOKENS.len()).position(|window| window == TOKENS.as_bytes()).unwrap();
    // Behind the key come the types of the value and of its elements.
    let count = key + TOKENS.len() + 8;
    bytes[count..count + 8].copy_from_slice(&(1_u64 << 40).to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    let message = Gguf::open(&path).unwrap_err().to_string();
    assert!(message.contains("tokenizer.ggml.tokens claims 1099511627776 elements"), "{message}");
}
