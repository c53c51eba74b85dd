//! How many texts a GGUF file's tokenizer cuts as transformers does: `gguf_tokens MODEL.gguf tokens.json`,
//! with the file that scripts/reference/make.py writes.

use anyhow::{Context, Result};
use offshoot_models::gguf::Gguf;
use serde::Deserialize;
use std::path::Path;

#[derive(Deserialize)]
struct Tokens {
    before_every_text: Vec<u32>,
    rows: Vec<Text>,
    odd: Vec<Text>,
}

#[derive(Deserialize)]
struct Text {
    text: String,
    ids: Vec<u32>,
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let (model, tokens) =
        args.next().zip(args.next()).context("usage: gguf_tokens MODEL.gguf tokens.json")?;
    let tokens: Tokens = serde_json::from_str(&std::fs::read_to_string(&tokens)?)?;
    let tokenizer = Gguf::open(Path::new(&model))?.tokenizer()?;
    let mut same = 0;
    for row in tokens.rows.iter().chain(&tokens.odd) {
        let found = tokenizer.encode(&row.text, None, usize::MAX)?.ids;
        let found = found.strip_prefix(tokens.before_every_text.as_slice());
        if found == Some(&row.ids) {
            same += 1;
        } else {
            println!("{:?}\n  {found:?}\n  {:?}", row.text, row.ids);
        }
    }
    println!("{same} of {} texts are the same", tokens.rows.len() + tokens.odd.len());
    Ok(())
}
