//! A model in memory: backbone, what its head looks like, how it is pooled.

use crate::config::Fields;
use crate::family::{Architecture, Build, FAMILIES, Family, HeadSpec, Outputs, Task};
use crate::reader::Reader;
use crate::source::{Opened, Source};
use crate::weights::{Pickles, Take};
use crate::{Error, Pooling, Result};
use offshoot_core::nn::{Head, HeadLayer, Linear};
use offshoot_core::{Arithmetic, Backbone, Device, Kind, Part, Place, Rng, Tensor, Weight};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// The most blocks a config file may claim; real models have a few hundred at most.
pub(crate) const MOST_LAYERS: usize = 4096;

/// A pretrained model.
pub struct Model {
    /// The frozen transformer.
    pub backbone: Box<dyn Backbone>,
    /// How sequences are pooled for classification.
    pub pooling: Pooling,
    /// What it was loaded for.
    pub task: Task,
    /// What was noticed on the way and is no error.
    pub notes: Vec<String>,
    source: Source,
    family: &'static Family,
    config: Map<String, Value>,
    labels: Option<Vec<String>>,
    head: HeadSpec,
    head_values: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    initializer_range: f64,
    device: Device,
}

impl Model {
    /// Loads a model for classification. `pooling` overrides what the checkpoint says.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn load(path: &Path, pooling: Option<Pooling>, device: &Device) -> Result<Self> {
        Self::open(path, &LoadOptions { pooling, ..LoadOptions::default() }, device)
    }

    /// Loads a folder in the Hugging Face layout, a `.gguf` file, or a folder that holds one such file and no
    /// config.json.
    ///
    /// # Errors
    /// If the family is unknown or not made for the task, a field of config.json is neither honoured nor
    /// known to have no effect, or the weights are not those that it describes; each message names all that
    /// is wrong.
    pub fn open(path: &Path, options: &LoadOptions, device: &Device) -> Result<Self> {
        let mut opened = Opened::open(path)?;
        let family = family(&opened)?;
        check_task(family, options.task)?;
        let Config { architecture, head, labels, initializer_range } = read_config(family, &opened.config)?;
        let pooling = match options.pooling {
            Some(pooling) => pooling,
            None => opened.source.pooling()?.unwrap_or(family.pooling),
        };
        let checkpoint = opened.checkpoint(options.pickles)?;
        let prefix = format!("{}.", family.prefix);
        let mut take = Take::new(&checkpoint, &[&prefix]);
        let build = Build { task: options.task, pooled: pooling == Pooling::Pooler };
        let mut reader = Reader { prefix: family.prefix, take: &mut take, device };
        let backbone = architecture.collect(&build, &mut reader)?;
        let head = if options.task.has_head() { head } else { HeadSpec { layers: Vec::new() } };
        let head_values = take_head(&head, &mut take);
        let unused = take.finish()?;
        let notes = if unused.unexpected.is_empty() { Vec::new() } else { vec![unused.to_string()] };
        Ok(Self {
            backbone,
            pooling,
            task: options.task,
            notes,
            source: opened.source,
            family,
            config: opened.config,
            labels,
            head,
            head_values,
            initializer_range,
            device: device.clone(),
        })
    }

    /// Packs the matrices of its blocks for products of many rows in bf16, if that is what it computes in.
    pub fn pack(&mut self) {
        let blocks = |weight: &&mut Weight| matches!(weight.place().part, Part::Block(_));
        self.backbone.weights_mut().into_iter().filter(blocks).for_each(Weight::pack);
    }

    /// What its products are computed in.
    pub fn arithmetic(&self) -> Arithmetic {
        self.device.arithmetic()
    }

    /// The folder or the file that it was loaded from.
    pub fn folder(&self) -> &Path {
        self.source.path()
    }

    /// Where it was loaded from, for what belongs to the model beside its weights.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// config.json as it is; for a GGUF file what it would be.
    pub fn config(&self) -> &Map<String, Value> {
        &self.config
    }

    /// Where its tensors live.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The class of the `transformers` library that does its task.
    pub fn class(&self) -> &'static str {
        match (self.task, self.family.lm_class) {
            (Task::LanguageModel, Some(class)) => class,
            _ => self.family.class,
        }
    }

    /// The top-level modules of its classification head, as files name them.
    pub fn head_modules(&self) -> Vec<String> {
        let mut modules: Vec<String> = Vec::new();
        for layer in &self.head.layers {
            let top = layer.name.split('.').next().unwrap_or(layer.name).to_owned();
            if !modules.contains(&top) {
                modules.push(top);
            }
        }
        modules
    }

    /// The class names in the order of a pretrained head's rows, if the checkpoint names them.
    pub fn labels(&self) -> Option<Vec<String>> {
        self.labels.clone()
    }

    /// A classification head for `classes` classes: the checkpoint's where it has one of this size, else a
    /// new one (normal with the config's `initializer_range`, biases zero). The flag says whether anything is
    /// new.
    ///
    /// # Errors
    /// Never on a loaded model.
    pub fn new_head(&self, classes: usize, rng: &mut Rng) -> Result<(Head, bool)> {
        let mut new = false;
        let mut layers = Vec::new();
        for spec in &self.head.layers {
            let inputs = self.backbone.shape().hidden;
            let outputs = if spec.outputs == Outputs::Hidden { inputs } else { classes };
            let (weight, new_weight) = self.head_weight(spec.name, Kind::Matrix, &[outputs, inputs], rng)?;
            new |= new_weight;
            let mut bias = None;
            if spec.bias {
                let (value, new_bias) = self.head_weight(spec.name, Kind::Bias, &[outputs], rng)?;
                (bias, new) = (Some(value), new || new_bias);
            }
            let linear = Linear { weight, bias, inputs, outputs, input_major: false };
            layers.push(HeadLayer { linear, dropout: spec.dropout, activation: spec.activation });
        }
        Ok((Head::new(layers), new))
    }

    /// A head's weight and whether it is new.
    fn head_weight(
        &self,
        module: &str,
        kind: Kind,
        shape: &[usize],
        rng: &mut Rng,
    ) -> Result<(Weight, bool)> {
        let name = format!("{module}.{}", if kind == Kind::Matrix { "weight" } else { "bias" });
        let known = self.head_values.get(&name).filter(|(known, _)| known == shape);
        let value = match known {
            Some((_, values)) => Tensor::new(&self.device, shape, values)?,
            None if kind == Kind::Matrix => rng.normal_tensor(&self.device, shape, self.initializer_range),
            None => Tensor::zeros(&self.device, shape),
        };
        Ok((Weight::frozen(name, Place { part: Part::Head, kind }, value), known.is_none()))
    }
}

