//! Nothing twice: outputs of blocks that training does not change, kept from epoch to epoch and, in a
//! comparison, from method to method.
//!
//! A row is known by its tokens, an output by the block it comes from. Every kernel gives a row the same bits in
//! any batch, so a run has the same losses with and without what is kept here.

mod store;

use crate::Result;
use crate::rows::{Tokens, pack};
use crate::trainer::{Learner, TrainSettings};
use offshoot_core::{Batch, Known, Mode, Pass, Tape, Tensor, frozen_blocks, lowest_blocks};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use store::Store;

/// How much may be kept, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: u64,
    /// Bytes of memory and file together. With 0 nothing is kept.
    pub total: u64,
    /// Where the file is; without a folder there is none.
    pub folder: Option<PathBuf>,
}

/// Outputs of frozen blocks, for all runs on one model.
#[derive(Default)]
pub struct States {
    limits: Limits,
    /// Whether several runs read the same rows, so that keeping pays even in one epoch.
    shared: bool,
    store: Mutex<Store>,
}

/// How far up a forward pass depends on no trained value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// Not at all.
    #[default]
    Nothing,
    /// The outputs of so many of the lowest blocks.
    Blocks {
        /// How many.
        blocks: usize,
        /// Whether the output of each is read, not only that of the highest.
        all: bool,
    },
    /// Up to the one row of each sequence that the task's head reads.
    Pooled,
}

/// The level of pooled rows; a block's output has its index.
const POOLED: usize = usize::MAX;

impl Depth {
    /// That of a model and its method, as a pass over one token of `row` shows it.
    ///
    /// # Errors
    /// As the model fails on it.
    pub fn of<L: Learner>(learner: &L, row: &L::Row) -> Result<Self> {
        let adapter = learner.adapter();
        if adapter.prompt_tokens() + adapter.prefix_tokens() > 0 {
            // Virtual tokens are trained, and stand below everything.
            return Ok(Self::Nothing);
        }
        let mut batch = Batch::new();
        batch.push(&row.ids()[..1], row.types().map(|types| &types[..1]), row.line())?;
        let pass = || Pass::new(&batch, adapter, learner.params(), Mode::Train(Tape::new(), None));
        let blocks = frozen_blocks(learner.backbone(), &mut pass()?)?;
        let all = adapter.reads_states();
        if blocks == learner.backbone().shape().layers && !all {
            let pooled = learner.pooled(&mut pass()?)?;
            if pooled.is_some_and(|pooled| !pooled.is_tracked()) {
                return Ok(Self::Pooled);
            }
        }
        Ok(if blocks == 0 { Self::Nothing } else { Self::Blocks { blocks, all } })
    }

    /// How many of a model's `layers` blocks, from the lowest, give the same each time.
    pub(crate) fn blocks(self, layers: usize) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Blocks { blocks, .. } => blocks,
            Self::Pooled => layers,
        }
    }

    fn levels(self) -> Vec<usize> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Blocks { blocks, all: true } => (0..blocks).collect(),
            Self::Blocks { blocks, all: false } => vec![blocks - 1],
            Self::Pooled => vec![POOLED],
        }
    }
}

impl Limits {
    /// What a run's settings allow, with a file in `folder`.
    pub fn of(settings: &TrainSettings, folder: &Path) -> Self {
        let TrainSettings { cache_memory: memory, cache_limit: total, .. } = *settings;
        Self { memory, total, folder: Some(folder.to_owned()) }
    }
}

impl States {
    /// Keeps nothing yet. With `shared`, rows are kept even if a run reads them once.
    pub fn new(limits: Limits, shared: bool) -> Self {
        Self { limits, shared, store: Mutex::default() }
    }

    /// Opens what is kept to a run that reads `row` and others like it so many times.
    ///
    /// # Errors
    /// As the model fails on a token of the row.
    pub fn open<L: Learner>(&self, learner: &L, row: Option<&L::Row>, times: usize) -> Result<Cache<'_>> {
        let depth = match row.filter(|_| self.keep(times)) {
            Some(row) => Depth::of(learner, row)?,
            None => Depth::Nothing,
        };
        self.store().want(depth.levels());
        Ok(Cache { states: Some(self), depth, limits: self.limits.clone() })
    }

    /// Whether anything is kept of rows that a run reads so many times.
    pub(crate) fn keep(&self, times: usize) -> bool {
        self.limits.total > 0 && (self.shared || times > 1)
    }

    /// Bytes in memory and in the file.
    pub fn bytes(&self) -> (u64, u64) {
        self.store().bytes()
    }

    /// Why less is kept than the limits allow, if so.
    pub fn problem(&self) -> Option<String> {
        self.store().problem.clone()
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is kept, as one run reads it.
pub struct Cache<'a> {
    states: Option<&'a States>,
    depth: Depth,
    limits: Limits,
}

