"""Digests of token ids by the Python package: writes fixtures/pythia-ids.json.

    python3 make_id_fixture.py TOKENIZER_JSON ENWIK8_HEAD

Requirements (version used): tokenizers 0.23.3. Neither input is in the repository: the tokenizer is Pythia's, the data
the first 4,153,344 bytes of enwik8. Every chunk of 2,048 bytes is read as chr(b % 128) and encoded without special
tokens; the digest of a chunk is the first 8 hex digits of SHA-256 over its ids as little-endian u32, of all of them and
of the first 1,024.
"""

import hashlib
import json
import struct
import sys
from pathlib import Path

import tokenizers

CHUNK = 2048
CUT = 1024


def digest(ids):
    """First 8 hex digits of SHA-256 over the ids."""
    return hashlib.sha256(struct.pack(f"<{len(ids)}I", *ids)).hexdigest()[:8]


def main():
    """Writes the fixture."""
    tokenizer = tokenizers.Tokenizer.from_file(sys.argv[1])
    raw = Path(sys.argv[2]).read_bytes()
    texts = ["".join(chr(b % 128) for b in raw[at : at + CHUNK]) for at in range(0, len(raw) // CHUNK * CHUNK, CHUNK)]
    ids = [encoding.ids for encoding in tokenizer.encode_batch(texts, add_special_tokens=False)]
    fixture = {
        "tokenizers": tokenizers.__version__,
        "tokens": sum(map(len, ids)),
        "whole": "".join(map(digest, ids)),
        "cut": "".join(digest(row[:CUT]) for row in ids),
    }
    path = Path(__file__).resolve().parent / "fixtures" / "pythia-ids.json"
    path.write_text(json.dumps(fixture) + "\n")
    print(path, path.stat().st_size, "bytes", len(ids), "chunks", fixture["tokens"], "tokens")


if __name__ == "__main__":
    main()
