//! One forward pass: a packed batch, and the adapters that its sequences use.
//!
//! A backbone speaks to this, never to an adapter: the pass hands each hook the rows of the sequences that
//! share an adapter. One adapter for all is the usual case and costs no copy.

mod attention;
mod cached;

pub use attention::{AttentionSite, Context};
use cached::Cached;

use crate::nn::{Linear, Norm};
use crate::recompute::Forgotten;
use crate::{
    Adapter, Batch, Counter, Error, Known, KvCache, Layout, Params, Result, Rotation, Site, Slot, Step,
    Sublayer, Tape, Tensor, Weight, concat_rows,
};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// An adapter, its parameters, and how many of the batch's next sequences use it.
pub struct Member<'a> {
    /// The method.
    pub adapter: &'a dyn Adapter,
    /// What it trained.
    pub params: &'a Params,
    /// The number of consecutive sequences.
    pub sequences: usize,
}

/// Whether a pass records gradients and drops.
#[derive(Clone)]
pub enum Mode {
    /// Neither.
    Evaluate,
    /// Records on the tape; drops if there is a counter.
    Train(Tape, Option<Counter>),
}

/// One forward pass over a batch.
pub struct Pass<'a> {
    batch: &'a Batch,
    layout: Layout,
    runs: Vec<Run<'a>>,
    cache: Option<Cached<'a>>,
    /// What [`rotation`](Self::rotation) has computed.
    rotations: Mutex<BTreeMap<usize, Arc<Rotation>>>,
    known: Option<Known>,
    pooled: Option<Tensor>,
    /// How many more blocks are to be computed again on the way back, and those that are.
    recompute: usize,
    forgotten: Vec<Forgotten>,
}

/// Consecutive sequences that share an adapter.
struct Run<'a> {
    adapter: &'a dyn Adapter,
    step: Step<'a>,
    sequences: Range<usize>,
    rows: Range<usize>,
    side: Vec<Tensor>,
}

impl<'a> Pass<'a> {
    /// A pass in which every sequence uses the same adapter.
    ///
    /// # Errors
    /// As [`Adapter::begin`] fails.
    pub fn new(batch: &'a Batch, adapter: &'a dyn Adapter, params: &'a Params, mode: Mode) -> Result<Self> {
        Self::mixed(batch, &[Member { adapter, params, sequences: batch.sequences() }], mode)
    }