/// Every family's name and description.
pub fn families() -> impl Iterator<Item = (&'static str, &'static str)> {
    FAMILIES.iter().map(|family| (family.name, family.summary))
}

/// Whether the model in a folder or a GGUF file can be loaded as a language model.
///
/// # Errors
/// If its config cannot be read, or it is of a family that is not supported.
pub fn predicts_tokens(path: &Path) -> Result<bool> {
    Ok(family(&Opened::open(path)?)?.lm_class.is_some())
}

fn family(opened: &Opened) -> Result<&'static Family> {
    let known = || FAMILIES.iter().map(|f| f.name).collect::<Vec<_>>().join(", ");
    let path = opened.source.config_path();
    let Some(name) = opened.config.get("model_type").and_then(Value::as_str) else {
        return Err(Error::json(&path, format!("there is no `model_type`; known are {}", known())));
    };
    FAMILIES.iter().find(|family| family.name == name).ok_or_else(|| {
        Error::json(&path, format!("the architecture `{name}` is not supported; supported are {}", known()))
    })
}

/// Decoders do every task; encoders have no next token.
fn check_task(family: &Family, task: Task) -> Result<()> {
    if task.has_head() || family.lm_class.is_some() {
        return Ok(());
    }
    let decoders: Vec<_> = FAMILIES.iter().filter(|f| f.lm_class.is_some()).map(|f| f.name).collect();
    Err(Error::Invalid(format!(
        "a {} model is an encoder and predicts no next token; a language model is one of {}",
        family.name,
        decoders.join(", ")
    )))
}

/// How a model is loaded.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadOptions {
    /// What stands for a sequence in classification; what the checkpoint says if absent.
    pub pooling: Option<Pooling>,
    /// What it is loaded for.
    pub task: Task,
    /// Whether torch's own files are read where there are no others.
    pub pickles: Pickles,
}

/// What config.json says of the backbone and of the head.
struct Config {
    architecture: Box<dyn Architecture>,
    head: HeadSpec,
    labels: Option<Vec<String>>,
    initializer_range: f64,
}

/// Reads every field of config.json.
fn read_config(family: &Family, config: &Map<String, Value>) -> Result<Config> {
    let mut fields = Fields::new(family.name, config.clone());
    let architecture = (family.read)(&mut fields);
    let head = (family.head)(&mut fields);
    let initializer_range = f64::from(fields.f32_or("initializer_range", 0.02));
    // Both losses stand behind the same head; which it was, says nothing of the task that it is loaded for.
    fields.one_of("problem_type", &["single_label_classification", "regression"]);
    let labels = fields.labels();
    let shape = *architecture.shape();
    if shape.layers > MOST_LAYERS {
        fields.problem("layers", &format!("{} blocks are more than {MOST_LAYERS}", shape.layers));
    }
    fields.finish()?;
    Ok(Config { architecture, head, labels, initializer_range })
}

/// The checkpoint's own head, if it has one.
fn take_head(head: &HeadSpec, take: &mut Take<'_>) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let ends = |bias: bool| ["weight", "bias"].into_iter().take(if bias { 2 } else { 1 });
    let names = head.layers.iter().flat_map(|l| ends(l.bias).map(|end| format!("{}.{end}", l.name)));
    let mut values = BTreeMap::new();
    for name in names {
        let shape = take.shape(&name).map(<[usize]>::to_vec);
        if let Some(shape) = shape
            && let Some(value) = take.optional(&name, &shape)
        {
            values.insert(name, (shape, value));
        }
    }
    values
}
