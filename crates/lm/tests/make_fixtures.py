"""Reference fixtures for the scorer, by Hugging Face Transformers: writes fixtures/neox-NAME/.

Requirements (versions used): Python 3.11, torch 2.15.0 (CPU), numpy 2.4.6, safetensors 0.8.0, and transformers
4.57.6 for every fixture but one, 5.23.0 for `neox-newer-config` (its config.json has the newer names).
    python make_fixtures.py             # with transformers 4: all but neox-newer-config; with 5: only that one

Each folder holds config.json, model.safetensors (tiny random weights, seeded) and expected.json:
    transformers, torch   versions that computed it
    ids                   token ids, sequences of different lengths, the last as long as the context
    logprobs              for each sequence, ln p(ids[t] | ids[..t]) for t = 1, 2, ...: one shorter than ids
The reference loads the written files again (so they are files that Transformers accepts), upcasts the weights to f32,
runs each sequence alone with eager attention on the CPU, and takes the log-softmax of the f32 logits in f64.

Weights are drawn far larger than a trained model's (standard deviation 0.25, biases and layer norms too), so that a
wrong rotation, a swapped layer norm or a missed bias changes the result by whole nats, not by rounding.
"""

import json
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

HERE = Path(__file__).resolve().parent / "fixtures"
NEWER = int(transformers.__version__.split(".")[0]) >= 5
CONTEXT = 64
LENGTHS = (1, 2, 7, 33, 50, CONTEXT)
STD = 0.25

BASE = {
    "vocab_size": 67,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "max_position_embeddings": CONTEXT,
    "hidden_act": "gelu",
    "rotary_emb_base": 10000,
    "rotary_pct": 0.25,
    "use_parallel_residual": True,
    "layer_norm_eps": 1e-5,
    "tie_word_embeddings": False,
    "bos_token_id": 0,
    "eos_token_id": 0,
}

# name -> (changes to BASE, storage type, ids are below this, legacy buffers in the file)
OLDER_FIXTURES = {
    "parallel-quarter": ({}, torch.float32, 67, False),
    "parallel-whole": ({"rotary_pct": 1.0, "rotary_emb_base": 500, "num_attention_heads": 2}, torch.float32, 67, False),
    # Three heads of 16, and a feed-forward that is not four times as wide.
    "serial-quarter": (
        {"use_parallel_residual": False, "hidden_size": 48, "num_attention_heads": 3, "intermediate_size": 40},
        torch.float32,
        67,
        False,
    ),
    "serial-whole": (
        {"use_parallel_residual": False, "rotary_pct": 1.0, "layer_norm_eps": 1e-2},
        torch.float32,
        67,
        False,
    ),
    "f16-legacy-buffers": ({"num_attention_heads": 2}, torch.float16, 67, True),
    # 67 tokens in use, 80 rows: the other 13 take part in the softmax.
    "bf16-padded-vocabulary": ({"vocab_size": 80, "intermediate_size": 100}, torch.bfloat16, 67, False),
    "tied": ({"tie_word_embeddings": True}, torch.float32, 67, False),
}
NEWER_FIXTURES = {
    "newer-config": ({"rotary_pct": 0.5, "rotary_emb_base": 2000}, torch.float32, 67, False),
}


def make_config(changes):
    """The configuration, with rotary settings by the installed version's own names."""
    values = {**BASE, **changes}
    if NEWER:
        values["rope_parameters"] = {
            "rope_type": "default",
            "rope_theta": float(values.pop("rotary_emb_base")),
            "partial_rotary_factor": values.pop("rotary_pct"),
        }
    return GPTNeoXConfig(**values)


def randomise(model, seed):
    """Fills every parameter, in name order, from one seeded generator; layer-norm weights are centred at 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * STD)
            if "norm" in name and name.endswith("weight"):
                parameter.add_(1.0)


def add_legacy_buffers(path, config):
    """Adds, per layer, the three buffers that the published Pythia files hold and a loader has to ignore."""
    tensors = load_file(path)
    size = config.hidden_size // config.num_attention_heads
    rotary = int(size * config.rotary_pct)
    exponent = torch.arange(0, rotary, 2).float() / rotary
    for layer in range(config.num_hidden_layers):
        prefix = f"gpt_neox.layers.{layer}.attention"
        triangle = torch.ones(CONTEXT, CONTEXT, dtype=torch.bool).tril()
        # One layer of each type, so that a loader is tried on both.
        mask = triangle if layer % 2 == 0 else triangle.to(torch.uint8)
        tensors[f"{prefix}.bias"] = mask.view(1, 1, CONTEXT, CONTEXT).contiguous()
        # The value does not fit f16, so this scalar stays f32.
        tensors[f"{prefix}.masked_bias"] = torch.tensor(-1e9)
        tensors[f"{prefix}.rotary_emb.inv_freq"] = 1.0 / config.rotary_emb_base**exponent
    save_file(tensors, path, metadata={"format": "pt"})


def strip_newer_names(path):
    """Leaves in config.json only names that the published Pythia files have: rotary_pct and rotary_emb_base."""
    values = json.loads(path.read_text())
    values["torch_dtype"] = values.pop("dtype")
    for name in ("partial_rotary_factor", "rope_theta", "rope_scaling", "attention_bias"):
        del values[name]
    path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")


def reference(folder, ids, dtype):
    """ln p of every token but the first of each sequence, and the same with compute in dtype."""
    model = GPTNeoXForCausalLM.from_pretrained(folder, attn_implementation="eager").to(dtype).eval()
    out = []
    with torch.no_grad():
        for row in ids:
            logits = model(torch.tensor([row])).logits[0].double()
            logprobs = logits.log_softmax(-1)[:-1]
            picked = logprobs.gather(1, torch.tensor(row[1:], dtype=torch.long).view(-1, 1))
            out.append([round(value, 9) for value in picked[:, 0].tolist()])
    return out


def make(name, seed, changes, dtype, used, legacy):
    """Writes one folder and prints its size and how far f32 and f64 compute are apart."""
    folder = HERE / f"neox-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    config = make_config(changes)
    model = GPTNeoXForCausalLM(config)
    randomise(model, seed)
    model.to(dtype).save_pretrained(folder, safe_serialization=True)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if legacy:
        add_legacy_buffers(folder / "model.safetensors", config)
        strip_newer_names(folder / "config.json")
    (folder / "model.safetensors").chmod(0o644)
    generator = torch.Generator().manual_seed(seed + 1000)
    ids = [torch.randint(used, (length,), generator=generator).tolist() for length in LENGTHS]
    logprobs = reference(folder, ids, torch.float32)
    expected = {
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        "ids": ids,
        "logprobs": logprobs,
    }
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")
    exact = reference(folder, ids, torch.float64)
    apart = max(abs(a - b) for x, y in zip(logprobs, exact) for a, b in zip(x, y))
    mean = sum(map(sum, logprobs)) / sum(map(len, logprobs))
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{folder.name}: {size} bytes, mean ln p {mean:.4f}, f32 and f64 at most {apart:.1e} nats apart")


def main():
    """Writes the fixtures that the installed Transformers is for."""
    torch.set_num_threads(1)
    first = 100 if NEWER else 1
    for seed, (name, fixture) in enumerate((NEWER_FIXTURES if NEWER else OLDER_FIXTURES).items(), first):
        make(name, seed, *fixture)


if __name__ == "__main__":
    main()
