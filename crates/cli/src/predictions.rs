//! Predictions on their way out, as CSV or JSONL.

use clap::ValueEnum;
use offshoot::train::Said;
use offshoot::train::data::write_csv_record;
use serde_json::{Map, Value, json};
use std::io::{self, Write};
use std::path::Path;

/// The form of predictions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// A column for the line, the label, and the probability of each label as `p_LABEL`, or for the number.
    Csv,
    /// An object a line: `{"line": 2, "label": "1", "probabilities": {"0": 0.1, "1": 0.9}}`.
    Jsonl,
}

impl Form {
    /// The form that a file's extension asks for; CSV where it says nothing.
    pub(crate) fn of(path: Option<&Path>) -> Self {
        let extension = path.and_then(Path::extension).and_then(|extension| extension.to_str());
        match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("jsonl" | "ndjson") => Self::Jsonl,
            _ => Self::Csv,
        }
    }
}

/// What is said about a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Prediction {
    /// Its file, where there are several.
    pub(crate) file: Option<String>,
    /// Where the row begins in its file, from 1.
    pub(crate) line: usize,
    /// The adapter that was asked, where there are several.
    pub(crate) adapter: Option<String>,
    pub(crate) said: Said,
}

/// Writes predictions, in their order.
///
/// # Errors
/// If the writer fails.
pub(crate) fn write(out: &mut dyn Write, predictions: &[Prediction], form: Form) -> io::Result<()> {
    match form {
        Form::Csv => csv(out, predictions),
        Form::Jsonl => predictions.iter().try_for_each(|prediction| writeln!(out, "{}", object(prediction))),
    }
}

fn csv(out: &mut dyn Write, predictions: &[Prediction]) -> io::Result<()> {
    let labels = labels(predictions);
    let several = predictions.iter().any(|prediction| prediction.adapter.is_some());
    let files = predictions.iter().any(|prediction| prediction.file.is_some());
    let mut header: Vec<String> = files.then(|| "file".to_owned()).into_iter().collect();
    header.push("line".to_owned());
    header.extend(several.then(|| "adapter".to_owned()));
    let (labelled, numbered) = kinds(predictions);
    header.extend(labelled.then(|| "label".to_owned()));
    header.extend(numbered.then(|| "number".to_owned()));
    header.extend(labels.iter().map(|label| format!("p_{label}")));
    record(out, &header)?;
    for prediction in predictions {
        let mut fields: Vec<String> =
            files.then(|| prediction.file.clone().unwrap_or_default()).into_iter().collect();
        fields.push(prediction.line.to_string());
        fields.extend(several.then(|| prediction.adapter.clone().unwrap_or_default()));
        fields.extend(labelled.then(|| prediction.said.label.clone().unwrap_or_default()));
        fields.extend(numbered.then(|| prediction.said.number.map(number).unwrap_or_default()));
        fields.extend(labels.iter().map(|label| probability(prediction, label)));
        record(out, &fields)?;
    }
    Ok(())
}

/// Whether there are labels, and whether there are numbers: adapters of several tasks may be asked together.
fn kinds(predictions: &[Prediction]) -> (bool, bool) {
    let numbered = predictions.iter().any(|prediction| prediction.said.number.is_some());
    (!numbered || predictions.iter().any(|prediction| prediction.said.label.is_some()), numbered)
}

/// The fewest digits that tell it from its neighbours among the numbers that the model computes with.
fn number(number: f64) -> String {
    (number as f32).to_string()
}

