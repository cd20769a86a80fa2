"""Writes the fixtures of this folder: `python3 make_fixtures.py`.

Made with Python 3.11 (tarfile, lzma), Pillow, numpy, pyarrow and soundfile (libsndfile); the versions are
in fixtures/VERSIONS.
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


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    archives()
