//! Doing what the library did in a case.

use super::case::Task;
use super::subject::Subject;
use super::{Case, Expected, Report};
use anyhow::{Context, Result, bail, ensure};
use offshoot_core::optim::{AdamW, Settings};
use offshoot_core::{Device, Mode, Param, Params, Tape};
use offshoot_methods::MethodConfig;
use offshoot_methods::formats::{CONFIG_FILE, Format, Imported, Tensors, import};
use offshoot_models::weights::read_tensors;
use offshoot_models::{LoadOptions, Model};
use std::path::Path;

/// The names of the networks that compute virtual tokens. The libraries save what they compute, not them.
const NETWORKS: [&str; 2] = ["prompt_encoder.mlp_head.", "prompt_encoder.transform."];

/// Loads a case's model and adapter, and compares logits, and, where the case trains, losses, gradients and
/// steps.
///
/// # Errors
/// If something cannot be loaded or built, or if the trained tensors are not the reference's; the message
/// names them.
pub fn replay(case: &Case) -> Result<Report> {
    let task = match case.settings.task {
        Task::Classification => offshoot_models::Task::Classification,
        Task::CausalLm => offshoot_models::Task::LanguageModel,
    };
    let options = LoadOptions { task, ..LoadOptions::default() };
    let model = Model::open(&case.folder.join(&case.settings.model), &options, &Device::cpu())?;
    let served = subject(case, &model, Tensors::new())?;
    if case.settings.method == "none" {
        return untrained(case, &served);
    }
    let mut trained = subject(case, &model, network(&case.expected.before))?;
    matched(trained.params(), &case.expected)?;
    let mut report = Report::new((trained.params().count(), case.settings.trainable));
    let (ours, theirs) = served.logits(&case.expected)?;
    report.logits(&ours, &theirs);
    train(case, &mut trained, &mut report)?;
    Ok(report)
}

/// A case that trains nothing: the head stands in the parameters all the same, but takes no step.
fn untrained(case: &Case, served: &Subject) -> Result<Report> {
    let expected = &case.expected;
    ensure!(
        expected.before.is_empty(),
        "the method `none` trains nothing, and the case has `before` tensors"
    );
    let (ours, theirs) = served.logits(expected)?;
    let mut report = Report::new((0, case.settings.trainable));
    report.logits(&ours, &theirs);
    report.losses(&[evaluate(served, expected)?], &case.settings.losses);
    Ok(report)
}

/// The model with the case's method and head. Their values are those that were saved, with `network` beside;
/// without saved ones, those of `before`.
fn subject(case: &Case, model: &Model, network: Tensors) -> Result<Subject> {
    let classes = case.expected.logits.0.last().copied().unwrap_or(0);
    let Some(folder) = &case.settings.adapter else {
        let mut subject = Subject::new(model, case.settings.task, &without_adapter(case)?, classes)?;
        set(subject.params_mut(), &case.expected.before)?;
        return Ok(subject);
    };
    let mut imported = read(&case.folder.join(folder), network, model)?;
    let mut subject = Subject::new(model, case.settings.task, &imported.method, classes)?;
    complete_head(&mut imported, &subject, &case.expected.before);
    imported.load_into(subject.params_mut())?;
    Ok(subject)
}

/// The method of a case that has no adapter's files. `none` is a head without steps.
fn without_adapter(case: &Case) -> Result<MethodConfig> {
    match case.settings.method.as_str() {
        "none" => Ok(MethodConfig::named("head")?),
        method @ ("head" | "full") => Ok(MethodConfig::named(method)?),
        other => bail!("a case of `{other}` needs an adapter's files; none, head and full have none"),
    }
}

/// Reads an adapter's files, with `network` as if it stood in a file beside them.
fn read(folder: &Path, network: Tensors, model: &Model) -> Result<Imported> {
    let json = std::fs::read(folder.join(CONFIG_FILE)).context(CONFIG_FILE)?;
    let config = serde_json::from_slice(&json).context(CONFIG_FILE)?;
    let tensors = read_tensors(&folder.join(Format::detect(&config)?.weights_file()))?;
    Ok(import(&config, tensors, network, model.backbone.as_ref())?)
}

/// Takes a head that the adapter's files do not hold from `before`, or else leaves it the checkpoint's.
fn complete_head(imported: &mut Imported, subject: &Subject, before: &Tensors) {
    for weight in subject.head() {
        let value = weight.value(subject.params());
        let own = || (value.shape().to_vec(), value.to_vec());
        let value = || before.get(weight.name()).cloned().unwrap_or_else(own);
        imported.head.entry(weight.name().to_owned()).or_insert_with(value);
    }
}

