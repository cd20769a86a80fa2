"""The same graph through cpipe and its peers: CPU seconds of the whole process tree, wall, peak memory.

    python3 bench/engine.py [--nodes 999] [--tools cpipe,ninja,…] [--big-file 2147483648]
        [--small-files 20000] [--huge]

The graph has one stage that reads a file, k chunk, k score and k fit stages in chains, a merge and a
report; every stage runs `(cat INPUT; echo NAME) > OUTPUT` in a shell. Peers are used if they are
installed: ninja, make, doit, dvc, snakemake, redun. Needs a release build of cpipe. Prints Markdown.
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CPIPE = ROOT / "target" / "release" / "cpipe"


def measured(command, folder, check=True):
    """Runs a command; gives CPU seconds, wall seconds and peak MB of it and all that it waited for."""
    started = time.monotonic()
    with open(os.devnull, "w") as null:
        process = subprocess.Popen(command, cwd=folder, stdout=null, stderr=null)
        _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    if check and os.waitstatus_to_exitcode(status) != 0:
        raise RuntimeError(f"{command} failed in {folder}")
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024


def step(source, name, target):
    return f"(cat {source}; echo {name}) > {target}"


def edges(k):
    """(name, inputs, output) of every stage."""
    yield "split", ["seed.txt"], "w/split"
    for i in range(k):
        yield f"chunk{i}", ["w/split"], f"w/chunk{i}"
        yield f"score{i}", [f"w/chunk{i}"], f"w/score{i}"
        yield f"fit{i}", [f"w/score{i}"], f"w/fit{i}"
    yield "merge", [f"w/fit{i}" for i in range(k)], "w/merge"
    yield "report", ["w/merge"], "w/report"


def commands(k):
    for name, inputs, output in edges(k):
        source = "w/fit*" if name == "merge" else inputs[0]
        yield name, inputs, output, step(source, name, output)


class Tool:
    """A peer: writes its file once, then the same commands for each scenario."""

    probe = None

    def __init__(self, folder, k):
        self.folder, self.k = folder, k
        (folder / "w").mkdir(parents=True)
        (folder / "seed.txt").write_text("seed\n")
        self.write()

    def write(self):
        raise NotImplementedError

    def run(self):
        raise NotImplementedError

    def change_leaf(self):
        """Changes what one fit stage makes, by what it reads."""
        score = self.folder / "w" / "score0"
        score.write_text(score.read_text() + "changed\n")

    def delete_outputs(self):
        shutil.rmtree(self.folder / "w")
        (self.folder / "w").mkdir()


class Shell(Tool):
    """The floor: every command in order, nothing remembered."""

    probe = "sh"
    only_cold = True

    def write(self):
        lines = [command for *_, command in commands(self.k)]
        (self.folder / "all.sh").write_text("\n".join(f"sh -c '{line}'" for line in lines) + "\n")

    def run(self):
        return ["sh", "all.sh"]


class Ninja(Tool):
    probe = "ninja"

    def write(self):
        text = "rule r\n  command = $cmd\n"
        for _, inputs, output, command in commands(self.k):
            text += f"build {output}: r {' '.join(inputs)}\n  cmd = {command}\n"
        (self.folder / "build.ninja").write_text(text)

    def run(self):
        return ["ninja", "-j2"]


class Make(Tool):
    probe = "make"

    def write(self):
        text = "all: w/report\n"
        for _, inputs, output, command in commands(self.k):
            text += f"{output}: {' '.join(inputs)}\n\t{command}\n"
        (self.folder / "Makefile").write_text(text)

    def run(self):
        return ["make", "-s", "-j2"]


class Doit(Tool):
    probe = "doit"

    def write(self):
        tasks = [
            {"basename": name, "actions": [command], "file_dep": inputs, "targets": [output]}
            for name, inputs, output, command in commands(self.k)
        ]
        text = f"TASKS = {tasks!r}\n\ndef task_all():\n    yield from TASKS\n"
        (self.folder / "dodo.py").write_text(text)

    def run(self):
        return ["doit", "-n2"]


class Dvc(Tool):
    probe = "dvc"

    def write(self):
        text = "stages:\n"
        for name, inputs, output, command in commands(self.k):
            deps = "".join(f"      - {i}\n" for i in inputs)
            text += f"  {name}:\n    cmd: {command}\n    deps:\n{deps}    outs:\n      - {output}\n"
        (self.folder / "dvc.yaml").write_text(text)
        subprocess.run(["dvc", "init", "--no-scm", "-q"], cwd=self.folder, check=True)

    def run(self):
        return ["dvc", "repro", "-q"]


class Snakemake(Tool):
    probe = "snakemake"

    def write(self):
        text = "rule all:\n    input: 'w/report'\n"
        for name, inputs, output, command in commands(self.k):
            text += f"rule {name}:\n    input: {inputs!r}\n    output: {output!r}\n    shell: {command!r}\n"
        (self.folder / "Snakefile").write_text(text)

    def run(self):
        return ["snakemake", "-c2", "-q"]


class Redun(Tool):
    probe = "redun"

    def write(self):
        text = (
            "from redun import task, File\nimport subprocess\nredun_namespace = 'bench'\n\n"
            "@task()\ndef stage(command, output, *inputs):\n"
            "    subprocess.run(command, shell=True, check=True)\n    return File(output)\n\n"
            "@task()\ndef main():\n    made = {}\n"
        )
        for _, inputs, output, command in commands(self.k):
            known = ", ".join(f"made[{i!r}]" if i != "seed.txt" else f"File({i!r})" for i in inputs)
            text += f"    made[{output!r}] = stage({command!r}, {output!r}, {known})\n"
        (self.folder / "workflow.py").write_text(text + "    return made['w/report']\n")

    def run(self):
        return ["redun", "run", "workflow.py", "main"]


class Cpipe(Tool):
    probe = str(CPIPE)

    def write(self):
        values = ", ".join(map(str, range(self.k)))
        chain = "".join(
            f"""  {name}:
    over: [i]
    needs: {{ in: {need} }}
    run: {{ command: {{ program: [sh, -c, "{step('in/out', name + '${i}', 'out')}"], outputs: [out] }} }}
    export: '{name}/${{i}}'
