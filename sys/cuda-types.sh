#!/bin/sh
# Regenerates sys/src/cuda/types.rs from the headers of CUDA 13.0.
# Needs pip, unzip and libclang (set LIBCLANG_PATH where it isn't found).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
pip download --quiet --no-deps --dest "$scratch" 'nvidia-cuda-runtime==13.0.*'
unzip -qo "$scratch"/*.whl -d "$scratch"
cargo run --manifest-path "$here/Cargo.toml" --features generate --example generate_cuda_types -- \
    "$scratch/nvidia/cu13/include" "$here/src/cuda/types.rs"
