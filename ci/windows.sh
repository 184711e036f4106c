#!/usr/bin/env bash
# Compiles, lints and links everything for Windows, on Debian and derivatives.
set -euo pipefail
cd "$(dirname "$0")/.."
target=x86_64-pc-windows-gnu
ci/packages cargo-web g++-mingw-w64-x86-64 gcc-mingw-w64-x86-64 rust-web-clippy rust-web-src rustc-web
sysroot="$(ci/std "$target")"
export PATH="/usr/bin:$PATH"
unset RUSTUP_TOOLCHAIN
export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUSTFLAGS="--sysroot=$sysroot"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target/debian}"
if [ "$#" -gt 0 ]; then
  exec cargo "$@" --target "$target"
fi
cargo clippy --workspace --all-targets --target "$target" --locked -- -D warnings
cargo test --workspace --no-run --target "$target" --locked
