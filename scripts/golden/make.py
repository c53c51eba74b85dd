#!/usr/bin/env python3
"""Makes golden cases: what the Python libraries compute on tiny random models (see crates/testing/golden/README.md).

    make.py OUT                            models and every case that the installed libraries can make
    make.py OUT --only bert-cls--dora      the cases whose name contains the text; models that OUT has are kept

Needs torch, transformers and safetensors; with peft for most cases, with adapters for the bottleneck adapters. The two
want different versions of transformers: run it once in an environment of each (../requirements-*.txt).
"""
import argparse
import json
import os
import shutil
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from families import FAMILIES

try:
    import peft
except ImportError:
    peft = None
try:
    import adapters
except ImportError:
    adapters = None

STEPS = 3
OPTIMIZER = {"name": "adamw", "lr": 0.01, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.01,
             "schedule": "constant", "clip": None}
FIRST_WORD = 4  # below are the special tokens
UNSCORED = 3  # of a language model's row, the first tokens: its prompt
IGNORED = -100
MODEL_NOISE = 0.05  # biases and norms of a fresh model are all 0 and 1: a mixed-up pair would not show
ADAPTER_NOISE = 0.1

# peft's name of a task, and the class that has its head.
TASKS = {"classification": ("SEQ_CLS", AutoModelForSequenceClassification),
         "causal-lm": ("CAUSAL_LM", AutoModelForCausalLM)}


def lora(sites="lora", **more):
    return lambda s, task: peft.LoraConfig(task_type=task, r=4, lora_alpha=8, target_modules=s[sites], **more)


def prompted(name, **more):
    return lambda s, task: getattr(peft, name)(task_type=task, num_virtual_tokens=5, **more)


PEFT = {
    "lora": lora(),
    "lora-all": lora("every"),
    "rslora": lora(use_rslora=True),
    "dora": lora(use_dora=True),
    "lora-bias": lora(lora_bias=True),
    # By a module's last part and by more of its path; where two patterns fit, the first one wins.
    "lora-patterns": lora(rank_pattern={"layer.1.attention.self.value": 2, "value": 6},
                          alpha_pattern={"layer.2.attention.self.value": 3, "query": 10}),
    "ia3": lambda s, task: peft.IA3Config(
        task_type=task, target_modules=s["ia3"], feedforward_modules=s["feedforward"]),
    "prompt": prompted("PromptTuningConfig"),
    "p-tuning": prompted("PromptEncoderConfig", encoder_hidden_size=24),
    "prefix": prompted("PrefixTuningConfig"),
    "prefix-mlp": prompted("PrefixTuningConfig", prefix_projection=True, encoder_hidden_size=24),
    "llama-adapter": lambda s, task: peft.AdaptionPromptConfig(task_type=task, adapter_len=6, adapter_layers=2),
}
ADAPTERS = {"houlsby": "DoubleSeqBnConfig", "pfeiffer": "SeqBnConfig", "parallel": "ParBnConfig"}
HEADS = ("classifier", "pre_classifier", "score")


def can_make(method):
    """Whether the library of the method is installed; a case without an adapter is made beside peft's."""
    return bool(adapters if method in ADAPTERS else peft)


def noise(tensors, scale, generator):
    """Adds normal noise to each (name, tensor), in the order of the names."""
    with torch.no_grad():
        for _, tensor in sorted(tensors):
            tensor.add_(scale * torch.randn(tensor.shape, generator=generator))


def make_model(family, folder, generator):
    _, auto = TASKS[FAMILIES[family].task]
    model = auto.from_config(FAMILIES[family].config())
    noise(model.named_parameters(), MODEL_NOISE, generator)
    model.save_pretrained(folder)


