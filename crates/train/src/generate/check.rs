//! What is wrong with requests, before anything is computed.

use super::{Generator, Request, Sampling};
use crate::{Error, Result};

/// The most problems that a message lists.
const LISTED: usize = 8;

impl Generator<'_> {
    /// Checks settings and requests.
    ///
    /// # Errors
    /// All that is wrong with them at once, by row.
    pub fn check(&self, requests: &[Request], sampling: &Sampling) -> Result<()> {
        let mut problems: Vec<String> = sampling.check().err().map(|e| e.to_string()).into_iter().collect();
        for request in requests {
            let named = |problem| format!("row {}: {problem}", request.row);
            problems.extend(self.problems(request).into_iter().map(named));
        }
        problems.extend(self.cannot_share(requests));
        if problems.is_empty() {
            return Ok(());
        }
        let more = problems.len().saturating_sub(LISTED);
        problems.truncate(LISTED);
        if more > 0 {
            problems.push(format!("and {more} more"));
        }
        Err(Error::invalid(problems.join("; ")))
    }

    fn problems(&self, request: &Request) -> Vec<String> {
        let mut problems = Vec::new();
        let vocab = self.base.shape().vocab;
        if request.adapter.is_some_and(|adapter| adapter >= self.adapters.len()) {
            problems.push(format!("there are {} adapters, and it asks for another", self.adapters.len()));
        }
        if request.prompt.is_empty() {
            problems.push("the prompt has no token; give it a text, or the token that begins one".into());
        }
        if let Some(id) = request.prompt.iter().find(|id| **id as usize >= vocab) {
            problems.push(format!("the token {id} is not among the model's {vocab}"));
        }
        let room = self.room(request.adapter);
        if request.prompt.len() > room {
            let tokens = request.prompt.len();
            problems.push(format!(
                "the prompt has {tokens} tokens, and the model has positions for {room}; shorten it"
            ));
        }
        if request.stop.max_tokens == 0 {
            problems.push("max_tokens is 0; it must be 1 or more".into());
        }
        if request.stop.strings.iter().any(String::is_empty) {
            problems.push("a stop string is empty; leave it out".into());
        }
        problems
    }

    /// An adapter that trained the base's own weights needs a batch for itself.
    fn cannot_share(&self, requests: &[Request]) -> Option<String> {
        let own = requests.iter().find_map(|request| {
            request.adapter.filter(|&adapter| self.trains_base(adapter)).map(|adapter| (adapter, request.row))
        });
        let (adapter, row) = own?;
        let other = requests.iter().find(|request| request.adapter != Some(adapter))?;
        let method = self.adapters[adapter].method.info().name;
        Some(format!(
            "row {row} uses an adapter of the method `{method}`, which changed weights of the model itself, and \
             row {} does not; generate with that adapter alone",
            other.row
        ))
    }
}
