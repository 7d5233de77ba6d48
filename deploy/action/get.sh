#!/usr/bin/env bash
# The program for the GitHub action: the one that is given, one that is downloaded and has the digest that is asked for, or one
# that is built from the sources beside, with the versions and digests of Cargo.lock. Its path goes into the step's outputs.
set -euo pipefail
fail() { echo "::error title=bulla::$*"; exit 2; }

if [ -n "${INPUT_BULLA:-}" ]; then
  bulla=$(command -v -- "$INPUT_BULLA") || fail "the program of the input \`bulla\` cannot be executed"
elif [ -n "${INPUT_URL:-}" ]; then
  [[ $INPUT_URL == https://* ]] || fail "the input \`url\` must begin with https://"
  [[ ${INPUT_SHA256:-} =~ ^[0-9a-fA-F]{64}$ ]] || fail "a download needs the input \`sha256\`: 64 hexadecimal digits"
  folder=$(mktemp -d -p "${RUNNER_TEMP:-/tmp}")
  bulla=$folder/bulla
  curl --fail --silent --show-error --location --proto '=https' --retry 3 --max-time 300 --output "$bulla.download" -- "$INPUT_URL" ||
    fail "the program cannot be downloaded"
  echo "${INPUT_SHA256,,}  $bulla.download" | sha256sum --check --quiet --strict >&2 ||
    fail "what was downloaded has another SHA-256 than the input \`sha256\`; it was not run"
  chmod +x "$bulla.download"
  mv "$bulla.download" "$bulla"
else
  command -v cargo >/dev/null || fail "there is no cargo to build the program with: install Rust first, or give the input \`bulla\` or \`url\`"
  target=${RUNNER_TEMP:-/tmp}/bulla-target
  cargo build --release --locked --package bulla --manifest-path "$GITHUB_ACTION_PATH/Cargo.toml" --target-dir "$target" >&2
  bulla=$target/release/bulla
fi

found=$("$bulla" version) || fail "the program does not run"
found=${found%%$'\n'*} found=${found##* }
[ -z "${INPUT_VERSION:-}" ] || [ "$found" = "${INPUT_VERSION#v}" ] || fail "this is bulla $found, and the input \`version\` asks for ${INPUT_VERSION#v}"
echo "bulla=$bulla" >>"$GITHUB_OUTPUT"