def make_batch(family, config, generator):
    """input_ids and attention_mask [rows, longest], labels [rows], or [rows, longest] for a language model."""
    lengths = torch.tensor(family.lengths)
    shape = (len(lengths), int(lengths.max()))
    ids = torch.randint(FIRST_WORD, config.vocab_size, shape, generator=generator)
    mask = (torch.arange(shape[1])[None, :] < lengths[:, None]).long()
    ids = torch.where(mask == 1, ids, config.pad_token_id or 0)
    if family.task == "causal-lm":
        scored = (mask == 1) & (torch.arange(shape[1])[None, :] >= UNSCORED)
        labels = torch.where(scored, ids, IGNORED)
    else:
        labels = torch.randint(0, config.num_labels, shape[:1], generator=generator)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def adapted(model, family, method):
    """The model with the method on it, and what saves its adapter to a folder (None where there is none)."""
    task, _ = TASKS[FAMILIES[family].task]
    if method in PEFT:
        model = peft.get_peft_model(model, PEFT[method](FAMILIES[family].sites, task))
        # What the saved configuration names as its base: as seen from the case's adapter folder.
        model.peft_config["default"].base_model_name_or_path = f"../../../models/{family}"
        return model, model.save_pretrained
    if method in ADAPTERS:
        adapters.init(model)
        model.add_adapter("a", config=getattr(adapters, ADAPTERS[method])(reduction_factor=4))
        model.train_adapter("a")
        model.config._name_or_path = f"../../../models/{family}"
        return model, lambda folder: model.save_adapter(folder, "a", with_head=False, use_safetensors=True)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(method == "full" or (method == "head" and name.startswith(HEADS)))
    return model, None


def train(model, batch, trained):
    """The reference run: logits, losses (one more than steps), and before/grad/after of each trained tensor."""
    tensors = {f"before.{name}": tensor.detach().clone() for name, tensor in trained}
    optimizer = torch.optim.AdamW([tensor for _, tensor in trained], lr=OPTIMIZER["lr"], betas=OPTIMIZER["betas"],
                                  eps=OPTIMIZER["eps"], weight_decay=OPTIMIZER["weight_decay"]) if trained else None
    losses = []
    for step in range(STEPS + 1 if trained else 1):
        out = model(**batch)
        losses.append(out.loss.item())
        if step == 0:
            tensors["logits"] = out.logits.detach().clone()
        if step == STEPS or not trained:
            break
        optimizer.zero_grad()
        out.loss.backward()
        if step == 0:
            tensors |= {f"grad.{name}": tensor.grad.clone() for name, tensor in trained}
        optimizer.step()
    tensors |= {f"after.{name}": tensor.detach().clone() for name, tensor in trained}
    return tensors, losses


def make_case(family, method, models, folder, generator):
    _, auto = TASKS[FAMILIES[family].task]
    model = auto.from_pretrained(models / family, dtype=torch.float32)
    batch = make_batch(FAMILIES[family], model.config, generator)
    model, save = adapted(model, family, method)
    trained = sorted((name, tensor) for name, tensor in model.named_parameters() if tensor.requires_grad)
    if method != "full":
        noise(trained, ADAPTER_NOISE, generator)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    model.eval()
    if save:
        save(folder / "adapter")
        (folder / "adapter" / "README.md").unlink(missing_ok=True)  # peft's empty model card
    tensors, losses = train(model, batch, trained)
    save_file({name: tensor.contiguous() for name, tensor in (tensors | batch).items()},
              folder / "expected.safetensors")
    made_with = {m.__name__: m.__version__ for m in (torch, transformers, peft, adapters) if m}
    case = {"model": f"../../models/{family}", "method": method, "task": FAMILIES[family].task,
            "adapter": "adapter" if save else None, "steps": STEPS, "optimizer": OPTIMIZER,
            "losses": losses, "trainable": sum(tensor.numel() for _, tensor in trained), "made_with": made_with}
    (folder / "case.json").write_text(json.dumps(case, indent=1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the folder of models/ and cases/")
    parser.add_argument("--only", default="", metavar="TEXT", help="only cases whose name contains TEXT")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for family in FAMILIES:
        # Seeded one by one, so that a case does not depend on which others were asked for.
        for method in filter(can_make, FAMILIES[family].methods):
            name = f"{family}--{method}"
            if args.only not in name:
                continue
            generator = torch.Generator().manual_seed(args.seed)
            if not (args.out / "models" / family).is_dir():
                torch.manual_seed(args.seed)
                make_model(family, args.out / "models" / family, generator)
            torch.manual_seed(args.seed)
            make_case(family, method, args.out / "models", args.out / "cases" / name, generator.manual_seed(args.seed))
            print(name)


if __name__ == "__main__":
    main()
