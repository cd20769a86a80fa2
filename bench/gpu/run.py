"""Times scoring on an NVIDIA card: ours beside Transformers, on the same weights and tokens.

    here, without a card:   bench/gpu/pack.sh FOLDER
    on the card's machine:  python3 bench/gpu/run.py FOLDER

Needs a driver for CUDA 13, Python 3.11+, torch, transformers and safetensors; no Rust, no network. Carried are the
repository and the folder, which holds gzip'ed binaries for x86-64 Linux. There are three parts, of which --parts takes
some: `tests`, the unit tests of the card's code (kernels and products against f64 on the card, the forward pass against
the CPU); `nano`, the nano study on the card and on the CPU; `speed`, all that follows.
Tried without a card on torch 2.15 with transformers 5.17 and 5.24 (`--device cpu --dtype f32 --sizes tiny`).

For each of the five Pythia shapes it makes random weights (f16 files, as Pythia's are) and chunks of random tokens whose
lengths are spread as those of the paper's data: a third text (mean 576), images (1,486), speech (1,972), all cut at
1,024. The work is protocol `paper`: the log-probability of every token but a chunk's first. The model stays loaded; each
time is the best of two runs after one that does not count. Transformers runs with SDPA in the same number format,
batches sorted by length and padded on the right without a mask (causal attention needs none, so that flash kernels are
used), its output layer over blocks of rows with f32 softmax; with and without torch.compile, each with its best batch of
those given. Both must agree on the first chunks, token by token, and both are compared with Transformers in f32 there.

Each kernel and product is timed alone, too, beside its floors: the bytes that it must move at the card's measured copy
rate, the operations at its measured matmul rate.

It prints, and writes to --out, a block of Markdown for bench/RESULTS.md, again after each shape, so that a run that is
cut off leaves what it had.
"""

import argparse
import csv
import datetime
import gzip
import json
import math
import os
import shutil
import statistics
import struct
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

SHAPES = {  # width, layers, heads, feed-forward, vocabulary
    "70m": (512, 6, 8, 2048, 50304),
    "160m": (768, 12, 12, 3072, 50304),
    "410m": (1024, 24, 16, 4096, 50304),
    "1b": (2048, 16, 8, 8192, 50304),
    "1.4b": (2048, 24, 16, 8192, 50304),
    "tiny": (64, 2, 2, 256, 512),
}
CHECKPOINTS = 5
GRID_TOKENS = 134e6 / 25  # of one checkpoint: the paper's three data sets, cut at 1,024
CUT = 1024
COMPARED = 8  # chunks whose log-probabilities are compared
BATCHES = (4, 8, 16, 32, 64)


def lengths(count, generator):
    """Tokens of each chunk."""
    kinds = ((576, 160, 100, 1215), (1486, 300, 500, 2048), (1972, 60, 1500, 2048))
    out = []
    for i in range(count):
        mean, spread, low, high = kinds[i % 3]
        out.append(min(high, max(low, round(generator.gauss(mean, spread)))))
    return out


def make_chunks(count, vocabulary, longest):
    """Random token ids."""
    import random

    generator = random.Random(0)
    sizes = [min(n, longest) for n in lengths(count, generator)]
    return [[generator.randrange(1, vocabulary) for _ in range(n)] for n in sizes]


