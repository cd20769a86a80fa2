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


def sounds():
    """A quarter of a second of the nano suite's speech in the kinds of sound files that are read.

    Beside each is what libsndfile reads, averaged over channels and rounded to 16 bits.
    """
    import numpy
    import soundfile

    out = HERE / "sound"
    out.mkdir(exist_ok=True)
    root = HERE.parents[3] / "assets/nano/eval/speech"
    exact = soundfile.read(root / "vm-messages.flac", dtype="int16")[0][4000:8000]
    noise = numpy.random.default_rng(1).normal(size=len(exact)) * 1e-4
    mono = exact / 32768 * 0.9 + noise
    stereo = numpy.stack([mono, numpy.roll(mono, 11) * 0.5], 1)
    kinds = {
        "u8.wav": (mono, "WAV", "PCM_U8"),
        "s16.wav": (exact, "WAV", "PCM_16"),
        "s16-stereo.wav": (numpy.stack([exact, exact[::-1]], 1), "WAV", "PCM_16"),
        "s24-stereo.wav": (stereo, "WAVEX", "PCM_24"),
        "s32.wav": (mono, "WAV", "PCM_32"),
        "f32.wav": (mono, "WAV", "FLOAT"),
        "f64-stereo.wav": (stereo, "WAVEX", "DOUBLE"),
        "u-law.wav": (mono, "WAV", "ULAW"),
        "a-law.wav": (mono, "WAVEX", "ALAW"),
        "s16.rf64": (exact, "RF64", "PCM_16"),
        "s16.aiff": (exact, "AIFF", "PCM_16"),
        "s24.aiff": (mono, "AIFF", "PCM_24"),
        "f64.aifc": (mono, "AIFF", "DOUBLE"),
        "u-law.aifc": (mono, "AIFF", "ULAW"),
        "s16.caf": (exact, "CAF", "PCM_16"),
        "f32-stereo.caf": (stereo, "CAF", "FLOAT"),
        "a-law.caf": (mono, "CAF", "ALAW"),
        "s16.flac": (exact, "FLAC", "PCM_16"),
        "s24-stereo.flac": (stereo, "FLAC", "PCM_24"),
        "vorbis.ogg": (mono, "OGG", "VORBIS"),
        "vorbis-stereo.ogg": (stereo, "OGG", "VORBIS"),
        "mono.mp3": (mono, "MP3", "MPEG_LAYER_III"),
        "stereo.mp3": (stereo, "MP3", "MPEG_LAYER_III"),
    }
    for name, (samples, form, subtype) in kinds.items():
        soundfile.write(out / name, samples, 16000, format=form, subtype=subtype)
    (out / "escaped.flac").write_bytes(escaped(exact))
    for name in [*kinds, "escaped.flac"]:
        samples, rate = soundfile.read(out / name, dtype="float64", always_2d=True)
        assert rate == 16000
        rounded = numpy.clip(numpy.round(samples.mean(1) * 32768), -32768, 32767)
        rounded.astype("<i2").tofile(out / f"{name}.pcm")


