"""Times our scoring beside Transformers: the same chunks, the same windows, the same work, 2 threads, f32.

    cargo build --release -p cpipe-lm --example score && python3 bench/score.py [--rounds 5] [--chunks 16]

Needs Python 3.11+, torch 2.15, transformers 5.24, tokenizers 0.23, numpy (versions used). The models: the five nano
models at step 2,048, and a pythia-70m with random weights in f16, which the script makes (pythia's tokenizer.json and a
file of chunks for it with --pythia-tokenizer and --pythia-chunks; without them that row is left out).

The work is protocol `full`: windows of the context, each behind token 0, and the log-probability of every given token.
Transformers runs with SDPA, weights upcast to f32, in batches of equally long windows (shorter ones apart, so that it
never computes padding), logits cut to one gather and one logsumexp; its batch size is the fastest of 1, 4 and 16 on a
trial, as the memory of each is what it costs. Ours and theirs run turn by turn, each in a process of its own, and the
table has medians: of tokens a second, of the ratios within a round, and of peak memory (VmHWM).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NANO = ROOT / "assets" / "nano"
MODELS = ("nano-25k", "nano-57k", "nano-150k", "nano-336k", "nano-793k")
BATCHES = (1, 4, 16)


def peak_kb():
    """The most memory that this process has had."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0


def windows(job):
    """(chunk, ids) of every window, each behind token 0."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(job["tokenizer"])
    raw = Path(job["chunks"]).read_bytes()
    step = job["context"] - 1
    out = []
    for chunk in range(job["count"]):
        text = "".join(chr(b % 128) for b in raw[chunk * 2048 : (chunk + 1) * 2048])
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        out += [(chunk, [0, *ids[at : at + step]]) for at in range(0, len(ids), step)]
    return out


def batches(items, size):
    """Windows of equal length together, at most `size`."""
    by_length = {}
    for item in items:
        by_length.setdefault(len(item[1]), []).append(item)
    for group in by_length.values():
        for at in range(0, len(group), size):
            yield group[at : at + size]


def theirs(job):
    """Scores with Transformers; prints a line of JSON."""
    import torch
    from transformers import GPTNeoXForCausalLM

    torch.set_num_threads(job["threads"])
    items = windows(job)
    started = time.perf_counter()
    model = GPTNeoXForCausalLM.from_pretrained(job["model"], dtype=torch.float32, attn_implementation="sdpa").eval()
    load = time.perf_counter() - started
    bits = [0.0] * job["count"]
    tokens = 0
    started = time.perf_counter()
    with torch.inference_mode():
        for batch in batches(items, job["batch"]):
            ids = torch.tensor([item[1] for item in batch])
            logits = model(ids[:, :-1], use_cache=False).logits
            picked = logits.gather(-1, ids[:, 1:, None])[..., 0] - logits.logsumexp(-1)
            for (chunk, _), row in zip(batch, picked.double()):
                bits[chunk] -= row.sum().item() / 0.6931471805599453
                tokens += len(row)
    seconds = time.perf_counter() - started
    print(json.dumps({"tokens": tokens, "load_seconds": load, "seconds": seconds, "peak_kb": peak_kb(), "bits": bits}))


def run_theirs(job):
    """One process of Transformers."""
    command = [sys.executable, __file__, "--theirs", json.dumps(job)]
    environment = dict(os.environ, OMP_NUM_THREADS=str(job["threads"]), TRANSFORMERS_VERBOSITY="error")
    return json.loads(subprocess.run(command, check=True, capture_output=True, env=environment).stdout)


def run_ours(job, binary):
    """One process of ours."""
    command = [binary, job["model"], job["tokenizer"], job["chunks"], str(job["count"]), str(job["threads"])]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def make_pythia(folder):
    """A pythia-70m with random weights, stored in f16."""
    import torch
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    torch.manual_seed(0)
    config = GPTNeoXConfig(
        vocab_size=50304, hidden_size=512, num_hidden_layers=6, num_attention_heads=8, intermediate_size=2048,
        max_position_embeddings=2048,
    )
    GPTNeoXForCausalLM(config).half().save_pretrained(folder)


def jobs(options, folder):
    """(name, what to score)."""
    for name in MODELS:
        yield name, {
            "model": str(NANO / "models" / name / "step2048"),
            "tokenizer": str(NANO / "tokenizer" / "tokenizer.json"),
            "chunks": str(NANO / "eval" / "image.bin"),
            "context": 512,
            "count": options.chunks,
            "threads": 2,
        }
    if options.pythia_tokenizer and options.pythia_chunks:
        make_pythia(folder)
        yield "pythia-70m (random)", {
            "model": folder,
            "tokenizer": options.pythia_tokenizer,
            "chunks": options.pythia_chunks,
            "context": 2048,
            "count": max(2, options.chunks // 2),
            "threads": 2,
        }


def compare(name, job, options):
    """One line of the table."""
    trial = dict(job, count=max(2, job["count"] // 4))
    speed = {}
    for size in BATCHES:
        result = run_theirs(dict(trial, batch=size))
        speed[size] = result["tokens"] / result["seconds"]
    job["batch"] = max(speed, key=speed.get)
    rounds = []
    for _ in range(options.rounds):
        a, b = run_ours(job, options.binary), run_theirs(job)
        apart = max(abs(x - y) / y for x, y in zip(a["bits"], b["bits"]))
        if a["tokens"] != b["tokens"] or apart > 1e-4:
            raise SystemExit(f"{name}: not the same work: {a['tokens']} and {b['tokens']} tokens, bits {apart} apart")
        rounds.append((a["tokens"] / a["seconds"], b["tokens"] / b["seconds"], a["peak_kb"], b["peak_kb"], apart))
    ours, them, our_peak, their_peak, apart = (statistics.median(column) for column in zip(*rounds))
    ratio = statistics.median(a / b for a, b, *_ in rounds)
    print(
        f"| {name} | {ours:,.0f} | {them:,.0f} | {ratio:.2f} | {our_peak / 1024:,.0f} | {their_peak / 1024:,.0f} "
        f"| {job['batch']} | {apart:.0e} |",
        flush=True,
    )


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chunks", type=int, default=16)
    parser.add_argument("--binary", default=str(ROOT / "target/release/examples/score"))
    parser.add_argument("--only", default="", help="only models whose name contains this")
    parser.add_argument("--pythia-tokenizer")
    parser.add_argument("--pythia-chunks")
    parser.add_argument("--theirs", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.theirs:
        theirs(json.loads(options.theirs))
        return
    print("| model | ours, tokens/s | Transformers, tokens/s | ratio | ours, MiB | Transformers, MiB | its batch | bits apart |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        for name, job in jobs(options, folder):
            if options.only in name:
                compare(name, job, options)


if __name__ == "__main__":
    main()