def write_tokens(path, chunks, vocabulary):
    """tokens.bin as crates/data/src/tokens.rs has it; covered bytes are made up."""
    header = {
        "version": 2,
        "mapping": "mask7",
        "vocabulary": vocabulary,
        "end_of_text": 0,
        "chunks": [{"tokens": len(ids), "raw_bytes": 2048, "lost_bits": 0, "plane_bytes": 1} for ids in chunks],
    }
    text = json.dumps(header).encode()
    ids = [i for chunk in chunks for i in chunk]
    covered = [2048 // len(c) + (i < 2048 % len(c)) for c in chunks for i in range(len(c))]
    body = struct.pack(f"<{2 * len(ids)}I", *ids, *covered)
    path.write_bytes(b"cpipetok" + struct.pack("<I", len(text)) + text + body)


def config_of(shape):
    """Transformers' config of a shape."""
    from transformers import GPTNeoXConfig

    width, layers, heads, inner, vocabulary = shape
    return GPTNeoXConfig(
        vocab_size=vocabulary, hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads,
        intermediate_size=inner, max_position_embeddings=2048, rotary_pct=0.25, use_parallel_residual=True,
    )


def make_model(folder, shape, device):
    """Random weights in f16; the output matrix is large enough for some tokens to be likelier than others."""
    import torch
    from transformers import GPTNeoXForCausalLM

    torch.manual_seed(0)
    with torch.device(device):
        model = GPTNeoXForCausalLM(config_of(shape))
        model.get_output_embeddings().weight.data.mul_(4)
    model.half().save_pretrained(folder)


def torch_dtype(name):
    """The number format."""
    import torch

    return {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}[name]


class Theirs:
    """Transformers."""

    def __init__(self, folder, dtype, device, compiled):
        import torch
        from transformers import GPTNeoXForCausalLM

        self.torch, self.device = torch, device
        model = GPTNeoXForCausalLM.from_pretrained(folder, dtype=torch_dtype(dtype), attn_implementation="sdpa")
        self.model = model.to(device).eval()
        self.output = self.model.get_output_embeddings()
        self.run = torch.compile(self.log_probs, dynamic=True) if compiled else self.log_probs

    def log_probs(self, ids):
        """ln p of every id but the first, [batch, n - 1] in f32."""
        hidden = self.model.gpt_neox(ids[:, :-1], use_cache=False).last_hidden_state
        rows, targets = hidden.flatten(0, 1), ids[:, 1:].flatten()
        out = []
        for at in range(0, len(rows), 4096):
            logits = self.output(rows[at : at + 4096]).float()
            picked = logits.gather(-1, targets[at : at + 4096, None])[:, 0]
            out.append(picked - logits.logsumexp(-1))
        return self.torch.cat(out).view(len(ids), -1)

    def score(self, chunks, batch):
        """ln p of every chunk's tokens but the first, in the order of the chunks."""
        torch = self.torch
        order = sorted(range(len(chunks)), key=lambda i: -min(CUT, len(chunks[i])))
        results = [None] * len(chunks)
        with torch.inference_mode():
            waiting = []
            for at in range(0, len(order), batch):
                group = order[at : at + batch]
                sizes = [min(CUT, len(chunks[i])) for i in group]
                # Multiples of 64 keep the number of shapes small; what is behind a chunk's end changes nothing before.
                width = 1 + math.ceil((max(sizes) - 1) / 64) * 64
                padded = [(chunks[i][:n] + [0] * width)[:width] for i, n in zip(group, sizes)]
                waiting.append((group, sizes, self.run(torch.tensor(padded).to(self.device))))
            for group, sizes, found in waiting:
                found = found.float().cpu()
                for line, i, n in zip(found, group, sizes):
                    results[i] = line[: n - 1]
        return results


def theirs(job):
    """One process of Transformers: prints a line of JSON."""
    import torch

    chunks = json.loads(Path(job["chunks"]).read_text())
    on_card = job["device"] != "cpu"
    model = Theirs(job["model"], job["dtype"], job["device"], job["compiled"])
    tokens = sum(min(CUT, len(c)) - 1 for c in chunks)
    answer = {}
    if job["compare"]:
        answer["log_probs"] = [x for line in model.score(chunks[:COMPARED], 1) for x in line.tolist()]
    best = 0
    for batch in job["batches"]:
        try:
            seconds = []
            for _ in range(3):
                started = time.perf_counter()
                model.score(chunks, batch)
                seconds.append(time.perf_counter() - started)
            speed = tokens / min(seconds[1:])
        except torch.OutOfMemoryError:
            break
        if speed > best:
            best = speed
            answer.update(tokens_per_second=speed, batch=batch)
            answer["bytes"] = torch.cuda.max_memory_allocated() if on_card else 0
    print(json.dumps(answer))


def run_json(command, environment):
    """What a command prints as its last line, as JSON."""
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        raise SystemExit(f"{command[:3]} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def run_theirs(job):
    """One process of Transformers."""
    environment = dict(os.environ, TRANSFORMERS_VERBOSITY="error")
    return run_json([sys.executable, __file__, "--theirs", json.dumps(job)], environment)


def library_path():
    """The environment in which our binary finds CUDA's libraries: those of torch's wheels."""
    site = Path(sysconfig.get_paths()["purelib"])
    folders = [str(p) for p in sorted(site.glob("nvidia/*/lib"))] + ["/usr/local/cuda/lib64", "/usr/local/nvidia/lib64"]
    old = os.environ.get("LD_LIBRARY_PATH", "")
    return dict(os.environ, LD_LIBRARY_PATH=":".join([*folders, old]).strip(":"))


def run_ours(options, folder, tokens):
    """One process of ours; the time to read the weights from the disk is taken apart."""
    started = time.perf_counter()
    for file in sorted(Path(folder).glob("*.safetensors")):
        with open(file, "rb") as f:
            while f.read(1 << 24):
                pass
    read = time.perf_counter() - started
    command = [options.binary, folder, str(tokens), options.dtype, options.device, str(COMPARED)]
    return dict(run_json(command, library_path()), read_seconds=read)


def best_time(options, work):
    """Seconds of the fastest of some calls."""
    import torch

    finish = torch.cuda.synchronize if options.device != "cpu" else lambda: None
    best = math.inf
    for _ in range(13):
        finish()
        started = time.perf_counter()
        work()
        finish()
        best = min(best, time.perf_counter() - started)
    return best


def matmul_rate(options):
    """Operations a second of a large product in the same format."""
    import torch

    n = 8192 if options.device != "cpu" else 512
    a, b = (torch.randn(n, n, device=options.device).to(torch_dtype(options.dtype)) for _ in range(2))
    return 2 * n**3 / best_time(options, lambda: a @ b)


def copy_rate(options):
    """Bytes a second, read and written, of a large copy on the device."""
    import torch

    n = 2**30 if options.device != "cpu" else 2**24
    a, b = (torch.zeros(n, dtype=torch.uint8, device=options.device) for _ in range(2))
    return 2 * n / best_time(options, lambda: b.copy_(a))


def floors(name, shape, windows):
    """Bytes and multiplications and additions that a kernel or product of one batch cannot do without (16-bit formats)."""
    width, layers, _, inner, vocabulary = shape
    n = sum(windows)
    if name.startswith("product"):
        depth, out = (int(x) for x in name.split()[1::2])
        # What goes back to the residual stream is read and written in f32.
        results = 8 if depth > width else 2
        return layers * (2 * n * depth + 2 * depth * out + results * n * out), layers * 2 * n * depth * out
    pairs = sum(w * (w + 1) / 2 for w in windows)
    moved, work = {
        # Logits stay in L2.
        "logits": (2 * n * width + 2 * width * vocabulary, 2 * n * width * vocabulary),
        "embed": (6 * n * width, 0),
        "layer_norm": ((layers * 8 + 6) * n * width, 0),
        "rotary": (layers * 2 * n * 4 * width / 4, 0),
        "bias_gelu": (layers * 4 * n * inner, 0),
        "attention": (layers * 8 * n * width, layers * 4 * width * pairs),
        "add_logits": (4 * n * vocabulary, 0),
        "finish_log_probs": (16 * n, 0),
    }.get("attention" if name.startswith("attention") else name, (0, 0))
    return moved, work


def kernel_rows(row, shape, rate, copy):
    """Lines of the table of kernels, slowest first."""
    width, _, _, inner, _ = shape
    windows, seconds = row["kernels"]["windows"], {}
    for name, spent in row["kernels"]["seconds"].items():
        # Blocks of logits are the products that no layer has.
        in_layers = [f"product {width} x {out}" for out in (3 * width, inner)] + [f"product {width + inner} x {width}"]
        name = "logits" if name.startswith("product") and name not in in_layers else name
        seconds[name] = seconds.get(name, 0) + spent
    whole = sum(seconds.values())
    lines = []
    for name, spent in sorted(seconds.items(), key=lambda x: -x[1]):
        moved, work = floors(name, shape, windows)
        if not (moved or work):
            continue
        lines.append(
            f"| {row['name']} | {name} | {1e3 * spent:.3f} | {spent / whole:.1%} | {moved / spent / copy:.0%} "
            f"| {work / spent / rate:.0%} |"
        )
    return lines


def operations(shape, chunks):
    """Multiplications and additions a scored token: matrices, and attention over what it may see."""
    width, layers, _, inner, vocabulary = shape
    sizes = [min(CUT, len(c)) - 1 for c in chunks]
    matrices = 2 * (layers * (4 * width * width + 2 * width * inner) + vocabulary * width)
    attention = 4 * layers * width * sum(n * (n + 1) / 2 for n in sizes) / sum(sizes)
    return matrices + attention


def mean_bits(log_probs):
    """Mean code length in bits."""
    return -sum(log_probs) / len(log_probs) / math.log(2)


def agreement(ours, other):
    """Mean absolute difference in bits a token, and the relative difference of the sums."""
    if len(ours) != len(other) or any(x is None for x in ours):
        raise SystemExit(f"not the same work: {len(ours)} and {len(other)} log-probabilities, or some are not finite")
    apart = statistics.fmean(abs(a - b) for a, b in zip(ours, other)) / math.log(2)
    return apart, abs(sum(ours) / sum(other) - 1)


def bench_shape(name, options, work):
    """Both on one shape."""
    shape = SHAPES[name]
    folder = work / name
    make_model(folder, shape, options.device)
    chunks = make_chunks(options.chunks, shape[4], 2048)
    tokens, listed = work / "tokens.bin", work / "chunks.json"
    write_tokens(tokens, chunks, shape[4])
    listed.write_text(json.dumps(chunks))
    job = {"model": str(folder), "chunks": str(listed), "device": options.device, "dtype": options.dtype,
           "batches": options.batches, "compare": True, "compiled": False}
    ours = run_ours(options, str(folder), tokens)
    eager = run_theirs(job)
    compiled = {} if options.no_compile else run_theirs(dict(job, compiled=True, compare=False))
    exact = run_theirs(dict(job, dtype="f32", batches=[]))
    best = max((eager, compiled), key=lambda x: x.get("tokens_per_second", 0))
    apart, ratio = agreement(ours["log_probs"], eager["log_probs"])
    row = {
        "name": name, "ours": ours["tokens"] / ours["seconds"], "eager": eager, "compiled": compiled,
        "times": ours["tokens"] / ours["seconds"] / best["tokens_per_second"],
        "operations": operations(shape, chunks), "apart": apart, "ratio": ratio,
        "exact": agreement(ours["log_probs"], exact["log_probs"])[1],
        "theirs_exact": agreement(eager["log_probs"], exact["log_probs"])[1],
        "bytes": (ours["card"] or {}).get("bytes", 0), "read": ours["read_seconds"], "load": ours["load_seconds"],
        "first": ours["first_seconds"], "runs": ours["runs"], "card": ours["card"], "nan": ours["nan"],
        "seconds": (ours["card"] or {}).get("seconds", {}), "kernels": ours["kernels"],
    }
    row["grid"] = CHECKPOINTS * (GRID_TOKENS / row["ours"])
    shutil.rmtree(folder)
    if row["exact"] > 5e-4 and options.dtype != "f32":
        print(f"WARNING: {name} is {row['exact']:.1e} from f32, more than 5e-4", flush=True)
    return row


def table(rows, rate, copy, options):
    """The Markdown block."""
    card = next((row["card"] for row in rows if row["card"]), None) or {"name": "no card (CPU)", "driver": "–", "capability": "–"}
    lines = [
        f"{datetime.date.today()}, {card['name']}, driver {card['driver']}, compute capability {card['capability']}, "
        f"{options.dtype}; a product of 8,192³ reaches {rate / 1e12:.0f} TFLOP/s, a copy {copy / 1e9:,.0f} GB/s. `python3 bench/gpu/run.py "
        f"{' '.join(sys.argv[1:])}`",
        "",
        "| shape | ours, tokens/s | of the matmul rate | Transformers | batch | compiled | batch | ours / best | MiB "
        "| Transformers, MiB | bits apart | sum apart | ours from f32 | theirs from f32 |",
        "| --- |" + " ---: |" * 13,
    ]
    for row in rows:
        eager, compiled = row["eager"], row["compiled"]
        mfu = row["operations"] * row["ours"] / rate
        lines.append(
            f"| {row['name']} | {row['ours']:,.0f} | {mfu:.0%} | {eager['tokens_per_second']:,.0f} | {eager['batch']} | "
            f"{compiled.get('tokens_per_second', 0):,.0f} | {compiled.get('batch', '–')} | {row['times']:.2f} | "
            f"{row['bytes'] / 2**20:,.0f} | {eager['bytes'] / 2**20:,.0f} | {row['apart']:.1e} | {row['ratio']:.1e} | "
            f"{row['exact']:.1e} | {row['theirs_exact']:.1e} |"
        )
    parts = ["forward", "output layer", "copy back", "idle"]
    lines += ["", "Seconds of one checkpoint (5.4 M tokens):", "",
              "| shape | read | open and upload | " + " | ".join(parts) + " | grid of 5 checkpoints |",
              "| --- |" + " ---: |" * (len(parts) + 3)]
    for row in rows:
        spent = sum(row["seconds"].get(p, 0) for p in parts)
        whole = GRID_TOKENS / row["ours"]
        shares = [f"{row['seconds'].get(p, 0) / spent * whole:.2f}" if spent else "–" for p in parts]
        lines.append(f"| {row['name']} | {row['read']:.2f} | {row['load']:.2f} | {' | '.join(shares)} | {row['grid']:.1f} |")
    compute = sum(row["grid"] for row in rows)
    loading = CHECKPOINTS * sum(row["read"] + row["load"] for row in rows)
    lines += ["", f"The grid of these shapes: {compute / 60:.1f} minutes of computing, {loading / 60:.1f} of reading and "
              "uploading, which overlap where two nodes share a card."]
    if any(row["kernels"]["seconds"] for row in rows):
        lines += ["", "One batch of up to 16,384 tokens, kernel by kernel:", "",
                  "| shape | kernel | ms | share | of the copy rate | of the matmul rate |", "| --- | --- |" + " ---: |" * 4]
        for row in rows:
            lines += kernel_rows(row, SHAPES[row["name"]], rate, copy)
    return "\n".join(lines) + "\n"


def unpacked(path, work):
    """An executable from a gzip'ed file."""
    target = work / path.stem
    with gzip.open(path) as packed, open(target, "wb") as out:
        shutil.copyfileobj(packed, out)
    target.chmod(0o755)
    return str(target)


def nano_grid(options, work):
    """The nano study on the card and on the CPU, cell by cell."""
    binary = unpacked(options.packed / "cpipe.gz", work)
    cells = {}
    on_card = [] if options.device == "cpu" else [(options.device, dtype) for dtype in ("f32", "bf16", "f16")]
    for device, dtype in [("cpu", "f32"), *on_card]:
        folder = work / f"nano-{device.replace(':', '')}-{dtype}"
        folder.mkdir(exist_ok=True)
        shutil.copy(options.repository / "pipeline.yaml", folder)
        (folder / "assets").symlink_to(options.repository / "assets")
        command = [binary, "run", "aggregate", "--device", device, "--set", f"stages.score.run.score.dtype={dtype}"]
        started = time.perf_counter()
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=library_path())
        if done.returncode != 0:
            raise SystemExit(f"nano grid on {device} in {dtype} failed:\n{done.stderr[-4000:]}")
        with open(folder / "outputs" / "cells.csv") as f:
            rows = {(r["model"], r["step"], r["modality"], r["protocol"]): r for r in csv.DictReader(f)}
        cells[device, dtype] = rows, time.perf_counter() - started
    truth, seconds = cells["cpu", "f32"]
    lines = ["", f"The nano grid, {len(truth)} rows (CPU: {seconds:.0f} s), against the CPU:", "",
             "| device | dtype | seconds | largest difference of a ratio | in bits a token |", "| --- | --- | ---: | ---: | ---: |"]
    for (device, dtype), (rows, seconds) in list(cells.items())[1:]:
        ratios = [abs(float(rows[k]["cr_mean"]) - float(truth[k]["cr_mean"])) for k in truth]
        bits = [abs(float(rows[k]["bits_per_byte"]) - float(truth[k]["bits_per_byte"])) * 2048 * int(truth[k]["chunks"])
                / int(truth[k]["tokens_scored"]) for k in truth]
        lines.append(f"| {device} | {dtype} | {seconds:.0f} | {max(ratios):.1e} | {max(bits):.1e} |")
    return "\n".join(lines) + "\n"


def unit_tests(options, work):
    """The unit tests of the card's code, run where the card is."""
    binary = unpacked(options.packed / "tests.gz", work)
    environment = dict(library_path(), CARGO_MANIFEST_DIR=str(options.repository / "crates" / "lm"))
    command = [binary, "cuda::", "--nocapture", "--test-threads", "4"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    ends = [line for line in done.stdout.splitlines() if line.startswith("test result")]
    failures = "" if done.returncode == 0 else "\n```\n" + (done.stdout + done.stderr)[-6000:] + "\n```\n"
    return f"\nThe unit tests of the card's code, run there: {' '.join(ends) or 'not run'}\n{failures}"


def speed(options, work):
    """The shapes one after the other; what there is after each."""
    options.binary = unpacked(options.packed / "score_tokens.gz", work)
    rate, copy, rows = matmul_rate(options), copy_rate(options), []
    for name in options.sizes.split(","):
        rows.append(bench_shape(name, options, work))
        print(f"{name}: {rows[-1]['ours']:,.0f} tokens/s, {rows[-1]['times']:.2f} times Transformers", flush=True)
        yield "\n" + table(rows, rate, copy, options)


def main():
    """Prints and writes the block."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packed", nargs="?", type=Path, help="the folder that pack.sh made")
    parser.add_argument("--parts", default="tests,nano,speed")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--dtype", default="bf16", choices=("f32", "bf16", "f16"))
    parser.add_argument("--sizes", default="70m,160m,410m,1b,1.4b")
    parser.add_argument("--chunks", type=int, default=384)
    parser.add_argument("--batches", default=",".join(map(str, BATCHES)))
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--out", type=Path, default="gpu.md")
    parser.add_argument("--theirs", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.theirs:
        theirs(json.loads(options.theirs))
        return
    if options.packed is None:
        parser.error("the folder that pack.sh made is needed")
    options.parts = options.parts.split(",")
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part {', '.join(unknown)}: expected some of {', '.join(PARTS)}")
    options.batches = [int(n) for n in options.batches.split(",")]
    options.repository = Path(__file__).resolve().parents[2]
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for part in options.parts:
            for text in PARTS[part](options, Path(folder)):
                found[part] = text
                options.out.write_text("".join(found.values()).lstrip())
    print(options.out.read_text())


PARTS = {
    "tests": lambda *args: [unit_tests(*args)],
    "nano": lambda *args: [nano_grid(*args)],
    "speed": speed,
}


if __name__ == "__main__":
    main()
