//! Self-attention in a pass: prefixes, the cache, and what adapters attend to beside.

use super::{Pass, Run, keep_promises};
use crate::cache::Append;
use crate::{Addition, AttentionDropout, KeyValue, Mask, ProjectKv, Result, Span, Tensor, concat_rows};

/// A layer's self-attention as the pass needs to know it.
pub struct AttentionSite<'a> {
    /// The block.
    pub layer: usize,
    /// Its heads and projections.
    pub kv: &'a dyn ProjectKv,
    /// Which keys a query may see.
    pub mask: Mask,
    /// Dropout on the probabilities.
    pub dropout: f32,
    /// Its site number.
    pub dropout_site: u64,
}

/// What self-attention gives.
pub struct Context {
    /// `[n, h e]`, for the output projection.
    pub context: Tensor,
    /// `[n, d]`, to be added after it.
    pub after: Option<Tensor>,
}

impl<'a> Pass<'a> {
    /// Self-attention within each sequence: queries `[n, h e]`, keys and values `[n, g e]`, to the context
    /// `[n, h e]` and what is to be added after the output projection.
    ///
    /// # Errors
    /// As the hooks fail.
    pub fn attention(&self, at: &AttentionSite<'_>, q: &Tensor, k: Tensor, v: Tensor) -> Result<Context> {
        let prefixes = self.prefixes(at.layer)?;
        let (k, v, spans) = match self.cache {
            None => self.own_keys(&prefixes, k, v)?,
            Some(_) => self.cached_keys(at.layer, &prefixes, &k, &v)?,
        };
        let dropout = self.attention_dropout(at, &[q, &k, &v]);
        let context = q.attention(&k, &v, at.kv.heads(), &spans, at.mask, dropout)?;
        self.add_attention(at, q, context)
    }

    /// Each run's prefix, where its sequences start in this pass.
    fn prefixes(&self, layer: usize) -> Result<Vec<Option<KeyValue>>> {
        let prefix = |run: &Run<'a>| match self.run_starts(run) {
            true => run.adapter.prefix(&run.step, layer),
            false => Ok(None),
        };
        let prefixes = self.runs.iter().map(prefix).collect::<Result<Vec<_>>>()?;
        let promised =
            self.runs.iter().map(|r| if self.run_starts(r) { r.adapter.prefix_tokens() } else { 0 });
        keep_promises("prefix", promised, prefixes.iter().map(|p| p.as_ref().map(|kv| &kv.key)))?;
        Ok(prefixes)
    }

    /// Keys, values and spans of a pass on its own.
    fn own_keys(
        &self,
        prefixes: &[Option<KeyValue>],
        k: Tensor,
        v: Tensor,
    ) -> Result<(Tensor, Tensor, Vec<Span>)> {
        let rows = |s: usize| self.layout.sequence(s);
        let keys: Vec<_> = prefixes.iter().map(|p| p.as_ref().map(|kv| &kv.key)).collect();
        let values: Vec<_> = prefixes.iter().map(|p| p.as_ref().map(|kv| &kv.value)).collect();
        Ok((self.prepend(k, &keys, rows)?, self.prepend(v, &values, rows)?, self.spans(&keys)))
    }

    /// Keys, values and spans of a pass that continues what the cache holds.
    fn cached_keys(
        &self,
        layer: usize,
        prefixes: &[Option<KeyValue>],
        k: &Tensor,
        v: &Tensor,
    ) -> Result<(Tensor, Tensor, Vec<Span>)> {
        let Some(cached) = &self.cache else { return self.own_keys(prefixes, k.clone(), v.clone()) };
        let mut appends = Vec::new();
        for (run, prefix) in self.runs.iter().zip(prefixes) {
            for sequence in run.sequences.clone() {
                appends.push(Append {
                    slot: cached.slots[sequence],
                    rows: self.layout.sequence(sequence),
                    prefix: prefix.as_ref().map(|kv| (&kv.key, &kv.value)),
                });
            }
        }
        cached.cache.append(layer, &appends, k, v)
    }

    /// Which keys each sequence's queries see: its own, after its run's prefix.
    pub(super) fn spans(&self, prefixes: &[Option<&Tensor>]) -> Vec<Span> {
        let mut end = 0;
        let mut spans = Vec::new();
        for (run, prefix) in self.runs.iter().zip(prefixes) {
            for sequence in run.sequences.clone() {
                let queries = self.layout.sequence(sequence);
                let start = end;
                end += prefix.map_or(0, Tensor::rows) + queries.len();
                spans.push(Span { queries, keys: start..end });
            }
        }
        spans
    }

    fn attention_dropout(&self, at: &AttentionSite<'_>, inputs: &[&Tensor]) -> Option<AttentionDropout> {
        let counter = self.step().dropout?;
        let active = at.dropout > 0.0 && inputs.iter().any(|x| x.is_tracked());
        let row_keys = || self.layout.keys(counter, at.dropout_site, self.layout.rows());
        active.then(|| AttentionDropout { p: at.dropout, row_keys: row_keys() })
    }

    /// Adds what the adapters' own attention gives, before and after the output projection.
    fn add_attention(&self, at: &AttentionSite<'_>, q: &Tensor, mut context: Tensor) -> Result<Context> {
        let mut after = None;
        for run in &self.runs {
            let queries = if self.runs.len() == 1 { q.clone() } else { q.row_range(run.rows.clone())? };
            match run.adapter.attention(&run.step, at.layer, &queries, at.kv)? {
                Some(Addition::BeforeOutput(y)) => context = context.add(&self.place(run, y)?)?,
                Some(Addition::AfterOutput(y)) => {
                    let y = self.place(run, y)?;
                    after = Some(match after {
                        Some(sum) => y.add(&sum)?,
                        None => y,
                    });
                }
                None => {}
            }
        }
        Ok(Context { context, after })
    }

    /// A run's rows among zeros for all others: `[n, d]`.
    fn place(&self, run: &Run<'a>, y: Tensor) -> Result<Tensor> {
        if self.runs.len() == 1 {
            return Ok(y);
        }
        let zeros = |rows: usize| Tensor::zeros(y.device(), &[rows, y.cols()]);
        let (before, after) = (zeros(run.rows.start), zeros(self.layout.rows() - run.rows.end));
        concat_rows(&[&before, &y, &after])
    }
}
