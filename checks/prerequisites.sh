#!/usr/bin/env bash
# Says what is missing on this machine before anything is built, all of it at once, and how to get it.
#
#   prerequisites.sh NEED...     rust, c, go, python, gnupg, cluster, network; exit code 1 when something is missing
#   prerequisites.sh --quiet NEED...   only the exit code
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

missing=()
miss() { missing+=("$1"); }
has() { command -v "$1" >/dev/null 2>&1; }
at_least() { [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; } # wanted found

need_rust() {
  local wanted output found
  wanted=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
  if has rustup; then
    # rust-toolchain.toml chooses; rustup fetches it with rustfmt and clippy, where it does not do so by itself.
    output=$(rustc --version 2>&1) || rustup toolchain install >&2 || true
    output=$(rustc --version 2>&1) || { miss "Rust $wanted: \`rustup toolchain install $wanted\` failed: ${output##*$'\n'}"; return; }
  elif ! has cargo || ! has rustc; then
    miss "Rust: install rustup (https://rustup.rs); it fetches Rust $wanted, which rust-toolchain.toml names"
    return
  fi
  found=$(rustc --version | cut -d ' ' -f 2)
  at_least "$wanted" "${found%%-*}" || miss "Rust $wanted or newer: this is $found; install rustup (https://rustup.rs), it fetches the right one"
}

need_c() {
  has "${CC:-cc}" || has gcc || has clang ||
    miss "a C compiler (aws-lc is built from source): install gcc or clang (Debian: build-essential; macOS: xcode-select --install)"
  has git || miss "git"
}

need_go() {
  local wanted found
  wanted=$(sed -n 's/^minimum_go=//p' tests/peers/build.sh)
  if ! has go; then
    miss "Go $wanted or newer (https://go.dev/dl): the real sops, kubeseal and kube-apiserver are built with it. BULLA_WITHOUT_PEERS=1 make test runs the tests that need none of them"
    return
  fi
  found=$(GOTOOLCHAIN=local go env GOVERSION) found=${found#go}
  at_least "$wanted" "${found%%[ -]*}" || miss "Go $wanted or newer (https://go.dev/dl): this is $found"
}

need_python() {
  local wanted python=${PYTHON:-python3}
  wanted=$(sed -n 's/^minimum_python=//p' tests/peers/build.sh)
  if ! has "$python"; then
    miss "Python $wanted or newer with venv (Debian: python3-venv): moto, which stands for AWS, runs on it. BULLA_WITHOUT_PEERS=1 make test runs the tests that need none of the real programs"
  elif ! "$python" -c "import sys; sys.exit(sys.version_info < (${wanted/./, }))"; then
    miss "Python $wanted or newer: this is $("$python" --version); PYTHON=PROGRAM names another one"
  else
    "$python" -c 'import ensurepip, venv' 2>/dev/null || miss "Python's venv (Debian: python3-venv)"
  fi
}

need_gnupg() {
  has gpg && has gpg-agent && has gpgconf ||
    miss "GnuPG 2.2 or newer (Debian: gnupg; macOS: brew install gnupg): keys of OpenPGP are used through it. BULLA_WITHOUT_PEERS=1 make test runs the tests that need none of the real programs"
}

need_cluster() {
  [ "$(uname -s)" = Linux ] || { miss "Linux: the control plane of the tests runs there only"; return; }
  has openssl || miss "openssl 3 or newer"
  has setsid && has flock || miss "setsid and flock: install util-linux"
  has sha256sum || miss "sha256sum: install coreutils"
}

need_network() {
  [ "$(uname -s)" = Linux ] || return 0
  has ip || miss "ip (a test gives the API server a network of its own): install iproute2"
}

quiet=
[ "${1:-}" != --quiet ] || { quiet=1; shift; }
[ $# -gt 0 ] || { sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 2; }
for need in "$@"; do
  declare -F "need_$need" >/dev/null || { echo "prerequisites.sh: no such need: $need" >&2; exit 2; }
  "need_$need"
done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ -z "$quiet" ]; then
  echo "missing on this machine:" >&2
  printf '  %s\n' "${missing[@]}" >&2
fi
exit 1
