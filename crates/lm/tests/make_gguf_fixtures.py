"""Reference fixtures of GGUF files, by Hugging Face Transformers and gguf-py: writes fixtures/gguf-NAME/ and
fixtures/gguf-blocks.json.

    python3 make_gguf_fixtures.py

Requirements (versions used): torch 2.15.0, transformers 5.24.0, gguf 0.19.0. Each folder holds a model.gguf of tiny
seeded random weights in the number formats named below, and expected.json as the other fixtures have it: Transformers
reads the .gguf itself (so it undoes llama.cpp's order of queries and keys, and the quantisation), and runs each sequence
alone in f32 with eager attention. It cannot read a Mixtral from GGUF: there the reference is the model that was written,
with weights that f16 holds exactly. gguf-blocks.json has random blocks of every format, in hexadecimal, beside what gguf-py's
dequantisation makes of them.
"""

import json
import sys
import tempfile
from pathlib import Path

import gguf
import numpy
import torch
import transformers
from gguf import GGMLQuantizationType as Kind
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, LlamaConfig, MixtralConfig, Qwen2Config

HERE = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parent / "fixtures")
CONTEXT = 64
LENGTHS = (1, 2, 7, 33, 50, CONTEXT)
STD = 0.25
VOCABULARY = 67
COMMON = {
    "vocab_size": VOCABULARY, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "intermediate_size": 96, "max_position_embeddings": CONTEXT, "bos_token_id": 0,
    "eos_token_id": 0,
}
EXPERTS = {**COMMON, "hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 32}
# name -> (architecture of llama.cpp, configuration, formats that the matrices take in turn)
FIXTURES = {
    "llama": ("llama", LlamaConfig(**COMMON, tie_word_embeddings=False), (Kind.Q8_0, Kind.Q4_0, Kind.Q5_1)),
    "qwen2": ("qwen2", Qwen2Config(**COMMON, tie_word_embeddings=True), (Kind.BF16, Kind.F16, Kind.Q4_1, Kind.Q5_0)),
    "mixtral": (
        "llama",
        MixtralConfig(**EXPERTS, num_local_experts=4, num_experts_per_tok=2, sliding_window=None),
        (Kind.F16,),
    ),
}
NAMES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "block_sparse_moe.gate": "ffn_gate_inp",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}
BLOCKS = (Kind.Q4_0, Kind.Q4_1, Kind.Q5_0, Kind.Q5_1, Kind.Q8_0, Kind.Q4_K, Kind.Q5_K, Kind.Q6_K)


def name_of(theirs):
    """llama.cpp's name of a tensor."""
    stem, _, kind = theirs.rpartition(".")
    if stem.startswith("model.layers."):
        layer, _, rest = stem.removeprefix("model.layers.").partition(".")
        return f"blk.{layer}.{NAMES[rest]}.{kind}"
    return f"{NAMES[stem]}.{kind}"


def in_pairs(weight, heads):
    """The rows of each head as llama.cpp keeps them: the two that are rotated together side by side."""
    return weight.reshape(heads, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


def tensors_of(model, config):
    """Every tensor by llama.cpp's name, f32, in its order."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        saved = load_file(Path(folder) / "model.safetensors")
    tensors, experts = {}, {}
    for name, tensor in sorted(saved.items()):
        values = tensor.float().numpy()
        if ".experts." in name:
            layer, expert, part = name.split(".")[2], int(name.split(".")[5]), name.split(".")[6]
            experts.setdefault((layer, part), {})[expert] = values
            continue
        if config.model_type != "qwen2" and name.endswith(("q_proj.weight", "k_proj.weight")):
            heads = config.num_attention_heads if "q_proj" in name else config.num_key_value_heads
            values = in_pairs(values, heads)
        tensors[name_of(name)] = values
    for (layer, part), each in experts.items():
        name = {"w1": "gate", "w3": "up", "w2": "down"}[part]
        tensors[f"blk.{layer}.ffn_{name}_exps.weight"] = numpy.stack([each[i] for i in sorted(each)])
    return tensors


def write(path, architecture, config, model, kinds):
    """Writes the model as GGUF."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("fixture")
    writer.add_array("tokenizer.ggml.tokens", [f"t{i}" for i in range(VOCABULARY)])
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_vocab_size(VOCABULARY)
    if config.model_type == "mixtral":
        writer.add_expert_count(config.num_local_experts)
        writer.add_expert_used_count(config.num_experts_per_tok)
    turn = 0
    for name, values in tensors_of(model, config).items():
        if values.ndim == 1:
            writer.add_tensor(name, values)
            continue
        kind = kinds[turn % len(kinds)]
        turn += 1
        writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make(name, seed, architecture, config, kinds):
    """Writes one folder and says how large it is."""
    folder = HERE / f"gguf-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    model = AutoModelForCausalLM.from_config(config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter_name, parameter in sorted(model.named_parameters()):
            drawn = torch.randn(parameter.shape, generator=generator) * STD
            drawn = drawn + 1.0 if "norm" in parameter_name else drawn
            parameter.copy_(drawn.half().float())
    write(folder / "model.gguf", architecture, config, model, kinds)
    if config.model_type != "mixtral":
        reader = AutoModelForCausalLM.from_pretrained
        model = reader(folder, gguf_file="model.gguf", dtype=torch.float32, attn_implementation="eager")
    model.eval()
    ids = [torch.randint(VOCABULARY, (length,), generator=generator).tolist() for length in LENGTHS]
    logprobs = []
    with torch.no_grad():
        for row in ids:
            logits = model(torch.tensor([row]), use_cache=False).logits[0].double()
            picked = logits.log_softmax(-1)[:-1].gather(1, torch.tensor(row[1:], dtype=torch.long).view(-1, 1))
            logprobs.append([round(value, 9) for value in picked[:, 0].tolist()])
    expected = {"transformers": transformers.__version__, "torch": torch.__version__, "ids": ids, "logprobs": logprobs}
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")
    mean = sum(map(sum, logprobs)) / sum(map(len, logprobs))
    print(f"{folder.name}: {sum(f.stat().st_size for f in folder.iterdir())} bytes, mean ln p {mean:.4f}")


def blocks():
    """Two random blocks of each format; the halves that are scales are made finite and small."""
    random = numpy.random.default_rng(0)
    out = []
    for kind in BLOCKS:
        _, size = gguf.GGML_QUANT_SIZES[kind]
        data = random.integers(0, 256, (2, size), dtype=numpy.uint8)
        scales = {Kind.Q4_1: (0, 2), Kind.Q5_1: (0, 2), Kind.Q4_K: (0, 2), Kind.Q5_K: (0, 2), Kind.Q6_K: (208,)}
        for at in scales.get(kind, (0,)):
            data[:, at : at + 2] = random.normal(0, 0.02, (2, 1)).astype(numpy.float16).view(numpy.uint8)
        values = gguf.quants.dequantize(data, kind).astype(numpy.float32)
        bits = values.view(numpy.uint32).ravel().tolist()
        out.append({"kind": kind.name, "bytes": data.tobytes().hex(), "bits": bits})
    (HERE / "gguf-blocks.json").write_text(json.dumps(out) + "\n")


def main():
    """Writes every fixture."""
    torch.set_num_threads(1)
    for seed, (name, fixture) in enumerate(FIXTURES.items(), 300):
        make(name, seed, *fixture)
    blocks()


if __name__ == "__main__":
    main()
