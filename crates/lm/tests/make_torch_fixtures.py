"""Weights as PyTorch's own files: writes fixtures/torch-NAME/ from fixtures/neox-NAME/ (see make_fixtures.py).

Requirements (versions used): Python 3.11, torch 2.15.0 (CPU), safetensors 0.8.0.
    python3 make_torch_fixtures.py

Each folder holds the config.json and expected.json of the one that it is made from, and its tensors as torch.save
writes them: `f16-legacy-buffers` in one pytorch_model.bin, with masks of truth values and of integers beside the
weights; `bf16-padded-vocabulary` in two shards with pytorch_model.bin.index.json. All layer norms of a file are
views of one storage, at offsets.
"""

import json
import shutil
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import load_file

HERE = Path(__file__).resolve().parent / "fixtures"


def save(name, shards):
    """Writes the folder of a fixture."""
    source, target = HERE / f"neox-{name}", HERE / f"torch-{name}"
    target.mkdir(exist_ok=True)
    for file in ("config.json", "expected.json"):
        shutil.copy(source / file, target / file)
    tensors = list(load_file(source / "model.safetensors").items())
    tensors.sort()
    where = {}
    for shard in range(shards):
        file = "pytorch_model.bin" if shards == 1 else f"pytorch_model-{shard + 1:05}-of-{shards:05}.bin"
        part = dict(tensors[shard::shards])
        names = [key for key in part if "norm" in key]
        views = torch.cat([part[key] for key in names]).split([len(part[key]) for key in names])
        state = OrderedDict(part | dict(zip(names, views)))
        # What Module.state_dict() adds to the dictionary.
        state._metadata = OrderedDict({"": {"version": 1}, "gpt_neox": {"version": None}})
        torch.save(state, target / file)
        where |= dict.fromkeys(part, file)
    if shards > 1:
        index = {"metadata": {}, "weight_map": where}
        (target / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")
    print(f"{target.name}: {sum(f.stat().st_size for f in target.iterdir())} bytes")


if __name__ == "__main__":
    save("f16-legacy-buffers", 1)
    save("bf16-padded-vocabulary", 2)
