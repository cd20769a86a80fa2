"""Reference fixtures of further architectures, by Hugging Face Transformers: writes fixtures/NAME/.

    python3 make_architecture_fixtures.py

Requirements (versions used): torch 2.15.0, transformers 5.24.0, safetensors. Each folder holds what the ones of
`make_fixtures.py` hold, made the same way: tiny seeded random weights, large enough that any wrong detail shows; the
reference runs each sequence alone in f32 with eager attention and takes the log-softmax in f64.
"""

import json
import sys
from pathlib import Path

import torch
import transformers
from transformers import (
    AutoModelForCausalLM, GPT2Config, LlamaConfig, MambaConfig, MistralConfig, MixtralConfig, Qwen2Config,
)

HERE = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parent / "fixtures")
CONTEXT = 64
LENGTHS = (1, 2, 7, 33, 50, CONTEXT)
STD = 0.25

COMMON = {"vocab_size": 67, "hidden_size": 32, "num_hidden_layers": 2, "bos_token_id": 0, "eos_token_id": 0}
HEADS = {"num_attention_heads": 4, "intermediate_size": 48, "max_position_embeddings": CONTEXT}
# name -> (configuration, storage type)
FIXTURES = {
    # Two heads share each key.
    "llama": (LlamaConfig(**COMMON, **HEADS, num_key_value_heads=2, tie_word_embeddings=False), torch.float16),
    "llama-tied": (
        LlamaConfig(
            **COMMON, **HEADS, num_key_value_heads=4, head_dim=12, tie_word_embeddings=True, attention_bias=True,
            mlp_bias=True, rms_norm_eps=1e-3, rope_parameters={"rope_type": "default", "rope_theta": 500.0},
        ),
        torch.float32,
    ),
    "qwen2": (Qwen2Config(**COMMON, **HEADS, num_key_value_heads=1, tie_word_embeddings=True), torch.bfloat16),
    "mixtral": (
        MixtralConfig(
            **COMMON, **HEADS, num_key_value_heads=2, num_local_experts=4, num_experts_per_tok=2, sliding_window=None,
        ),
        torch.float32,
    ),
    "gpt2": (
        GPT2Config(
            vocab_size=67, n_embd=32, n_layer=2, n_head=4, n_positions=CONTEXT, n_inner=None, bos_token_id=0,
            eos_token_id=0,
        ),
        torch.float32,
    ),
    "mamba": (MambaConfig(**COMMON, state_size=16, expand=2, conv_kernel=4, time_step_rank=3), torch.float32),
    "mistral": (
        MistralConfig(**COMMON, **HEADS, num_key_value_heads=2, head_dim=16, sliding_window=None), torch.bfloat16,
    ),
}


def randomise(model, seed):
    """Fills every parameter, in name order, from one seeded generator; norm weights are centred at 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            drawn = torch.randn(parameter.shape, generator=generator) * STD
            if name.endswith("A_log"):
                drawn += torch.log(torch.arange(1, parameter.shape[1] + 1).float())
            if ("norm" in name or ".ln_" in name) and name.endswith("weight") or name.endswith(".D"):
                drawn += 1.0
            parameter.copy_(drawn)


def main():
    """Writes every fixture and says how large it is."""
    torch.set_num_threads(1)
    for seed, (name, (config, dtype)) in enumerate(FIXTURES.items(), 200):
        folder = HERE / name
        folder.mkdir(parents=True, exist_ok=True)
        model = AutoModelForCausalLM.from_config(config)
        randomise(model, seed)
        model.to(dtype).save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        (folder / "model.safetensors").chmod(0o644)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        generator = torch.Generator().manual_seed(seed + 1000)
        ids = [torch.randint(67, (length,), generator=generator).tolist() for length in LENGTHS]
        logprobs = []
        with torch.no_grad():
            for row in ids:
                logits = model(torch.tensor([row]), use_cache=False).logits[0].double()
                picked = logits.log_softmax(-1)[:-1].gather(1, torch.tensor(row[1:], dtype=torch.long).view(-1, 1))
                logprobs.append([round(value, 9) for value in picked[:, 0].tolist()])
        expected = {"transformers": transformers.__version__, "torch": torch.__version__, "ids": ids, "logprobs": logprobs}
        (folder / "expected.json").write_text(json.dumps(expected) + "\n")
        size = sum(f.stat().st_size for f in folder.iterdir())
        mean = sum(map(sum, logprobs)) / sum(map(len, logprobs))
        print(f"{name}: {size} bytes, mean ln p {mean:.4f}")


if __name__ == "__main__":
    main()
