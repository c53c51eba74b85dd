use super::super::{Beside, Source, SplitOptions};
use super::*;
use std::fs;
use std::path::PathBuf;

/// A file in a folder of its own.
fn file(name: &str, text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn read(name: &str, text: &str, options: LmLoadOptions) -> Result<LmDataset, String> {
    let (folder, path) = file(name, text);
    let place = format!("{}/", folder.path().display());
    load(&Source::open(&path, None).unwrap(), options).map_err(|error| error.to_string().replace(&place, ""))
}

fn rows(name: &str, text: &str) -> LmDataset {
    read(name, text, LmLoadOptions::default()).unwrap()
}

fn error(name: &str, text: &str) -> String {
    read(name, text, LmLoadOptions::default()).unwrap_err()
}

fn completion(prompt: &str, completion: &str) -> Content {
    Content::Completion { prompt: prompt.into(), completion: completion.into() }
}

#[test]
fn every_layout_is_recognised_in_every_format() {
    let alpaca = Content::Alpaca { instruction: "a".into(), input: String::new(), output: "c\nd".into() };
    let data = rows("a.json", "[\n{\"instruction\":\"a\",\"input\":\"\",\"output\":\"c\\nd\"}]");
    assert_eq!((data.layout, data.examples[0].line), (Layout::Alpaca, 2));
    assert_eq!(data.examples[0].content, alpaca);
    assert_eq!(
        rows("a.csv", "output,instruction\n\"c\nd\",a\n").examples[0].content,
        alpaca,
        "no input at all"
    );
    let data = rows("a.tsv", "prompt\tcompletion\tadapter\na\tb\tx\nc\td\t \n");
    assert_eq!(data.examples[0].content, completion("a", "b"));
    let adapters: Vec<Option<&str>> = data.examples.iter().map(|row| row.adapter.as_deref()).collect();
    assert_eq!(adapters, [Some("x"), None]);
    assert_eq!(rows("a.jsonl", "{\"text\":\" a \"}\n").examples[0].content, Content::Text(" a ".into()));
    let turns =
        Content::Messages(vec![Message::new("system", "s"), Message::user("q"), Message::assistant("a")]);
    for text in [
        r#"{"messages":[{"role":"system","content":"s"},{"role":"user","content":"q"},{"content":"a","role":"assistant"}]}"#,
        r#"{"conversations":[{"from":"system","value":"s"},{"from":"human","value":"q"},{"from":"gpt","value":"a"}]}"#,
        r#"{"messages":"[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":\"a\"}]"}"#,
    ] {
        let data = rows("a.jsonl", text);
        assert_eq!((data.layout, &data.examples[0].content), (Layout::Messages, &turns));
    }
}

#[test]
fn what_is_guessed_and_what_is_not_read_is_said() {
    let text = "instruction,output,text,source\na,b,c,d\n";
    assert_eq!(
        rows("a.csv", text).guess.unwrap(),
        "the rows are laid out as alpaca (columns instruction, input, output) (guessed; choose with --layout); \
         not read: `text`, `source`"
    );
    let chosen = LmLoadOptions { layout: Some(Layout::Text), ..LmLoadOptions::default() };
    let data = read("a.csv", text, chosen).unwrap();
    assert_eq!((data.layout, data.examples[0].content.clone()), (Layout::Text, Content::Text("c".into())));
    let plain = read("a.csv", "text\nc\n", chosen).unwrap();
    assert_eq!(plain.guess, None);
    let message = read("a.csv", "a,b\nc,d\n", LmLoadOptions::default()).unwrap_err();
    assert!(message.contains("a.csv: its columns are `a`, `b`; rows must be messages"), "{message}");
    let message = read("a.csv", "prompt,b\nc,d\n", chosen).unwrap_err();
    assert!(message.ends_with("rows must be text (a column text)"), "{message}");
    assert!("chat".parse::<Layout>().unwrap_err().to_string().contains("messages, alpaca, completion, text"));
    assert!(Layout::ALL.iter().all(|layout| layout.name().parse::<Layout>().unwrap() == *layout));
}

#[test]
fn rows_that_do_not_fit_are_reported_together_with_their_lines() {
    let message = error("a.csv", "prompt,completion\na,b\n,x\nx,\nc,d,e\n");
    for part in
        ["a.csv has 3 rows", "line 3: the prompt is empty", "line 4: the completion is empty", "line 5"]
    {
        assert!(message.contains(part), "{message}");
    }
    for (row, reason) in [
        ("{\"messages\":[]}", "empty"),
        ("{\"messages\":7}", "not a JSON list"),
        ("{\"messages\":{\"role\":\"user\"}}", "not a JSON list"),
        ("{\"messages\":[\"a\"]}", "message 1: must be {\"role\""),
        (
            "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":null}]}",
            "message 2: `content` must be a text",
        ),
        ("{\"messages\":[{\"role\":\"wizard\",\"content\":\"a\"}]}", "no role is named `wizard`"),
        ("{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}", "nothing to learn"),
        (
            "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\" \"}]}",
            "nothing to learn",
        ),
        ("{\"messages\":null,\"conversations\":null}", "there are no messages"),
        ("{\"messages\":\"[[[\"}", "not a JSON list"),
    ] {
        let message = error("a.jsonl", &format!("{row}\n"));
        assert!(message.contains("line 1: ") && message.contains(reason), "{row}: {message}");
    }
    let many =
        format!("{{\"messages\":[{}]}}", vec!["{\"role\":\"user\",\"content\":\"a\"}"; 1001].join(","));
    assert!(error("a.jsonl", &many).contains("at most 1000"));
    let deep = format!("{{\"messages\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(error("a.jsonl", &deep).contains("line 1"));
    let skip = LmLoadOptions { skip_bad_rows: true, ..LmLoadOptions::default() };
    let data = read("a.csv", "prompt,completion\na,b\n,x\n", skip).unwrap();
    assert_eq!((data.examples.len(), data.counts.unusable, data.counts.read), (1, 1, 2));
    assert!(read("a.csv", "prompt,completion\n,x\n", skip).is_err(), "no row at all");
}