impl Cache<'_> {
    /// Keeps nothing.
    pub fn none() -> Self {
        Self { states: None, depth: Depth::Nothing, limits: Limits::default() }
    }

    /// With no more than so many bytes of memory.
    pub(crate) fn within(self, memory: u64) -> Self {
        let memory = self.limits.memory.min(memory);
        Self { limits: Limits { memory, ..self.limits }, ..self }
    }

    /// How far up the run's passes are the same each time.
    pub fn depth(&self) -> Depth {
        self.depth
    }

    /// Tells a pass over `rows` what it need not compute. What is not kept yet is computed, and kept if there
    /// is room.
    ///
    /// # Errors
    /// As the model fails on a row.
    pub fn tell<L: Learner>(&self, pass: &mut Pass<'_>, learner: &L, rows: &[&L::Row]) -> Result<()> {
        let (Some(states), false) = (self.states, self.depth == Depth::Nothing) else { return Ok(()) };
        let levels = self.depth.levels();
        let mut outputs: Vec<Option<Outputs>> = rows.iter().map(|row| states.get(*row, &levels)).collect();
        let missing: Vec<usize> = (0..rows.len()).filter(|&i| outputs[i].is_none()).collect();
        let absent: Vec<&L::Row> = missing.iter().map(|&i| rows[i]).collect();
        for ((&index, row), computed) in missing.iter().zip(&absent).zip(self.compute(learner, &absent)?) {
            states.put(*row, &levels, &computed, &self.limits);
            outputs[index] = Some(computed);
        }
        let outputs: Vec<Outputs> = outputs.into_iter().flatten().collect();
        let states =
            (0..levels.len()).map(|level| joined(learner, &outputs, level)).collect::<Result<Vec<_>>>()?;
        match self.depth {
            Depth::Blocks { blocks, .. } => pass.know(Known { blocks, states })?,
            _ => states.into_iter().for_each(|pooled| pass.know_pooled(pooled)),
        }
        Ok(())
    }

    /// What is read of each row, by level.
    fn compute<L: Learner>(&self, learner: &L, rows: &[&L::Row]) -> Result<Vec<Outputs>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let batch = pack(rows.iter().copied())?;
        let mut pass = Pass::new(&batch, learner.adapter(), learner.params(), Mode::Evaluate)?;
        let levels = match self.depth {
            Depth::Blocks { blocks, all } => lowest_blocks(learner.backbone(), &pass, blocks, all)?,
            _ => learner.pooled(&mut pass)?.into_iter().collect(),
        };
        let part = |level: &Tensor, sequence: usize| {
            let rows = match self.depth {
                Depth::Pooled => sequence..sequence + 1,
                _ => batch.sequence(sequence),
            };
            Ok(level.row_range(rows)?.to_vec())
        };
        (0..rows.len()).map(|sequence| levels.iter().map(|level| part(level, sequence)).collect()).collect()
    }
}

/// What is read of one row: the values of each level.
type Outputs = Vec<Vec<f32>>;

/// One level of all rows `[n, d]`.
fn joined<L: Learner>(learner: &L, outputs: &[Outputs], level: usize) -> Result<Tensor> {
    let width = learner.backbone().shape().hidden;
    let values: Vec<f32> = outputs.iter().flat_map(|levels| &levels[level]).copied().collect();
    Ok(Tensor::new(learner.device(), &[values.len() / width, width], &values)?)
}

impl States {
    fn get<R: Tokens>(&self, row: &R, levels: &[usize]) -> Option<Outputs> {
        let (key, mut store) = (key(row), self.store());
        levels.iter().map(|&level| store.get(&key, level)).collect()
    }

    fn put<R: Tokens>(&self, row: &R, levels: &[usize], outputs: &Outputs, limits: &Limits) {
        let (key, mut store) = (key(row), self.store());
        for (&level, values) in levels.iter().zip(outputs) {
            store.put(&key, level, values, limits);
        }
    }
}

/// What decides a row's outputs: its tokens and their types.
fn key<R: Tokens>(row: &R) -> Vec<u32> {
    row.ids().iter().chain(row.types().unwrap_or_default()).copied().collect()
}