    /// A pass whose sequences use different adapters, in runs. The backbone's own trained weights, if it has
    /// any, and the task's head are those of the first.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the runs do not cover the batch; as [`Adapter::begin`] fails.
    pub fn mixed(batch: &'a Batch, members: &[Member<'a>], mode: Mode) -> Result<Self> {
        Self::build(batch, members, mode, None)
    }

    /// A pass without gradients whose sequences continue what `cache` holds in `slots`, one slot for each.
    /// Where a slot is empty the sequence starts, with its adapter's virtual tokens; where it is not, they
    /// are there already. The sequences of one member all start or all continue.
    ///
    /// # Errors
    /// As [`mixed`](Self::mixed); [`Error::Invalid`] if the rows do not fit the cache, or a member's
    /// sequences are not all new or all continued.
    pub fn cached(
        batch: &'a Batch,
        members: &[Member<'a>],
        cache: &'a KvCache,
        slots: Vec<usize>,
    ) -> Result<Self> {
        if slots.len() != batch.sequences() {
            return Err(Error::invalid("a pass with a cache needs one slot per sequence"));
        }
        Self::build(batch, members, Mode::Evaluate, Some(Cached { cache, slots }))
    }

    fn build(
        batch: &'a Batch,
        members: &[Member<'a>],
        mode: Mode,
        cache: Option<Cached<'a>>,
    ) -> Result<Self> {
        if members.is_empty() || members.iter().map(|m| m.sequences).sum::<usize>() != batch.sequences() {
            return Err(Error::invalid("the adapters of a batch must cover its sequences, each once"));
        }
        let held = |s: usize| cache.as_ref().map_or(0, |cache| cache.rows(s));
        let prompts = members.iter().flat_map(|m| vec![m.adapter.prompt_tokens(); m.sequences]);
        let prompts = prompts.enumerate().map(|(s, tokens)| if held(s) == 0 { tokens } else { 0 }).collect();
        let layout = Layout::new(batch, prompts);
        let mut first = 0;
        let mut runs = Vec::new();
        for member in members {
            let sequences = first..first + member.sequences;
            first = sequences.end;
            let starts = sequences.clone().filter(|&s| held(s) == 0).count();
            if starts != 0 && starts != member.sequences {
                return Err(Error::invalid("the sequences of one adapter must all start or all continue"));
            }
            let kept = cache.as_ref().filter(|_| starts == 0 && member.sequences > 0);
            let prepared = kept.map(|cached| cached.cache.prepared(cached.slots[sequences.start]));
            runs.push(Run::new(member, sequences, &layout, &mode, prepared)?);
        }
        let pass = Self {
            batch,
            layout,
            runs,
            cache,
            rotations: Mutex::default(),
            known: None,
            pooled: None,
            recompute: 0,
            forgotten: Vec::new(),
        };
        pass.check_cache()?;
        Ok(pass)
    }

    /// Takes the outputs of the lowest blocks for this very batch from an earlier pass. Virtual tokens before
    /// the sequences are rows too, so there can be none.
    ///
    /// # Errors
    /// [`Error::Invalid`] if they are of another number of rows, or blocks below the first.
    pub fn know(&mut self, known: Known) -> Result<()> {
        let rows = self.layout.rows();
        let fits = |state: &Tensor| state.rows() == rows;
        if known.states.is_empty() || known.states.len() > known.blocks || !known.states.iter().all(fits) {
            return Err(Error::invalid(format!("known outputs do not fit a batch of {rows} rows")));
        }
        self.known = Some(known);
        Ok(())
    }

    /// Takes what the task reads of each sequence `[s, d]` from an earlier pass over this very batch.
    pub fn know_pooled(&mut self, pooled: Tensor) {
        self.pooled = Some(pooled);
    }

    /// What the task reads of each sequence `[s, d]`, if it is known.
    pub fn pooled(&self) -> Option<&Tensor> {
        self.pooled.as_ref()
    }

    /// Takes what is known out.
    pub(crate) fn known(&mut self) -> Option<Known> {
        self.known.take()
    }

    /// Does not keep the activations of the lowest `blocks` blocks that record any, but computes them again on
    /// the way back ([`backward`](crate::backward)). Gradients have the same bits.
    pub fn recompute(&mut self, blocks: usize) {
        self.recompute = blocks;
    }

    /// Drops what a block has just recorded, if it is one to be computed again: its input and output `[n, d]`.
    pub(crate) fn forget(&mut self, layer: usize, input: &Tensor, output: &Tensor) {
        if self.recompute > 0
            && let Some(block) = Forgotten::new(layer, input, output, self)
        {
            self.recompute -= 1;
            self.forgotten.push(block);
        }
    }

    /// Takes the highest block that is still to be computed again.
    pub(crate) fn forgotten(&mut self) -> Option<Forgotten> {
        self.forgotten.pop()
    }

    /// Where a training pass records.
    pub(crate) fn tape(&self) -> Option<&Tape> {
        self.step().tape.as_ref()
    }

    /// The batch.
    pub fn batch(&self) -> &Batch {
        self.batch
    }

    /// Where each sequence's rows stand, virtual tokens included.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The step in which the backbone's own weights and the head run.
    pub fn step(&self) -> &Step<'a> {
        &self.runs[0].step
    }

    /// The value of a backbone's or head's weight.
    pub fn weight(&self, weight: &Weight) -> Tensor {
        self.step().weight(weight)
    }

    /// The position of each row within its sequence. Rows of virtual tokens come first, prefix keys count as
    /// positions before the first row (as peft does), and so does what the cache holds.
    pub fn positions(&self) -> Vec<u32> {
        let run = |run: &Run<'a>| {
            let prefix = run.adapter.prefix_tokens();
            let position = |s: usize| match self.held(s) {
                0 => prefix,
                held => held,
            };
            let rows =
                |s: usize| (position(s)..position(s) + self.layout.sequence(s).len()).map(|t| t as u32);
            run.sequences.clone().flat_map(rows).collect::<Vec<_>>()
        };
        self.runs.iter().flat_map(run).collect()
    }

    /// The rotation of rotary encodings for the rows of this pass, computed once for all layers that use the
    /// same `key`.
    pub fn rotation(&self, key: usize, compute: impl FnOnce() -> Rotation) -> Arc<Rotation> {
        let mut rotations = self.rotations.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(rotations.entry(key).or_insert_with(|| Arc::new(compute())))
    }

    /// Token types of all rows; virtual tokens have type 0.
    pub fn types(&self) -> Vec<u32> {
        let sequence = |s: usize| {
            let real = &self.batch.types()[self.batch.sequence(s)];
            std::iter::repeat_n(0, self.layout.prompt(s)).chain(real.iter().copied())
        };
        (0..self.layout.sequences()).flat_map(sequence).collect()
    }

    /// Puts each sequence's virtual tokens before its word embeddings `[tokens, d]`: `[n, d]`.
    ///
    /// # Errors
    /// As [`Adapter::prompt`] fails.
    pub fn join_prompts(&self, words: Tensor) -> Result<Tensor> {
        let prompt = |r: &Run<'a>| if self.run_starts(r) { r.adapter.prompt(&r.step) } else { Ok(None) };
        let prompts = self.runs.iter().map(prompt).collect::<Result<Vec<_>>>()?;
        let promised =
            self.runs.iter().map(|r| if self.run_starts(r) { r.adapter.prompt_tokens() } else { 0 });
        keep_promises("prompt", promised, prompts.iter().map(Option::as_ref))?;
        let tokens = |s: usize| self.batch.sequence(s);
        self.prepend(words, &prompts.iter().map(Option::as_ref).collect::<Vec<_>>(), tokens)
    }

    /// A projection with its adapters: `x` `[n, in]` to `[n, out]`.
    ///
    /// # Errors
    /// As the hooks fail.
    pub fn linear(&self, site: Site, linear: &Linear, x: &Tensor) -> Result<Tensor> {
        self.each_run(site.slot == Slot::Pooler, &[x], |run, rows| {
            let x = run.adapter.input(&run.step, site, rows[0].clone())?;
            let y = linear.forward(&x, self.step())?;
            run.adapter.linear(&run.step, site, &x, y, &linear.lend(self.step().params))
        })
    }

    /// A sublayer's output on its way to the residual stream: see [`Adapter::sublayer`].
    ///
    /// # Errors
    /// As the hooks fail.
    pub fn sublayer(
        &self,
        at: (usize, Sublayer),
        x: &Tensor,
        y: Tensor,
        norm: Option<&dyn Norm>,
    ) -> Result<Tensor> {
        self.each_run(false, &[x, &y], |run, rows| {
            run.adapter.sublayer(&run.step, at, &rows[0], rows[1].clone(), norm)
        })
    }

    /// The backbone's own dropout on `x` `[n, d]`. It acts only where gradients flow: what lies below the
    /// lowest trainable tensor runs as in evaluation, so that it can be computed once for all epochs.
    ///
    /// # Errors
    /// Never on an activation of this pass.
    pub fn dropout(&self, x: Tensor, p: f32, site: u64) -> Result<Tensor> {
        match self.step().dropout {
            Some(counter) if p > 0.0 && x.is_tracked() => {
                x.dropout(p, self.layout.keys(counter, site, x.rows()))
            }
            _ => Ok(x),
        }
    }

    /// Ends a segment of the tape.
    pub(crate) fn cut(&self) {
        if let Some(tape) = self.tape() {
            tape.cut();
        }
    }

    /// Shows a block's output to the adapters.
    pub(crate) fn state(&mut self, layer: usize, x: &Tensor) -> Result<()> {
        let single = self.runs.len() == 1;
        for run in &mut self.runs {
            let rows = if single { x.clone() } else { x.row_range(run.rows.clone())? };
            run.adapter.state(&run.step, layer, &rows, &mut run.side)?;
        }
        Ok(())
    }

    /// The last block's output after the adapters' corrections.
    pub(crate) fn finish(&self, x: &Tensor) -> Result<Tensor> {
        self.each_run(false, &[x], |run, rows| run.adapter.finish(&run.step, rows[0].clone(), &run.side))
    }

    /// Calls `hook` with each run's rows of the inputs and joins what it returns.
    fn each_run(
        &self,
        pooled: bool,
        inputs: &[&Tensor],
        hook: impl Fn(&Run<'a>, &[Tensor]) -> Result<Tensor>,
    ) -> Result<Tensor> {
        if let [run] = self.runs.as_slice() {
            return hook(run, &inputs.iter().map(|x| (*x).clone()).collect::<Vec<_>>());
        }
        let part = |run: &Run<'a>| {
            let rows = if pooled { &run.sequences } else { &run.rows };
            let inputs = inputs.iter().map(|x| x.row_range(rows.clone())).collect::<Result<Vec<_>>>()?;
            hook(run, &inputs)
        };
        let parts = self.runs.iter().map(part).collect::<Result<Vec<_>>>()?;
        concat_rows(&parts.iter().collect::<Vec<_>>())
    }

    /// Puts each run's `heads` (one tensor per run) before the rows of each of its sequences in `x`.
    fn prepend(
        &self,
        x: Tensor,
        heads: &[Option<&Tensor>],
        rows: impl Fn(usize) -> Range<usize>,
    ) -> Result<Tensor> {
        if heads.iter().all(Option::is_none) {
            return Ok(x);
        }
        let mut first = x.rows();
        let mut index = Vec::new();
        for (run, head) in self.runs.iter().zip(heads) {
            let virtual_rows = head.map_or(0, Tensor::rows);
            for sequence in run.sequences.clone() {
                index.extend((first..first + virtual_rows).map(|row| row as u32));
                index.extend(rows(sequence).map(|row| row as u32));
            }
            first += virtual_rows;
        }
        let parts: Vec<&Tensor> = std::iter::once(&x).chain(heads.iter().copied().flatten()).collect();
        concat_rows(&parts)?.gather_rows(&index)
    }
}