#[test]
fn lists_are_still_refused_in_rows_to_classify() {
    let (_folder, path) = file("a.jsonl", "{\"text\":[1],\"label\":0}\n");
    assert!(super::super::read_table(&path).unwrap_err().to_string().contains("holds a list"));
}

#[test]
fn copies_are_kept_once_but_for_prompts() {
    let text = "prompt,completion\na,b\na,b\na,c\n";
    let data = rows("a.csv", text);
    assert_eq!((data.examples.len(), data.counts.duplicates), (2, 1));
    let prompts = LmLoadOptions { prompts_only: true, ..LmLoadOptions::default() };
    assert_eq!(read("a.csv", text, prompts).unwrap().examples.len(), 3);
    let data = read("a.csv", "instruction\na\n", prompts).unwrap();
    assert_eq!(data.examples[0].content.reference(), None);
    let turn = "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}";
    assert!(read("a.jsonl", turn, prompts).is_ok());
}

#[test]
fn a_reference_is_what_should_be_generated() {
    assert_eq!(completion("a", "b").reference(), Some("b"));
    assert_eq!(completion("a", " ").reference(), None);
    let turns = vec![Message::user("q"), Message::assistant("a")];
    assert_eq!(Content::Messages(turns.clone()).reference(), Some("a"));
    assert_eq!(Content::Messages(turns[..1].to_vec()).reference(), None);
    assert_eq!(Content::Text("a".into()).reference(), None);
}

/// SplitMix64.
fn random(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn numbered(count: usize) -> LmDataset {
    let text: String = (0..count).map(|row| format!("q{row},a{row}\n")).collect();
    rows("a.csv", &format!("prompt,completion\n{text}"))
}

fn lines(rows: &[LmExample]) -> Vec<u64> {
    rows.iter().map(|row| row.line).collect()
}

#[test]
fn a_split_is_a_partition_that_its_seed_fixes() {
    let data = numbered(100);
    let of = |options: &str, seed| {
        let options: SplitOptions = toml::from_str(options).unwrap();
        data.split(&options, Beside::default(), &mut random(seed)).unwrap().0
    };
    let split = of("", 1);
    assert_eq!((split.train.len(), split.validation.len(), split.test.len()), (72, 8, 20));
    let mut all = [&split.train, &split.validation, &split.test].map(|part| lines(part)).concat();
    assert!(!all.is_sorted());
    all.sort_unstable();
    assert_eq!(all, (2..102).collect::<Vec<u64>>());
    assert_eq!(split, of("", 1));
    assert_ne!(split.test, of("", 2).test);
    let (few, many) = (of("train = 10\ntest = 20", 1), of("train = 50\ntest = 20", 1));
    assert_eq!((&few.test, &many.test), (&split.test, &split.test));
    assert_eq!(few.train[..], many.train[..10]);
}

#[test]
fn nothing_that_is_asked_in_the_test_file_is_trained_on() {
    let data = numbered(10);
    let test = rows("t.csv", "prompt,completion\n q3 ,other\nnew,x\n");
    let beside = Beside { validation: None, test: Some(&test) };
    let (split, summary) = data.split(&SplitOptions::default(), beside, &mut random(1)).unwrap();
    assert_eq!((split.test.clone(), summary.elsewhere), (test.examples.clone(), 1));
    assert!(!lines(&split.train).contains(&5) && split.train.len() + split.validation.len() == 9);
    let options: SplitOptions = toml::from_str("test = 1").unwrap();
    assert_eq!(data.split(&options, beside, &mut random(1)).unwrap().0.test.len(), 1);
    let options: SplitOptions = toml::from_str("test = 3").unwrap();
    assert!(data.split(&options, beside, &mut random(1)).unwrap_err().to_string().contains("2 rows"));
    let said = summary.to_string();
    assert!(said.contains("10 rows, 1 in the test file too; 9 used"), "{said}");
    assert!(said.contains("2 rows, 0 left out\ntrain: 9 rows, validation: 0, test: 2"), "{said}");
    let validation = rows("v.csv", "prompt,completion\nq1,x\nq2,x\nnew,y\n");
    let beside = Beside { validation: Some(&validation), ..beside };
    let (split, summary) = data.split(&SplitOptions::default(), beside, &mut random(1)).unwrap();
    assert_eq!((split.validation, split.train.len()), (validation.examples[..2].to_vec(), 7));
    assert!(summary.to_string().contains("10 rows, 3 in the other files too; 7 used"), "{summary}");
}

#[test]
fn rows_are_read_back_as_they_were_written() {
    let texts = [
        "{\"instruction\":\"a\\n\",\"input\":\"\",\"output\":\"é\",\"adapter\":\"x\"}",
        "{\"prompt\":\" a\",\"completion\":\"b \"}",
        "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":\"\\\"\"}]}",
        "{\"text\":\"t\"}",
    ];
    for text in texts {
        let data = rows("a.jsonl", text);
        let (_folder, path) = file("b.jsonl", "");
        write_jsonl(&path, &data.examples).unwrap();
        assert_eq!(
            load(&Source::open(&path, None).unwrap(), LmLoadOptions::default()).unwrap().examples,
            data.examples
        );
    }
}
