"""The tiny models that golden cases are made on, and which methods have a case on each.

A decoder's weights start larger than is usual: with flat attention, a wrong rotation or scale would hardly show.
"""
from dataclasses import dataclass
from typing import Callable

import transformers

# Rows of different lengths: a reader that ignores the mask, or that pads, must not pass.
LENGTHS = (14, 11, 8, 5)


@dataclass
class Family:
    config: Callable
    task: str  # classification or causal-lm
    sites: dict  # a family's projections, as peft's target_modules match them: by suffix
    methods: list
    lengths: tuple = LENGTHS


ENCODER = ["none", "head", "full", "lora", "lora-all", "ia3", "prompt", "p-tuning", "prefix", "prefix-mlp",
           "houlsby", "pfeiffer", "parallel"]
# They are a matter of the method, not of the family.
VARIANTS = ["rslora", "dora", "lora-bias", "lora-patterns"]
# peft has no prompt methods for DistilBERT.
NO_PROMPTS = [name for name in ENCODER if name not in ("prompt", "p-tuning", "prefix", "prefix-mlp")]
DECODER = [name for name in ENCODER if name != "head"] + ["llama-adapter"]
# AdapterHub has no Qwen2, and peft's LLaMA-Adapter neither.
QWEN2 = [name for name in DECODER if name not in ("houlsby", "pfeiffer", "parallel", "llama-adapter")]
NEW = ["none", "lora", "prefix", "full"]
SCORE = ["none", "head", "lora"]

_bert = dict(vocab_size=211, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=48,
             max_position_embeddings=64, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_labels=3)
_distilbert = dict(vocab_size=211, dim=32, n_layers=3, n_heads=4, hidden_dim=48, max_position_embeddings=64,
                   dropout=0.0, attention_dropout=0.0, seq_classif_dropout=0.0, num_labels=2)
_gpt2 = dict(vocab_size=113, n_embd=32, n_layer=3, n_head=4, n_positions=64, embd_pdrop=0.0, attn_pdrop=0.0,
             resid_pdrop=0.0, bos_token_id=0, eos_token_id=0)
_llama = dict(vocab_size=113, hidden_size=32, intermediate_size=40, num_hidden_layers=3, num_attention_heads=4,
              num_key_value_heads=2, max_position_embeddings=64, rms_norm_eps=1e-5, pad_token_id=0, bos_token_id=1,
              eos_token_id=2, attention_dropout=0.0, tie_word_embeddings=True, initializer_range=0.15)
# Two heads of 16: more frequencies for the scaling to tell apart.
_rope = _llama | dict(num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=256)
# The embeddings' default rotation, of 10000, turns half of these frequencies by next to nothing over a row.
_theta = 500.0

_bert_sites = dict(lora=["query", "value"], every=["query", "key", "value", "dense"],
                   ia3=["key", "value", "output.dense"], feedforward=["output.dense"])
_distilbert_sites = dict(lora=["q_lin", "v_lin"], every=["q_lin", "k_lin", "v_lin", "out_lin", "lin1", "lin2"],
                         ia3=["k_lin", "v_lin", "lin2"], feedforward=["lin2"])
_gpt2_sites = dict(lora=["c_attn"], every=["c_attn", "c_proj", "c_fc"], ia3=["c_attn", "mlp.c_proj"],
                   feedforward=["mlp.c_proj"])
_llama_sites = dict(lora=["q_proj", "v_proj"], ia3=["k_proj", "v_proj", "down_proj"], feedforward=["down_proj"],
                    every=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"])


def llama(base=_llama, **more):
    return lambda: transformers.LlamaConfig(**(base | more))


def roped(rope, **more):
    return llama(_rope, rope_parameters={"rope_theta": _theta} | rope, **more)


def lm(config, methods, **more):
    return Family(config, "causal-lm", _llama_sites, methods, **more)


FAMILIES = {
    "bert-cls": Family(lambda: transformers.BertConfig(**_bert), "classification", _bert_sites, ENCODER + VARIANTS),
    "roberta-cls": Family(lambda: transformers.RobertaConfig(**_bert, type_vocab_size=1), "classification",
                          _bert_sites, ENCODER),
    "distilbert-cls": Family(lambda: transformers.DistilBertConfig(**_distilbert), "classification",
                             _distilbert_sites, NO_PROMPTS),
    "gpt2-lm": Family(lambda: transformers.GPT2Config(**_gpt2), "causal-lm", _gpt2_sites, DECODER),
    "llama-lm": lm(llama(), DECODER),
    "qwen2-lm": lm(lambda: transformers.Qwen2Config(**_llama | {"tie_word_embeddings": False}), QWEN2),
    "llama-untied-lm": lm(llama(tie_word_embeddings=False, num_hidden_layers=2), NEW),
    # The wavelengths lie on both sides of 32 / 4 and of 32 / 1, and between.
    "llama-rope-llama3-lm": lm(roped({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                                      "high_freq_factor": 4.0, "original_max_position_embeddings": 32}), NEW),
    "llama-rope-linear-lm": lm(roped({"rope_type": "linear", "factor": 4.0}), NEW),
    # The rotation depends on the longest row of the batch once that is beyond the model's positions: one length only.
    "llama-rope-dynamic-lm": lm(roped({"rope_type": "dynamic", "factor": 2.0}, max_position_embeddings=8), NEW,
                                lengths=(14, 14, 14)),
    # The window is shorter than three of the four rows.
    "mistral-lm": lm(lambda: transformers.MistralConfig(**_llama, sliding_window=6), NEW + ["llama-adapter"]),
    "qwen3-lm": lm(lambda: transformers.Qwen3Config(**_llama, head_dim=12), NEW + ["ia3"]),
    "gemma3-lm": lm(lambda: transformers.Gemma3TextConfig(**_llama | dict(
        num_hidden_layers=4, head_dim=12, sliding_window=6, query_pre_attn_scalar=7,
        layer_types=["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"],
        rope_parameters={"full_attention": {"rope_type": "default", "rope_theta": 1000.0},
                         "sliding_attention": {"rope_type": "default", "rope_theta": 50.0}})), NEW),
    "llama-score": Family(llama(num_labels=3, num_hidden_layers=2), "classification", _llama_sites, SCORE),
    "gpt2-score": Family(lambda: transformers.GPT2Config(**_gpt2 | dict(n_layer=2, num_labels=2, pad_token_id=0)),
                         "classification", _gpt2_sites, SCORE),
    "qwen2-score": Family(lambda: transformers.Qwen2Config(**_llama | dict(num_hidden_layers=2, num_labels=3)),
                          "classification", _llama_sites, SCORE),
}