fn record(out: &mut dyn Write, fields: &[String]) -> io::Result<()> {
    write_csv_record(out, &fields.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A label's probability; nothing where the row's adapter does not know the label.
fn probability(prediction: &Prediction, label: &str) -> String {
    let found = prediction.said.probabilities.iter().find(|(name, _)| name == label);
    found.map_or_else(String::new, |(_, probability)| format!("{probability:.6}"))
}

/// Every adapter's labels, each once.
fn labels(predictions: &[Prediction]) -> Vec<String> {
    let mut labels: Vec<String> = Vec::new();
    let mut last: Option<&Option<String>> = None;
    for prediction in predictions.iter() {
        // Rows of one adapter have the same labels: only where it changes is there something to see.
        if last == Some(&prediction.adapter) {
            continue;
        }
        last = Some(&prediction.adapter);
        for (label, _) in &prediction.said.probabilities {
            if !labels.contains(label) {
                labels.push(label.clone());
            }
        }
    }
    labels
}

fn object(prediction: &Prediction) -> Value {
    let Said { label, number, probabilities } = &prediction.said;
    let mut object = match &prediction.file {
        Some(file) => json!({ "file": file, "line": prediction.line }),
        None => json!({ "line": prediction.line }),
    };
    if let Some(adapter) = &prediction.adapter {
        object["adapter"] = json!(adapter);
    }
    if let Some(number) = number {
        object["number"] = json!(number);
        return object;
    }
    object["label"] = json!(label);
    object["probabilities"] = probabilities
        .iter()
        .map(|(label, value)| (label.clone(), json!(value)))
        .collect::<Map<String, Value>>()
        .into();
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prediction(adapter: Option<&str>, labels: [&str; 2]) -> Prediction {
        let probabilities = vec![(labels[0].to_owned(), 0.25), (labels[1].to_owned(), 0.75)];
        let adapter = adapter.map(str::to_owned);
        let said = Said { label: Some(labels[1].to_owned()), number: None, probabilities };
        Prediction { file: None, line: 2, adapter, said }
    }

    fn numbered(adapter: Option<&str>, number: f64) -> Prediction {
        let said = Said { number: Some(number), ..Said::default() };
        Prediction { file: None, line: 3, adapter: adapter.map(str::to_owned), said }
    }

    fn text(predictions: &[Prediction], form: Form) -> String {
        let mut out = Vec::new();
        write(&mut out, predictions, form).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn one_adapter_has_a_column_a_label() {
        let predictions = [prediction(None, ["no", "yes, sir"])];
        let csv = "line,label,p_no,\"p_yes, sir\"\n2,\"yes, sir\",0.250000,0.750000\n";
        assert_eq!(text(&predictions, Form::Csv), csv);
        let object =
            "{\"line\":2,\"label\":\"yes, sir\",\"probabilities\":{\"no\":0.25,\"yes, sir\":0.75}}\n";
        assert_eq!(text(&predictions, Form::Jsonl), object);
    }

    #[test]
    fn several_adapters_are_named_and_leave_others_labels_empty() {
        let predictions = [prediction(Some("a"), ["x", "y"]), prediction(Some("b"), ["y", "z"])];
        let csv =
            "line,adapter,label,p_x,p_y,p_z\n2,a,y,0.250000,0.750000,\"\"\n2,b,z,\"\",0.250000,0.750000\n";
        assert_eq!(text(&predictions, Form::Csv), csv);
    }

    #[test]
    fn rows_of_several_files_are_named_with_theirs() {
        let predictions = [Prediction { file: Some("a.csv".into()), ..prediction(None, ["x", "y"]) }];
        assert!(text(&predictions, Form::Csv).starts_with("file,line,label,p_x,p_y\na.csv,2,y,"));
        assert!(text(&predictions, Form::Jsonl).starts_with("{\"file\":\"a.csv\",\"line\":2,"));
    }

    #[test]
    fn a_number_has_a_column_of_its_own() {
        let predictions = [numbered(None, f64::from(0.1_f32)), numbered(None, -20.0)];
        assert_eq!(text(&predictions, Form::Csv), "line,number\n3,0.1\n3,-20\n");
        let objects = text(&predictions, Form::Jsonl);
        let first: Value = serde_json::from_str(objects.lines().next().unwrap()).unwrap();
        assert!(
            (first["number"].as_f64().unwrap() - 0.1).abs() < 1e-8 && first.get("label").is_none(),
            "{first}"
        );
        let both = [prediction(Some("a"), ["x", "y"]), numbered(Some("b"), 2.5)];
        let csv = "line,adapter,label,number,p_x,p_y\n2,a,y,\"\",0.250000,0.750000\n3,b,\"\",2.5,\"\",\"\"\n";
        assert_eq!(text(&both, Form::Csv), csv);
    }

    #[test]
    fn the_extension_gives_the_form() {
        let of = |name: &str| Form::of(Some(Path::new(name)));
        assert_eq!(
            [of("a.JSONL"), of("a.csv"), of("a"), Form::of(None)],
            [Form::Jsonl, Form::Csv, Form::Csv, Form::Csv]
        );
    }
}
