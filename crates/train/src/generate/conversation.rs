//! A dialogue whose turns share what they have in common.

use super::engine::tell;
use super::{Generated, Generator, Output, Request, Sampling};
use crate::Result;
use offshoot_core::KvCache;

/// What was computed for a dialogue. A turn that begins with the same tokens as the one before, under the same
/// adapter, computes only what is new.
pub struct Conversation<'g> {
    generator: &'g Generator<'g>,
    cache: KvCache,
    /// The tokens that the cache holds, after the virtual ones of the adapter.
    held: Vec<u32>,
    adapter: Option<usize>,
}

impl<'g> Conversation<'g> {
    /// A dialogue without a turn.
    pub fn new(generator: &'g Generator<'g>) -> Self {
        Self { generator, cache: KvCache::new(1, 0), held: Vec::new(), adapter: None }
    }

    /// Continues a request whose prompt is the whole dialogue so far.
    ///
    /// # Errors
    /// As [`Generator::run`].
    pub fn reply(
        &mut self,
        request: &Request,
        sampling: &Sampling,
        output: &mut Output<'_>,
    ) -> Result<Generated> {
        self.generator.check(std::slice::from_ref(request), sampling)?;
        let mut rows = [self.generator.start((0, 0), request, sampling, output)?];
        rows[0].held = self.keep(request);
        // What fails half-way leaves nothing to rely on.
        self.held.clear();
        while rows[0].finish.is_none() {
            self.generator.step(&mut rows, &self.cache, output)?;
        }
        let [row] = rows;
        self.held = row.tokens[..row.held].to_vec();
        let (last, generated) = row.end()?;
        tell(output, 0, &last)?;
        Ok(generated)
    }

    /// How many tokens it holds computed.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Makes room for a request; how many of its tokens stay in the cache. The last one is computed anew,
    /// because its logits are needed.
    fn keep(&mut self, request: &Request) -> usize {
        let same = self.held.iter().zip(&request.prompt).take_while(|(a, b)| a == b).count();
        let mut kept = same.min(request.prompt.len() - 1);
        let needed = self.generator.rows(request);
        if needed > self.cache.capacity() {
            let most = self.generator.base.shape().positions;
            self.cache = KvCache::new(1, needed.max(2 * self.cache.capacity()).min(most));
            kept = 0;
        }
        if request.adapter != self.adapter {
            self.adapter = request.adapter;
            kept = 0;
        }
        let before = if kept == 0 { 0 } else { self.generator.virtual_tokens(request.adapter) };
        self.cache.truncate(0, before + kept);
        kept
    }
}
