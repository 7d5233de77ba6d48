#!/usr/bin/env bash
# Builds bulla as it is released, the real sops, kubeseal, gitleaks and detect-secrets, and prints the performance table (Markdown, on standard output).
#
#   run.sh                what DESIGN asks of files: small, 1 MB, 5 MB; a tree of files; sealing; looking for plain secrets
#   run.sh --check        only the last
#   run.sh --large        the same with the 10 MB file of 80,000 top-level keys, for which sops takes minutes
#   run.sh --controller   the controllers, on a real API server
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
checks/prerequisites.sh rust c go cluster
tests/peers/build.sh tools controlplane gitleaks detect-secrets >&2
cargo build --release -p bulla >&2
cargo build -p bulla-benches >&2

run() { "${CARGO_TARGET_DIR:-target}/debug/bulla-benches" --bulla "${CARGO_TARGET_DIR:-target}/release/bulla" "$@"; }

case " $* " in
  *" --controller "*)
    # A control plane of its own: what others left in one would be counted.
    export BULLA_CONTROL_PLANE=$PWD/target/tmp/control-plane-bench-$$
    stop() { tests/peers/control-plane.sh down; rm -f "$BULLA_CONTROL_PLANE.lock"; }
    trap stop EXIT
    trap 'exit 130' INT TERM
    tests/peers/control-plane.sh up >/dev/null
    run "$@" ;;
  *) run "$@" ;;
esac
