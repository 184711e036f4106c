#!/usr/bin/env bash
# Compiles and lints everything for Windows, on Debian and derivatives, links the tests and tries them under Wine; or does what cargo
# is told: test --lib.
set -euo pipefail
cd "$(dirname "$0")/.."
target=x86_64-pc-windows-gnu
ci/packages cargo-web g++-mingw-w64-x86-64 gcc-mingw-w64-x86-64 rust-web-clippy rust-web-src rustc-web
sysroot="$(ci/std "$target")"
export PATH="/usr/bin:$PATH"
unset RUSTUP_TOOLCHAIN
export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUSTFLAGS="--sysroot=$sysroot"
export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUSTDOCFLAGS="--sysroot=$sysroot"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target/debian}" CARGO_BUILD_TARGET="$target"
# What a program does with Windows it does with Wine here, and with the simulator in place of what Wine does not have.
export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER="$PWD/ci/wine"
stand_ins() {
  cargo build --quiet --locked -p polyarch-hcs-simulator -p polyarch-wsl-stand-in
}
case "${1:-}" in
  test | run) stand_ins ;;
esac
if [ "$#" -gt 0 ]; then
  exec cargo "$@"
fi
cargo clippy --workspace --all-targets --locked -- -D warnings
# What is not tried is said, and is a failure where everything must be.
if ! ci/packages wine64 buildah busybox-static util-linux; then
  cargo test --workspace --test main --no-run --locked
  echo "SKIPPED: the tests under Wine, which needs wine64" >&2
  [ "${CI:-}" != true ]
  exit
fi
stand_ins
# As above: of the workspace, or everything would be compiled with other features once more.
cargo test --workspace --locked --test main -- windows:: portable::
