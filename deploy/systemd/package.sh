#!/usr/bin/env bash
# The Debian package of a program that is built: `package.sh target/release/countersign [TARGET]`,
# TARGET as cargo names it where it is not this machine's own. Needs `cargo install cargo-deb`.
# Manual pages, completions and the package go to target/package.
set -euo pipefail
cd "$(dirname "$0")/../.."

program=$1 target=${2:-}
out=target/package
rm -rf "$out"
mkdir -p "$out/man" "$out/completions"

"$program" man >"$out/man/countersign.1"
for verb in $("$program" help | sed -n '/^Commands:/,/^$/s/^  \([a-z]\+\) .*/\1/p'); do
    [ "$verb" = help ] || "$program" man "$verb" >"$out/man/countersign-$verb.1"
done
for kind in openapi sam; do
    "$program" man "import-$kind" >"$out/man/countersign-import-$kind.1"
done
gzip -9n "$out"/man/*
"$program" completions bash >"$out/completions/countersign.bash"
"$program" completions zsh >"$out/completions/_countersign"
"$program" completions fish >"$out/completions/countersign.fish"

cargo deb --quiet --no-build --no-strip ${target:+--target "$target"} --output "$out/"