"""
            for name, need in (("chunk", "split"), ("score", "chunk"), ("fit", "score"))
        )
        text = f"""version: 1
matrix: {{ i: [{values}] }}
stages:
  split:
    run: {{ command: {{ program: [sh, -c, "{step('seed.txt', 'split', 'out')}"], files: [seed.txt], outputs: [out] }} }}
    export: split
{chain}  merge:
    needs: {{ in: fit }}
    run: {{ command: {{ program: [sh, -c, "{step('in/*/out', 'merge', 'out')}"], outputs: [out] }} }}
    export: merge
  report:
    needs: {{ in: merge }}
    run: {{ command: {{ program: [sh, -c, "{step('in/out', 'report', 'out')}"], outputs: [out] }} }}
    export: report
"""
        (self.folder / "pipeline.yaml").write_text(text)

    def run(self):
        return [str(CPIPE), "run", "-j2"]

    def change_leaf(self):
        """One fit stage gets another command, which is what its key holds."""
        path = self.folder / "pipeline.yaml"
        text = path.read_text()
        head, tail = text.split("  merge:", 1)
        path.write_text(f"{head}  merge:{tail.replace('echo merge', 'echo merged')}")

    def delete_outputs(self):
        shutil.rmtree(self.folder / "outputs")


TOOLS = [Shell, Ninja, Make, Doit, Snakemake, Redun, Dvc, Cpipe]


def version(tool):
    if tool is Shell:
        return "sh"
    said = subprocess.run([tool.probe, "--version"], capture_output=True, text=True).stdout.split("\n")
    return f"{Path(tool.probe).name} {next((w for w in said[0].split() if w[0].isdigit()), said[0])}"


def cell(figures):
    cpu, wall, _ = figures
    return f"{cpu:.2f} / {wall:.2f}"


def row(tool, k, repeats):
    with tempfile.TemporaryDirectory() as folder:
        it = tool(Path(folder) / "study", k)
        cold = measured(it.run(), it.folder)
        if getattr(tool, "only_cold", False):
            return f"| {version(tool)} | {cell(cold)} | – | – | – | {cold[2]:.0f} |"
        noops = sorted(measured(it.run(), it.folder) for _ in range(repeats))
        noop = noops[len(noops) // 2]
        it.change_leaf()
        leaf = measured(it.run(), it.folder)
        it.delete_outputs()
        again = measured(it.run(), it.folder)
    return (
        f"| {version(tool)} | {cell(cold)} | {cell(noop)} | {cell(leaf)} | {cell(again)} "
        f"| {noop[2]:.0f} |"
    )


def table(tools, nodes, repeats=5):
    k = max(1, (nodes - 3) // 3)
    print(f"\n### {3 * k + 3} stages\n")
    print("CPU s / wall s; the no-op is the median of 5; memory is the no-op's peak.\n")
    print("| tool | cold | no-op | one change | outputs deleted | MB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for tool in tools:
        print(row(tool, k, repeats), flush=True)


def huge():
    """100,000 nodes through plan and a run that finds everything done (commands made `true`)."""
    with tempfile.TemporaryDirectory() as folder:
        it = Cpipe(Path(folder) / "study", 33_332)
        figures = measured([str(CPIPE), "plan"], it.folder)
        print(f"\nplan of 99,999 fresh nodes: {cell(figures)} s, {figures[2]:.0f} MB", flush=True)
        cold = measured(it.run(), it.folder)
        print(f"cold: {cell(cold)} s, {cold[2]:.0f} MB")
        noop = measured(it.run(), it.folder)
        print(f"no-op: {cell(noop)} s, {noop[2]:.0f} MB")


def big_file(size):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = folder / "data.bin"
        block = os.urandom(1 << 20)
        with open(data, "wb") as out:
            for i in range(size >> 20):
                out.write(i.to_bytes(8, "little") + block[8:])
        time.sleep(3)  # a file that has just changed is hashed once more, by design
        (folder / "pipeline.yaml").write_text(
            "version: 1\nsources: { big: { path: data.bin, blake3: '" + "0" * 64 + "' } }\n"
            "stages: { get: { run: { download: { source: big } } } }\n"
        )
        copied = measured(["cp", "data.bin", "copy.bin"], folder)
        os.remove(folder / "copy.bin")
        hashed = measured(["b3sum", "data.bin"], folder) if shutil.which("b3sum") else None
        measured([str(CPIPE), "update"], folder)
        shutil.rmtree(folder / "cache")
        first = measured([str(CPIPE), "run"], folder)
        noop = measured([str(CPIPE), "run"], folder)
        os.utime(data)
        time.sleep(3)
        touched = measured([str(CPIPE), "run"], folder)
        after = measured([str(CPIPE), "run"], folder)
    print(f"\n### One file of {size / 2**30:.1f} GiB (CPU s / wall s)\n")
    print("| b3sum | cp | cpipe first | no-op | after touch | no-op after that |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    cells = [hashed, copied, first, noop, touched, after]
    print("| " + " | ".join("–" if c is None else cell(c) for c in cells) + " |")


def small_files(count, repeats=3):
    """An output folder of many small files: exported again from the cache, beside `cp -r`."""
    script = (
        "i=0; while [ $i -lt COUNT ]; do d=out/$((i / 100)); mkdir -p $d; "
        "echo $i > $d/$i; i=$((i + 1)); done"
    ).replace("COUNT", str(count))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pipeline.yaml").write_text(
            "version: 1\nstages:\n  many:\n"
            f"    run: {{ command: {{ program: [sh, -c, '{script}'], outputs: [out/] }} }}\n"
            "    export: .\n"
        )
        first = measured([str(CPIPE), "run"], folder)
        restored, copied = [], []
        for _ in range(repeats):
            for figures, command in [
                (copied, ["cp", "-r", "outputs", "copy"]),
                (restored, [str(CPIPE), "run"]),
            ]:
                if figures is restored:
                    shutil.rmtree(folder / "copy")
                    shutil.rmtree(folder / "outputs")
                # ext4 searches long for inodes while many were freed in the last five seconds.
                os.sync()
                time.sleep(7)
                figures.append(measured(command, folder))
    print(f"\n### {count} small files (CPU s / wall s, MB)\n")
    print("| cpipe first | restored | cp -r |\n| ---: | ---: | ---: |")
    figures = [first, sorted(restored)[repeats // 2], sorted(copied)[repeats // 2]]
    print("| " + " | ".join(f"{cell(c)}, {c[2]:.0f} MB" for c in figures) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--nodes", type=int, default=999)
    parser.add_argument("--tools", default=",".join(t.__name__.lower() for t in TOOLS))
    parser.add_argument("--big-file", type=int, default=0)
    parser.add_argument("--small-files", type=int, default=0)
    parser.add_argument("--huge", action="store_true")
    arguments = parser.parse_args()
    if not CPIPE.exists():
        sys.exit("build first: cargo build --release")
    wanted = arguments.tools.split(",")
    tools = [t for t in TOOLS if t.__name__.lower() in wanted and shutil.which(t.probe)]
    print(f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {platform.machine()}, "
          f"Python {platform.python_version()}")
    if tools:
        table(tools, arguments.nodes)
    if arguments.huge:
        huge()
    if arguments.big_file:
        big_file(arguments.big_file)
    if arguments.small_files:
        small_files(arguments.small_files)


if __name__ == "__main__":
    main()