impl<'a> Run<'a> {
    /// `prepared` is what the adapter prepared in an earlier pass of these sequences.
    fn new(
        member: &Member<'a>,
        sequences: Range<usize>,
        layout: &Layout,
        mode: &Mode,
        prepared: Option<Vec<Tensor>>,
    ) -> Result<Self> {
        let row = |s: usize| if s < layout.sequences() { layout.sequence(s).start } else { layout.rows() };
        let rows = row(sequences.start)..row(sequences.end);
        let (tape, dropout) = match mode {
            Mode::Evaluate => (None, None),
            Mode::Train(tape, counter) => (Some(tape.clone()), *counter),
        };
        let layout = layout.part(sequences.clone());
        let continues = prepared.is_some();
        let mut step = Step { params: member.params, tape, dropout, prepared: Vec::new(), layout, continues };
        step.prepared = match prepared {
            Some(prepared) => prepared,
            None => member.adapter.begin(&step)?,
        };
        Ok(Self { adapter: member.adapter, step, sequences, rows, side: Vec::new() })
    }
}

/// Positions were laid out by what adapters said they would add: a hook that adds another number of rows
/// would shift them silently.
fn keep_promises<'t>(
    hook: &str,
    promised: impl Iterator<Item = usize>,
    added: impl Iterator<Item = Option<&'t Tensor>>,
) -> Result<()> {
    let rows = added.map(|tensor| tensor.map_or(0, Tensor::rows));
    match promised.zip(rows).find(|(promised, rows)| promised != rows) {
        Some((promised, rows)) => Err(Error::invalid(format!(
            "an adapter's `{hook}` gives {rows} rows where `{hook}_tokens` says {promised}"
        ))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Device, KeyValue, NoAdapter, Span};

    /// A side network that sums the blocks' outputs, times a factor; and a prefix of some keys.
    struct Side {
        factor: f32,
        prefix: usize,
    }

    impl Adapter for Side {
        fn prefix_tokens(&self) -> usize {
            self.prefix
        }

        fn prefix(&self, _: &Step<'_>, _: usize) -> Result<Option<KeyValue>> {
            let rows = Tensor::full(&Device::cpu(), &[self.prefix, 1], self.factor);
            Ok(Some(KeyValue { key: rows.clone(), value: rows }))
        }

        fn state(&self, _: &Step<'_>, _: usize, x: &Tensor, side: &mut Vec<Tensor>) -> Result<()> {
            let x = x.scale(self.factor);
            match side.first_mut() {
                Some(sum) => *sum = sum.add(&x)?,
                None => side.push(x),
            }
            Ok(())
        }

        fn finish(&self, _: &Step<'_>, x: Tensor, side: &[Tensor]) -> Result<Tensor> {
            side.iter().try_fold(x, |x, sum| x.add(sum))
        }
    }

    fn column(values: &[f32]) -> Tensor {
        Tensor::new(&Device::cpu(), &[values.len(), 1], values).unwrap()
    }

    /// Sequences of 2, 1 and 2 tokens; the first two share an adapter, the last has none.
    fn check(with: impl FnOnce(&mut Pass<'_>)) {
        let (mut batch, params) = (Batch::new(), Params::new());
        [2, 1, 2].iter().for_each(|&tokens| batch.push(&vec![0; tokens], None, 0).unwrap());
        let side = Side { factor: 10.0, prefix: 3 };
        let members = [
            Member { adapter: &side, params: &params, sequences: 2 },
            Member { adapter: &NoAdapter, params: &params, sequences: 1 },
        ];
        with(&mut Pass::mixed(&batch, &members, Mode::Evaluate).unwrap());
    }

    #[test]
    fn spans_hold_their_own_keys_and_their_runs_prefix() {
        check(|pass| {
            let prefix = column(&[7.0, 8.0, 9.0]);
            let span = |queries, keys| Span { queries, keys };
            let spans = pass.spans(&[Some(&prefix), None]);
            assert_eq!(spans, [span(0..2, 0..5), span(2..3, 5..9), span(3..5, 9..11)]);
            let x = column(&[0.0, 1.0, 2.0, 3.0, 4.0]);
            let keys = pass.prepend(x, &[Some(&prefix), None], |s| pass.layout.sequence(s)).unwrap();
            assert_eq!(keys.to_vec(), [7.0, 8.0, 9.0, 0.0, 1.0, 7.0, 8.0, 9.0, 2.0, 3.0, 4.0]);
        });
    }

    #[test]
    fn without_virtual_rows_nothing_is_copied() {
        check(|pass| {
            let x = column(&[0.0; 5]);
            let before = x.device().pool_stats();
            let same = pass.prepend(x, &[None, None], |s| pass.layout.sequence(s)).unwrap();
            assert_eq!(same.device().pool_stats(), before);
        });
    }

    #[test]
    fn a_side_network_sees_its_own_rows_of_every_block() {
        check(|pass| {
            let x = column(&[1.0, 2.0, 3.0, 4.0, 5.0]);
            pass.state(0, &x).unwrap();
            pass.state(1, &x.scale(2.0)).unwrap();
            let y = pass.finish(&x).unwrap();
            assert_eq!(y.to_vec(), [31.0, 62.0, 93.0, 4.0, 5.0], "x + 10 (x + 2 x), and x");
        });
    }
}
