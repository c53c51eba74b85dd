//! LLaMA, Touvron et al. 2023, <https://arxiv.org/abs/2302.13971>, and the families that vary it: Mistral
//! (Jiang et al. 2023), Qwen2 and Qwen3 (Qwen team 2024, 2025), Gemma 3 (Gemma team 2025). A pre-norm decoder
//! with rotary positions, grouped key and value heads and a gated feed-forward network.
//!
//! What differs between them is data: [`Settings`].

mod block;
mod rope;
mod settings;

use crate::config::Fields;
use crate::family::{Architecture, Build, Family, HeadSpec, Task};
use crate::reader::Reader;
use crate::{Pooling, Result};
use block::Block;
use offshoot_core::nn::{Embedding, Linear, Norm, RmsNorm};
use offshoot_core::{Backbone, Kind, Part, Pass, Place, Shape, Site, Sublayer, Tensor, Weight};
use settings::Settings;

/// A family of this kind, by its name, summary, reader and the stem of its classes.
macro_rules! family {
    ($name:literal, $summary:literal, $read:path, $class:literal) => {
        Family {
            name: $name,
            summary: $summary,
            prefix: "model",
            read: |fields| Box::new($read(fields)),
            head: score,
            pooling: Pooling::Last,
            class: concat!($class, "ForSequenceClassification"),
            lm_class: Some(concat!($class, "ForCausalLM")),
        }
    };
}

/// How the registry presents LLaMA.
pub(crate) const LLAMA: Family =
    family!("llama", "LLaMA 1 to 3, SmolLM and other decoders of their kind", settings::llama, "Llama");
/// How the registry presents Mistral.
pub(crate) const MISTRAL: Family =
    family!("mistral", "Mistral: LLaMA with a sliding window", settings::mistral, "Mistral");
/// How the registry presents Qwen2.
pub(crate) const QWEN2: Family =
    family!("qwen2", "Qwen2 and Qwen2.5: biases on queries, keys and values", settings::qwen2, "Qwen2");
/// How the registry presents Qwen3.
pub(crate) const QWEN3: Family =
    family!("qwen3", "Qwen3: norms on queries and keys", settings::qwen3, "Qwen3");
/// How the registry presents Gemma 3.
pub(crate) const GEMMA3: Family = family!(
    "gemma3_text",
    "Gemma 3, its text half: alternating windows, norms around sublayers",
    settings::gemma3,
    "Gemma3"
);

fn score(_: &mut Fields) -> HeadSpec {
    HeadSpec::score()
}

/// A decoder of the LLaMA kind.
#[derive(Clone)]
struct Llama {
    settings: Settings,
    words: Embedding,
    blocks: Vec<Block>,
    norm: RmsNorm,
    /// None where it is the token table, and where a classifier's checkpoint has none. A classifier keeps it
    /// frozen and apart from its weights: it is only asked for the likelihood of words.
    output: Option<Weight>,
    task: Task,
}

impl Architecture for Settings {
    fn shape(&self) -> &Shape {
        &self.shape
    }

    fn collect(&self, build: &Build, reader: &mut Reader<'_, '_>) -> Result<Box<dyn Backbone>> {
        let Shape { vocab, hidden, layers, .. } = self.shape;
        let words = reader.table("embed_tokens", vocab, hidden)?;
        let blocks = (0..layers).map(|layer| Block::collect(self, layer, reader)).collect::<Result<_>>()?;
        let norm = reader.rms_norm("norm", Part::FinalNorm, hidden, (self.eps, self.norm_offset))?;
        let place = Place { part: Part::Head, kind: Kind::Matrix };
        let output = match (build.task, self.tied) {
            (task, false) if task == Task::LanguageModel || reader.take.shape("lm_head.weight").is_some() => {
                Some(reader.outside("lm_head.weight", place, &[vocab, hidden])?)
            }
            _ => {
                reader.take.skip("lm_head.weight");
                None
            }
        };
        Ok(Box::new(Llama { settings: self.clone(), words, blocks, norm, output, task: build.task }))
    }
}

impl Backbone for Llama {
    fn family(&self) -> &'static str {
        self.settings.family
    }

    fn shape(&self) -> &Shape {
        &self.settings.shape
    }

    fn fork(&self) -> Box<dyn Backbone> {
        Box::new(self.clone())
    }

    fn projections(&self) -> Vec<(Site, &Linear)> {
        let mut sites = Vec::new();
        for (layer, block) in self.blocks.iter().enumerate() {
            sites.extend(block.projections().map(|(slot, linear)| (Site { layer, slot }, linear)));
        }
        sites
    }

    fn weights(&self) -> Vec<&Weight> {
        let mut weights = vec![&self.words.table];
        weights.extend(self.blocks.iter().flat_map(Block::weights));
        weights.push(&self.norm.weight);
        weights.extend(self.output.as_ref().filter(|_| self.task == Task::LanguageModel));
        weights
    }

    fn weights_mut(&mut self) -> Vec<&mut Weight> {
        let mut weights = vec![&mut self.words.table];
        weights.extend(self.blocks.iter_mut().flat_map(Block::weights_mut));
        weights.push(&mut self.norm.weight);
        weights.extend(self.output.as_mut().filter(|_| self.task == Task::LanguageModel));
        weights
    }

    fn module(&self, site: Site) -> String {
        let path = block::NAMES.iter().find(|(slot, _)| *slot == site.slot).map_or("", |(_, path)| path);
        format!("model.layers.{}.{path}", site.layer)
    }

    fn bottleneck_module(&self, layer: usize, part: Sublayer) -> String {
        let name = match part {
            Sublayer::Attention => "attention_adapters",
            Sublayer::FeedForward => "output_adapters",
        };
        format!("model.layers.{layer}.{name}.adapters")
    }

    fn attention_module(&self, layer: usize) -> String {
        format!("model.layers.{layer}.self_attn")
    }

    fn output_head(&self) -> Option<&Weight> {
        match self.settings.tied {
            true => Some(&self.words.table),
            false => self.output.as_ref(),
        }
    }

    fn normalises_keys(&self) -> bool {
        self.settings.head_norms
    }

    fn embedding_scale(&self) -> f32 {
        self.settings.embedding_scale
    }

    fn token_table(&self) -> &Weight {
        &self.words.table
    }

    fn embed(&self, pass: &Pass<'_>) -> offshoot_core::Result<Tensor> {
        crate::decoder::check_positions(pass, self.settings.shape.positions)?;
        let words = self.words.forward(pass.batch().ids(), pass.step())?;
        let scale = self.settings.embedding_scale;
        pass.join_prompts(if scale == 1.0 { words } else { words.scale(scale) })
    }

    fn block(&self, layer: usize, x: &Tensor, pass: &Pass<'_>) -> offshoot_core::Result<Tensor> {
        self.blocks[layer].forward(&self.settings, layer, x, pass)
    }

    fn finish(&self, x: Tensor, pass: &Pass<'_>) -> offshoot_core::Result<Tensor> {
        self.norm.forward(&x, pass.step())
    }
}
