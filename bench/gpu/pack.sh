#!/usr/bin/env bash
# Builds what bench/gpu/run.py needs on a machine with a card, and puts it into a folder: no card is needed here.
set -euo pipefail
folder=$(realpath -m "${1:?expected a folder}")
cd "$(dirname "$0")/../.."
mkdir -p "$folder"

cargo build --release --locked --features cuda
cargo build --release --locked -p cpipe-lm --features cuda --example score_tokens
tests=$(cargo test --release --locked -p cpipe-lm --features cuda --lib --no-run --message-format json |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
target=$(cargo metadata --no-deps --format-version 1 --offline | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')

gzip -9 -c "$target/release/cpipe" > "$folder/cpipe.gz"
gzip -9 -c "$target/release/examples/score_tokens" > "$folder/score_tokens.gz"
gzip -9 -c "$tests" > "$folder/tests.gz"