def escaped(samples):
    """A FLAC file of one frame whose only partition of residuals is not encoded (RFC 9639, 9.2.7.1)."""
    import hashlib

    def crc(data, width, polynomial):
        value = 0
        for byte in data:
            value ^= byte << (width - 8)
            for _ in range(8):
                value = value << 1 ^ (polynomial if value >> (width - 1) else 0)
                value &= (1 << width) - 1
        return value.to_bytes(width // 8, "big")

    count, data = len(samples), samples.astype("<i2").tobytes()
    numbers = 16000 << 44 | 0 << 41 | 15 << 36 | count
    info = count.to_bytes(2, "big") * 2 + bytes(6) + numbers.to_bytes(8, "big") + hashlib.md5(data).digest()
    # Fixed prediction of order 0, one partition, escape code, residuals of 16 bits.
    bits = "00010000" + "00" + "0000" + "1111" + f"{16:05b}"
    bits += "".join(f"{int(sample) & 0xFFFF:016b}" for sample in samples)
    bits += "0" * (-len(bits) % 8)
    header = bytes([0xFF, 0xF8, 0x75, 0x08, 0]) + (count - 1).to_bytes(2, "big")
    frame = header + crc(header, 8, 0x07)
    frame += bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
    return b"fLaC" + bytes([0x80, 0, 0, len(info)]) + info + frame + crc(frame, 16, 0x8005)


def kinds_of_pictures():
    """A photograph in the kinds of pictures that are read, and PIL's luma of each.

    Of 16-bit pictures the luma is that of the high bytes, as PIL reads them.
    """
    import struct
    import zlib

    import numpy
    import PIL.Image

    out = HERE / "pictures"
    out.mkdir(exist_ok=True)
    root = HERE.parents[3] / "assets/nano/eval/image"
    rgb = PIL.Image.open(root / "coffee.png").convert("RGB").crop((150, 80, 215, 121))
    gray = rgb.convert("L")
    rgba = rgb.copy()
    rgba.putalpha(gray.rotate(180))
    few, turned = rgb.quantize(16), rgb.rotate(180)

    def save(name, picture, **options):
        picture.save(out / name, **options)
        write_luma(name, numpy.asarray(PIL.Image.open(out / name).convert("L")))

    def write_luma(name, values):
        values.astype("uint8").tofile(out / f"{name}.luma")

    save("rgba.png", rgba)
    save("gray-alpha.png", rgba.convert("LA"))
    save("palette-2-bits.png", rgb.quantize(4), bits=2)
    save("palette-alpha.png", few, transparency=3)
    save("1-bit.png", rgb.convert("1"))
    save("animated.png", rgb, save_all=True, append_images=[turned])
    for name, options in {"restarts": {"restart_marker_blocks": 4}, "progressive": {"progressive": True}}.items():
        save(f"{name}.jpg", rgb, quality=85, **options)
    save("cmyk.jpg", rgb.convert("CMYK"), quality=95, subsampling=0)
    save("lossy.webp", rgb, quality=80)
    save("lossless.webp", rgba, lossless=True, exact=True)
    save("animated.webp", rgb, save_all=True, append_images=[turned], quality=80)
    save("palette.gif", few)
    save("interlaced-alpha.gif", few, interlace=1, transparency=5)
    save("animated.gif", few, save_all=True, append_images=[turned.quantize(16)])
    save("rgb.bmp", rgb)
    save("palette.bmp", few)
    save("1-bit.bmp", rgb.convert("1"))
    for compression in ["tiff_lzw", "tiff_adobe_deflate", "packbits"]:
        save(f"{compression}.tiff", rgb, compression=compression)
    save("fax.tiff", rgb.convert("1"), compression="group4")
    save("cmyk.tiff", rgb.convert("CMYK"), compression="tiff_lzw")

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    def png16(name, samples, colour):
        rows, columns = samples.shape[:2]
        lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
        header = struct.pack(">IIBBBBB", columns, rows, 16, colour, 0, 0, 0)
        parts = [(b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b"")]
        (out / name).write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))
        high = samples >> 8
        red, green, blue = (high[..., min(i, high.shape[2] - 1 - (colour == 4))].astype(int) for i in range(3))
        luma = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16
        write_luma(name, luma if colour in (2, 6) else high[..., 0])

    low = numpy.random.default_rng(2).integers(0, 256, (41, 65, 4))
    samples = numpy.asarray(rgba).astype(int) * 256 + low
    png16("rgb16.png", samples[..., :3], 2)
    png16("rgba16.png", samples, 6)
    png16("gray16.png", samples[..., :1], 0)
    png16("gray-alpha16.png", samples[..., [0, 3]], 4)
    PIL.Image.fromarray(samples[..., 0].astype("uint16")).save(out / "gray16.tiff")
    write_luma("gray16.tiff", samples[..., 0] >> 8)
    import pyarrow
    import pyarrow.parquet

    rows = [{"image": {"bytes": (out / "palette-2-bits.png").read_bytes(), "path": "a.png"}}, {"image": None}]
    for compression in ["none", "gzip", "brotli", "lz4"]:
        table = pyarrow.Table.from_pylist(rows)
        pyarrow.parquet.write_table(table, out / f"{compression}.parquet", compression=compression)
        write_luma(f"{compression}.parquet", numpy.fromfile(out / "palette-2-bits.png.luma", "uint8"))
    schema = pyarrow.schema([("image", pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())]))])
    paths = pyarrow.Table.from_pylist([{"image": {"bytes": None, "path": "x/a.png"}}] * 3, schema=schema)
    pyarrow.parquet.write_table(paths, out / "paths.parquet")


