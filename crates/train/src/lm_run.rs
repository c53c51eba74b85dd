//! Language models: from a recipe to rows in memory, and one run on them.

use crate::data::instruct::{self, Layout, LmDataset, LmExample, LmSplit, LmSummary};
use crate::data::{Beside, Source, Sources, SplitOptions};
use crate::frozen::States;
use crate::instruct::{LmEncoder, LmRow, LmSettings};
use crate::language_model::LanguageModel;
use crate::memory::{peak_rss, reset_peak_rss};
use crate::prompting;
use crate::recipe::Recipe;
use crate::report::RunReport;
use crate::rows::Lengths;
use crate::snapshot::fingerprint;
use crate::text_metrics::TextMetrics;
use crate::text_rows::{Shots, TextRows};
use crate::text_tools::TextTools;
use crate::trainer::{Event, Given, Learner, Outcome, TrainSettings, check_lengths, train};
use crate::{Error, Generate, Result, Score, Snapshots};
use offshoot_core::Rng;
use offshoot_methods::{MethodConfig, Saves};
use offshoot_models::{LoadOptions, Model, Task};
use std::path::Path;
use std::time::{Duration, Instant};

/// What every run on the same rows shares.
pub struct LmPrepared {
    /// The frozen model.
    pub model: Model,
    /// The model as the user named it.
    pub model_name: String,
    /// Its tokenizer and chat template.
    pub tools: TextTools,
    /// Rows to train on.
    pub train: Vec<LmRow>,
    /// Rows that choose the epoch.
    pub validation: Vec<LmRow>,
    /// Rows that are only measured on.
    pub test: Vec<LmRow>,
    /// All these rows before they were tokenised, for what is written around them and from their prompts.
    pub examples: LmSplit,
    /// The file that they come from, for messages.
    pub file: String,
    /// How they are tokenised.
    pub settings: LmSettings,
    /// For how many test rows a text is generated too.
    pub generate: Generate,
    /// Outputs of frozen blocks that runs may share.
    pub states: States,
    /// The states of unfinished runs, if they are kept.
    pub snapshots: Option<Snapshots>,
    /// When the process started.
    pub started: Instant,
    /// What it took to prepare all this.
    pub startup: Duration,
}

/// What a run says before it starts.
#[derive(Clone, Debug)]
pub struct LmBriefing {
    /// What became of the rows.
    pub summary: LmSummary,
    /// How the rows are laid out.
    pub layout: Layout,
    /// How the rows are laid out, where that was guessed.
    pub guess: Option<String>,
    /// Lengths of the training rows, in tokens.
    pub train_lengths: Lengths,
    /// Lengths of the test rows.
    pub test_lengths: Lengths,
    /// Rows are cut to so many tokens.
    pub max_length: usize,
    /// What was noticed while rows and model were loaded.
    pub notes: Vec<String>,
}

/// Loads the model in `folder` as a language model and the recipe's rows, and tokenises them.
///
/// # Errors
/// Everything that is wrong with the model, the data, or how they fit together, before any training.
pub fn prepare_lm(recipe: &Recipe, folder: &Path, started: Instant) -> Result<(LmPrepared, LmBriefing)> {
    recipe.train.check()?;
    if recipe.train.class_weights.is_some() {
        return Err(Error::invalid("class weights are for classification; leave --class-weights out"));
    }
    let sources = recipe.data.sources()?;
    let (dataset, split, summary) = split(recipe, &sources)?;
    let options = LoadOptions { task: Task::LanguageModel, pooling: None, pickles: recipe.model.pickles };
    let mut model = Model::open(folder, &options, &recipe.model.dtype.device())?;
    model.pack();
    let tools = TextTools::open(&model, folder)?.dated(recipe.data.date);
    let max_length = recipe.data.max_length.min(model.backbone.shape().positions);
    let settings = LmSettings { max_length, train_on_prompt: recipe.data.train_on_prompt };
    let encoder = LmEncoder::new(&tools.tokenizer, tools.template.as_ref(), &tools.special, settings)?;
    let rows = |examples: &[LmExample]| encoder.rows(&dataset.file, examples);
    let (train, validation, test) = (rows(&split.train)?, rows(&split.validation)?, rows(&split.test)?);
    let briefing = LmBriefing {
        summary,
        layout: dataset.layout,
        guess: dataset.guess.clone(),
        train_lengths: Lengths::of(&train),
        test_lengths: Lengths::of(&test),
        max_length,
        notes: sources.note.into_iter().chain(model.notes.clone()).collect(),
    };
    let prepared = LmPrepared {
        model,
        model_name: recipe.model.name.clone(),
        tools,
        train,
        validation,
        test,
        examples: split,
        file: dataset.file,
        settings,
        generate: recipe.data.generate,
        states: States::default(),
        snapshots: None,
        started,
        startup: started.elapsed(),
    };
    Ok((prepared, briefing))
}

/// The recipe's rows. The split hangs on the recipe's seed alone.
fn split(recipe: &Recipe, sources: &Sources) -> Result<(LmDataset, LmSplit, LmSummary)> {
    let dataset = instruct::load(&sources.train, recipe.data.instruct)?;
    let load = |source: &Option<Source>| source.as_ref().map(|source| dataset.load_test(source)).transpose();
    let (validation, test) = (load(&sources.validation)?, load(&sources.test)?);
    let beside = Beside { validation: validation.as_ref(), test: test.as_ref() };
    let mut rng = Rng::new(recipe.train.seed).fork("split");
    let options: &SplitOptions = &recipe.data.split;
    let (split, summary) = dataset.split(options, beside, &mut || rng.next_u64())?;
    Ok((dataset, split, summary))
}

