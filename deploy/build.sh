#!/usr/bin/env bash
# The program as it is shipped: static, and compiled with a profile of how it runs (profile-guided
# optimisation), for less CPU a request and less memory than `cargo build --release` gives.
# `build.sh [TARGET]`, TARGET as cargo names it where it is not this machine's own; the program is
# then target/TARGET/release/countersign. Needs the toolchain's component `llvm-tools`; PROFILE=none
# does without, for where that cannot be had.
set -euo pipefail
cd "$(dirname "$0")/.."

host=$(rustc -vV | sed -n 's/^host: //p') target=${1:-}
target=${target:-$host}
out=${CARGO_TARGET_DIR:-target} profiled=${CARGO_TARGET_DIR:-target}/profiled
profile=$profiled/profile
# Relocations in few pages, for they are read at start; glibc takes them from 2.36 on.
static="-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs"

# Takes down how the program runs. That is on this machine, also for another one's: the functions are
# the same, cut and optimised in the same way.
take_profile() {
    local merge taken
    merge="$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata"
    [ -x "$merge" ] || rustup component add llvm-tools >&2 || true
    if [ ! -x "$merge" ]; then
        echo "build.sh: no llvm-profdata: \`rustup component add llvm-tools\` brings it" >&2
        exit 1
    fi
    mkdir -p "$profiled"
    rm -rf "$profile"
    taken="-C profile-generate=$(realpath -m "$profile") -C llvm-args=-pgo-temporal-instrumentation"
    RUSTFLAGS="$static $taken" \
        cargo build --release --locked --bin countersign --target "$host" --target-dir "$profiled"
    cargo run --quiet --locked --example training -- "$profiled/$host/release/countersign" 10
    "$merge" merge --output "$profile.profdata" "$profile"
    "$merge" order --output "$profile.order" "$profile.profdata"
}

# `--target` keeps flags away from build scripts and macros.
flags=$static
if [ "${PROFILE:-run}" != none ]; then
    take_profile
    flags+=" -C profile-use=$(realpath "$profile.profdata")"
    # What runs lies together, in the order of its first run, for the memory of a program that idles
    # is mostly the pages around what has run. Only lld can do that: what this host's rustc links with.
    if [ "$host" = x86_64-unknown-linux-gnu ] && [ "$target" = "$host" ]; then
        flags+=" -C link-arg=-Wl,--symbol-ordering-file=$(realpath "$profile.order")"
        flags+=" -C link-arg=-Wl,--no-warn-symbol-ordering" # many of them are part of others by then
    fi
fi
RUSTFLAGS="$flags" cargo build --release --locked --bin countersign --target "$target"
echo "$out/$target/release/countersign"