def odd_tables():
    """Tables that no picture is read from: bytes of one length, and no rows."""
    import pyarrow
    import pyarrow.parquet

    for name, kind, values in [("fixed", pyarrow.binary(4), [b"1234"]), ("empty", pyarrow.binary(), [])]:
        table = pyarrow.table({"image": pyarrow.array(values, kind)})
        pyarrow.parquet.write_table(table, HERE / f"{name}.parquet")


def kinds_of_bmp():
    """BMPs that Pillow reads and does not write, and its luma of each."""
    import struct

    import numpy
    import PIL.Image

    out = HERE / "pictures"
    root = HERE.parents[3] / "assets/nano/eval/image"
    rgb = PIL.Image.open(root / "coffee.png").convert("RGB").crop((150, 80, 215, 121))
    width, height = rgb.size

    def write(name, bits, compression, data, between=b""):
        offset = 54 + len(between)
        header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(data), 0, 0, 0, 0)
        file = b"BM" + struct.pack("<IHHI", offset + len(data), 0, 0, offset) + header + between + data
        (out / name).write_bytes(file)
        luma = numpy.asarray(PIL.Image.open(out / name).convert("L"))
        luma.tofile(out / f"{name}.luma")

    # One channel goes through all its values in the first rows.
    samples = numpy.asarray(rgb)[::-1].astype("uint16").copy()
    samples[0], samples[1] = numpy.arange(65)[:, None] * 4 % 256, numpy.arange(65)[:, None] * 8 % 256
    red, green, blue = (samples[..., i] for i in range(3))
    rows = numpy.zeros((height, 66), "<u2")
    rows[:, :65] = red >> 3 << 10 | green >> 3 << 5 | blue >> 3
    write("555.bmp", 16, 0, rows.tobytes())
    rows[:, :65] = red >> 3 << 11 | green >> 2 << 5 | blue >> 3
    write("565.bmp", 16, 3, rows.tobytes(), struct.pack("<III", 0xF800, 0x7E0, 0x1F))

    palette = b"".join(bytes([i, 255 - i, i * 7 % 256, 0]) for i in range(256))
    indexes = numpy.asarray(rgb.convert("L"))[::-1]

    # A run, 33 pixels as they are, and two runs of one pixel.
    rows = b"".join(
        bytes([30, int(row[0]), 0, 33]) + row[30:63].tobytes() + bytes([0, 1, int(row[63]), 1, int(row[64]), 0, 0])
        for row in indexes
    )
    write("runs-8-bits.bmp", 8, 1, rows + b"\0\1", palette)
    rows = b"".join(bytes([60, int(row[0]), 0, 5]) + row[60:63].tobytes() + b"\0\0\0" for row in indexes)
    write("runs-4-bits.bmp", 4, 2, rows + b"\0\1", palette[: 16 * 4])


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    archives()
    sounds()
    kinds_of_pictures()
    kinds_of_bmp()
    odd_tables()
    versions = pictures() | speech()
    (HERE / "VERSIONS").write_text("".join(f"{n} {v}\n" for n, v in versions.items()))
