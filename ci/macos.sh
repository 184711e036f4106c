#!/usr/bin/env bash
# Compiles and lints everything for macOS, on Debian and derivatives; or does what cargo is told. Nothing of it is run here.
set -euo pipefail
cd "$(dirname "$0")/.."
target=aarch64-apple-darwin
zig=0.13.0.post1
zigbuild=0.20.1
ci/packages cargo-web python3-venv rust-web-clippy rust-web-src rustc-web
sysroot="$(ci/std "$target")"
export PATH="/usr/bin:$PATH"
unset RUSTUP_TOOLCHAIN
# C is compiled, and whatever is linked is linked, by zig, which has the headers and stubs of the system's libraries.
tools="${XDG_CACHE_HOME:-$HOME/.cache}/polyarch-ci/zig-$zig-$zigbuild"
if [ ! -x "$tools/bin/cargo-zigbuild" ]; then
  rm -rf "$tools"
  python3 -m venv "$tools"
  "$tools/bin/pip" install --quiet "ziglang==$zig" "cargo-zigbuild==$zigbuild"
fi
export PATH="$tools/bin:$PATH"
export CARGO_TARGET_AARCH64_APPLE_DARWIN_RUSTFLAGS="--sysroot=$sysroot"
# Every Mac with this kind of CPU has at least this one; zig's own choice lacks instructions that libdeflate names.
export CFLAGS_aarch64_apple_darwin=-mcpu=apple_m1
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target/debian}"
if [ "$#" -gt 0 ]; then
  exec cargo-zigbuild "$@" --target "$target"
fi
cargo-zigbuild clippy --workspace --all-targets --target "$target" --locked -- -D warnings
