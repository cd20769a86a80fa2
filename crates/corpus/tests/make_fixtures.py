"""Writes the fixtures of this folder: `python3 make_fixtures.py`.

Needs Pillow, numpy, pyarrow and soundfile; fixtures/VERSIONS says which were used.
"""

import io
import lzma
import pathlib
import tarfile

HERE = pathlib.Path(__file__).parent / "fixtures"


def archives():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in [("a/one.txt", b"first"), ("two.txt", b"second")]:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    (HERE / "files.tar.xz").write_bytes(lzma.compress(out.getvalue()))
    (HERE / "hello.txt.xz").write_bytes(lzma.compress(b"hello"))


def pictures():
    """JPEGs of several kinds of the nano suite's photographs, and PIL's luma of each, as a table too."""
    import numpy
    import PIL.Image
    import pyarrow
    import pyarrow.parquet

    root = HERE.parents[3] / "assets/nano/eval/image"
    coffee = PIL.Image.open(root / "coffee.png").convert("RGB").crop((100, 50, 301, 183))
    chelsea = PIL.Image.open(root / "chelsea.png").convert("RGB").crop((90, 60, 250, 180))
    kinds = {
        "444": (coffee, {"quality": 90, "subsampling": 0}),
        "420": (coffee, {"quality": 75, "subsampling": 2}),
        "422-progressive": (chelsea, {"quality": 80, "subsampling": 1, "progressive": True}),
        "gray": (chelsea.convert("L"), {"quality": 85}),
        "small": (chelsea.crop((0, 0, 63, 80)), {"quality": 85}),
    }
    rows = []
    for name, (picture, options) in kinds.items():
        picture.save(HERE / f"{name}.jpg", **options)
        luma = PIL.Image.open(HERE / f"{name}.jpg").convert("L")
        numpy.asarray(luma).tofile(HERE / f"{name}.luma")
        rows.append({"image": {"bytes": (HERE / f"{name}.jpg").read_bytes(), "path": f"{name}.jpg"}, "label": 1})
        rows.append({"image": None, "label": 0})
    table = pyarrow.Table.from_pylist(rows)
    for compression in ["snappy", "zstd"]:
        pyarrow.parquet.write_table(table, HERE / f"{compression}.parquet", compression=compression, row_group_size=3)
    return {"Pillow": PIL.__version__, "numpy": numpy.__version__, "pyarrow": pyarrow.__version__}


def speech():
    """PCM of the nano suite's FLAC files by libsndfile: its hash, as long as the file is."""
    import hashlib

    import soundfile

    lines = []
    root = HERE.parents[3] / "assets/nano/eval/speech"
    for path in sorted(root.glob("*.flac")):
        samples, rate = soundfile.read(path, dtype="int16")
        assert rate == 16000
        digest = hashlib.sha256(samples.astype("<i2").tobytes()).hexdigest()
        lines.append(f"{digest}  {path.name}\n")
    (HERE / "speech.sha256").write_text("".join(lines))
    return {"soundfile": soundfile.__version__, "libsndfile": soundfile.__libsndfile_version__}


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    archives()
    versions = pictures() | speech()
    (HERE / "VERSIONS").write_text("".join(f"{n} {v}\n" for n, v in versions.items()))