impl LmPrepared {
    /// Trains a method and measures it.
    ///
    /// # Errors
    /// If a setting does not fit, or training meets a value that is not finite.
    pub fn run(
        &self,
        method: &MethodConfig,
        settings: &TrainSettings,
        watch: &mut dyn FnMut(Event),
    ) -> Result<(LanguageModel, RunReport)> {
        let begun = Instant::now();
        self.model.device().release_unused();
        reset_peak_rss();
        let mut grown = LanguageModel::new(&self.model, method, settings.seed)?;
        let startup_seconds = (self.startup + begun.elapsed()).as_secs_f64();
        let report = self.train(&mut grown, settings, watch)?;
        Ok((grown, RunReport { startup_seconds, ..report }))
    }

    /// Trains a language model that is there already, and measures it.
    ///
    /// # Errors
    /// If training meets a value that is not finite.
    pub fn train(
        &self,
        grown: &mut LanguageModel,
        settings: &TrainSettings,
        watch: &mut dyn FnMut(Event),
    ) -> Result<RunReport> {
        check_lengths(grown, [&self.train, &self.validation, &self.test])?;
        let startup_seconds = self.started.elapsed().as_secs_f64();
        let outcome = self.fit(grown, settings, watch)?;
        let start = Instant::now();
        let tested = self.tested(grown, settings)?;
        let generated = self.generated(grown)?;
        let (trainable_parameters, total_parameters) = grown.sizes();
        let report = RunReport {
            model: self.model_name.clone(),
            task: Task::LanguageModel,
            dtype: self.model.arithmetic().to_string(),
            rows_hash: self.fingerprint(),
            trainable_parameters,
            total_parameters,
            train_rows: settings.part(&self.train).len(),
            test_rows: self.test.len(),
            startup_seconds,
            evaluate_seconds: start.elapsed().as_secs_f64(),
            peak_rss_bytes: peak_rss(),
            test: tested.map(|(score, _)| score),
            generated,
            shots: tested.and_then(|(_, shots)| shots),
            ..RunReport::of(&grown.method, settings)
        };
        Ok(report.with(outcome))
    }

    /// A hash of all rows.
    pub(crate) fn fingerprint(&self) -> String {
        fingerprint(&[&self.train, &self.validation, &self.test])
    }

    /// The loss of the model as it is, on the test rows.
    ///
    /// # Errors
    /// As the model fails on a row.
    pub fn untuned(&self, settings: &TrainSettings) -> Result<Option<Score>> {
        let tested = self.tested(&LanguageModel::untuned(&self.model)?, settings)?;
        Ok(tested.map(|(score, _)| score))
    }

    /// What the model as it is writes for test rows, if that was asked for.
    ///
    /// # Errors
    /// If no test row has a prompt with an answer; as the model fails on a row.
    pub fn untuned_text(&self) -> Result<Option<TextMetrics>> {
        self.generated(&LanguageModel::untuned(&self.model)?)
    }

    /// Rows of this model's, of one part.
    pub fn part<'a>(&'a self, examples: &'a [LmExample]) -> TextRows<'a> {
        TextRows { tools: &self.tools, chat: true, file: &self.file, examples, settings: self.settings }
    }

    /// Trains, or chooses what is asked.
    fn fit(
        &self,
        grown: &mut LanguageModel,
        settings: &TrainSettings,
        watch: &mut dyn FnMut(Event),
    ) -> Result<Outcome> {
        if grown.method.saves() != Saves::Prompt {
            let (train_rows, validation) = (settings.part(&self.train), &self.validation);
            let snapshots = self.snapshots.as_ref().map(|all| all.of(&grown.method, settings));
            let given =
                Given { train: train_rows, validation, states: Some(&self.states), snapshots, stop: None };
            return train(grown, given, settings, watch);
        }
        let outcome = prompting::texts::choose(self, grown, settings, watch)?;
        let validation = self.measure(grown, (&self.validation, &self.examples.validation), settings)?;
        Ok(Outcome { validation: validation.map(|(score, _)| score), ..outcome })
    }

    fn tested(
        &self,
        grown: &LanguageModel,
        settings: &TrainSettings,
    ) -> Result<Option<(Score, Option<Shots>)>> {
        self.measure(grown, (&self.test, &self.examples.test), settings)
    }

    fn generated(&self, grown: &LanguageModel) -> Result<Option<TextMetrics>> {
        self.part(&self.examples.test).generate(grown, self.generate, &mut |_| ())
    }

    fn measure(
        &self,
        grown: &LanguageModel,
        (rows, examples): (&[LmRow], &[LmExample]),
        settings: &TrainSettings,
    ) -> Result<Option<(Score, Option<Shots>)>> {
        match (rows.is_empty(), &grown.prompt) {
            (true, _) => Ok(None),
            (false, None) => {
                let cache = self.states.open(grown, rows.first(), 1)?;
                Ok(Some((grown.score_known(rows, settings.batch_tokens, &cache)?, None)))
            }
            (false, Some(_)) => self.part(examples).score(grown, settings.batch_tokens).map(Some),
        }
    }
}
