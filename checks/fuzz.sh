#!/usr/bin/env bash
# Every target of fuzz/ for FUZZ_SECONDS (60). Needs a nightly toolchain; cargo-fuzz is installed on demand into the cache.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=0.13.2
tools=${BULLA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bulla}/tools/cargo-fuzz-$version

checks/prerequisites.sh rust c
cargo +nightly --version >/dev/null 2>&1 ||
  { echo "fuzz.sh: no nightly toolchain, which the sanitizer needs: rustup toolchain install nightly" >&2; exit 1; }
if [ ! -x "$tools/bin/cargo-fuzz" ]; then
  echo "fuzz.sh: building cargo-fuzz $version, once, into $tools"
  cargo install --quiet --locked --root "$tools" "cargo-fuzz@$version"
fi
export PATH=$tools/bin:$PATH
mapfile -t targets < <(cargo +nightly fuzz list)
[ ${#targets[@]} -gt 0 ] || { echo "fuzz.sh: fuzz/ has no targets" >&2; exit 1; }
status=0
for target in "${targets[@]}"; do
  echo "fuzz.sh: $target, ${FUZZ_SECONDS:-60} s"
  cargo +nightly fuzz run "$target" -- -max_total_time="${FUZZ_SECONDS:-60}" -print_final_stats=1 || status=1
done
exit $status
