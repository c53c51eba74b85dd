#!/usr/bin/env python3
"""Writes the small files in torch's own format that the readers are tested with.

    make.py

Needs an environment with ../requirements-peft.txt. The values follow from the tensors' places, so the tests know them.
torch does not write the same bytes twice (addresses, hashes), so nothing but a change of the files' content is a reason
to run it again.
"""
import json
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "crates/models/tests/torch"
TRAIN = ROOT / "crates/train/tests/torch"
# The tiny BERT of the golden cases.
LAYERS, HIDDEN, HEADS, CLASSES = 3, 32, 4, 3


def counted(start, *shape):
    """Eighths from `start` on: exact in every float type."""
    count = torch.Size(shape).numel()
    return ((torch.arange(count) + start) / 8).reshape(shape)


def weights():
    """What the weights reader meets: types, views of one storage, a parameter, a type without a storage class."""
    base = counted(0, 2, 3)
    state = {
        "whole": base,
        "transposed": base.t(),
        "row": base[1],
        "column": base[:, 2],
        "every_other": counted(0, 4, 4)[1::2, ::2],
        "scalar": torch.tensor(1.5),
        "half": counted(1, 2).half(),
        "bf16": counted(2, 2).bfloat16(),
        "double": counted(3, 2).double(),
        "parameter": torch.nn.Parameter(counted(4, 2)),
        "long": torch.tensor([7, -7]),
        "short_float": torch.tensor([1.0, 2.0]).to(torch.float8_e4m3fn),
        "epoch": 3,
        "rate": 0.5,
        "size": torch.Size([2, 3]),
        "device": torch.device("cpu"),
    }
    torch.save(state, MODELS / "types.bin")

    linear = torch.nn.Linear(3, 2)
    with torch.no_grad():
        linear.weight.copy_(counted(0, 2, 3))
        linear.bias.copy_(counted(6, 2))
    torch.save({"model": linear.state_dict(), "step": 3}, MODELS / "nested.pth", pickle_protocol=5)
    torch.save(linear.state_dict(), MODELS / "before-1.6.bin", _use_new_zipfile_serialization=False)


def adapterhub():
    """A Pfeiffer adapter in the last block and a head, under the names and in the files of AdapterHub."""
    folder = TRAIN / "adapterhub"
    folder.mkdir(parents=True, exist_ok=True)
    path = f"bert.encoder.layer.{LAYERS - 1}.output.adapters.tiny"
    adapter = {
        f"{path}.adapter_down.0.weight": counted(-16, 1, HIDDEN) / 8,
        f"{path}.adapter_down.0.bias": counted(1, 1),
        f"{path}.adapter_up.weight": counted(-8, HIDDEN, 1) / 8,
        f"{path}.adapter_up.bias": counted(-4, HIDDEN) / 8,
    }
    head = {"classifier.weight": counted(-48, CLASSES, HIDDEN) / 8, "classifier.bias": counted(0, CLASSES)}
    torch.save(adapter, folder / "pytorch_adapter.bin")
    torch.save(head, folder / "pytorch_model_head.bin")
    config = {
        "config": {
            "mh_adapter": False,
            "output_adapter": True,
            "original_ln_before": True,
            "original_ln_after": True,
            "residual_before_ln": True,
            "leave_out": list(range(LAYERS - 1)),
            "non_linearity": "relu",
            "reduction_factor": HIDDEN,
        },
        "hidden_size": HIDDEN,
        "model_type": "bert",
        "name": "tiny",
    }
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")


def llama_adapter():
    """The original LLaMA-Adapter's file, 2 tokens in the top 2 of 3 layers. Gates of the layer below are there and
    zero, as its own script leaves them."""
    content = {f"layers.{i}.attention.gate": counted(8 * i, 1, HEADS, 1, 1) for i in range(LAYERS)}
    content["layers.0.attention.gate"].zero_()
    content["adapter_query.weight"] = counted(0, 2 * 2, HIDDEN)
    torch.save(content, TRAIN / "llama-adapter.pth")


def litgpt():
    """litgpt's file, 2 tokens from layer 1 on; the first gate in the layout of its older versions."""
    folder = TRAIN / "litgpt"
    folder.mkdir(parents=True, exist_ok=True)
    model = {}
    for i in range(1, LAYERS):
        gates = counted(8 * i, 1, 1, HEADS, 1)
        model[f"transformer.h.{i}.attn.gating_factor"] = gates.permute(0, 2, 1, 3) if i == 1 else gates
        model[f"transformer.h.{i}.attn.adapter_wte.weight"] = counted(64 * i, 2, HIDDEN)
    torch.save({"model": model}, folder / "lit_model.pth.adapter")


if __name__ == "__main__":
    for folder in (MODELS, TRAIN):
        folder.mkdir(parents=True, exist_ok=True)
    for write in (weights, adapterhub, llama_adapter, litgpt):
        write()