/// The network behind virtual tokens, with their table, if the case trains one.
fn network(before: &Tensors) -> Tensors {
    let of_network = |name: &String| NETWORKS.iter().any(|network| name.starts_with(network));
    if !before.keys().any(of_network) {
        return Tensors::new();
    }
    let part = |(name, _): &(&String, _)| name.starts_with("prompt_encoder.");
    before.iter().filter(part).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Checks that what we train is what the reference trained, tensor by tensor.
fn matched(params: &Params, expected: &Expected) -> Result<()> {
    let mut problems = Vec::new();
    for (part, tensors) in
        [("before", &expected.before), ("grad", &expected.grad), ("after", &expected.after)]
    {
        for param in params.iter() {
            match tensors.get(param.name()) {
                None => problems.push(format!("{} is trained and not in `{part}`", param.name())),
                Some((shape, _)) if shape != param.value().shape() => {
                    problems.push(format!(
                        "{} is {:?}, and {shape:?} in `{part}`",
                        param.name(),
                        param.value().shape()
                    ));
                }
                Some(_) => {}
            }
        }
        let leftover = tensors.keys().filter(|name| params.find(name).is_none());
        problems.extend(leftover.map(|name| format!("{name} is in `{part}` and not trained")));
    }
    ensure!(problems.is_empty(), "the trained tensors differ: {}", problems.join("; "));
    Ok(())
}

/// The mean loss.
fn evaluate(subject: &Subject, expected: &Expected) -> Result<f32> {
    Ok(subject.loss(expected, Mode::Evaluate)?.value() / subject.labelled(expected) as f32)
}

/// Takes the case's steps from `before`, and compares on the way.
fn train(case: &Case, subject: &mut Subject, report: &mut Report) -> Result<()> {
    let expected = &case.expected;
    set(subject.params_mut(), &expected.before)?;
    let (settings, mut optimizer) = (settings(case), AdamW::new(subject.params()));
    let labelled = subject.labelled(expected) as f32;
    let (mut losses, mut own) = (Vec::new(), Vec::new());
    for step in 0..case.settings.steps {
        let tape = Tape::new();
        let loss = subject.loss(expected, Mode::Train(tape.clone(), None))?;
        losses.push(loss.value() / labelled);
        tape.backward(&loss, 1.0 / labelled)?;
        if step == 0 {
            own = gradients(subject.params(), expected, report);
        }
        optimizer.step(subject.params_mut(), &settings, 1.0)?;
    }
    losses.push(evaluate(subject, expected)?);
    report.losses(&losses, &case.settings.losses);
    after(subject.params(), expected, &own, report);
    Ok(())
}

fn settings(case: &Case) -> Settings {
    let super::Optimizer { lr, betas: [beta1, beta2], eps, weight_decay, .. } = case.settings.optimizer;
    Settings { lr, beta1, beta2, eps, weight_decay }
}

fn set(params: &mut Params, values: &Tensors) -> Result<()> {
    for param in params.iter_mut() {
        if let Some((_, values)) = values.get(param.name()) {
            param.set(values)?;
        }
    }
    Ok(())
}

/// Compares all gradients, and gives ours. One that nothing reached is zero.
fn gradients(params: &Params, expected: &Expected, report: &mut Report) -> Vec<Vec<f32>> {
    let compare = |param: &Param| {
        let ours = param.gradient().unwrap_or_else(|| vec![0.0; param.value().len()]);
        report.gradient(param.name(), &ours, values(&expected.grad, param));
        ours
    };
    params.iter().map(compare).collect()
}

/// Compares all tensors after the steps; `own` are our gradients in the first.
fn after(params: &Params, expected: &Expected, own: &[Vec<f32>], report: &mut Report) {
    for (param, own) in params.iter().zip(own) {
        // Where only part of a tensor has a true gradient of zero (the keys' part of GPT-2's fused bias), an
        // exact zero of the reference's is noise that cancelled if ours is noise too, not an unreached element.
        let noise = |(&theirs, &ours): (&f32, &f32)| {
            if theirs == 0.0 && ours != 0.0 { f32::MIN_POSITIVE } else { theirs }
        };
        let gradient: Vec<f32> = values(&expected.grad, param).iter().zip(own).map(noise).collect();
        report.after(param.name(), &param.value().to_vec(), values(&expected.after, param), &gradient);
    }
}

/// A parameter's values among tensors that are known to have it.
fn values<'a>(tensors: &'a Tensors, param: &Param) -> &'a [f32] {
    tensors.get(param.name()).map_or(&[], |(_, values)| values)
}
