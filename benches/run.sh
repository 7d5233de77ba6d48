#!/usr/bin/env bash
# Builds bulla as it is released and the real programs that it is measured beside, and prints the performance table (Markdown, on standard output).
#
#   run.sh                what DESIGN asks of files: small, 1 MB, 5 MB; a tree of 1,000 files, decrypted, and a reader who leaves it; sealing; looking for plain secrets
#   run.sh --large        the same with the 10 MB file of 80,000 top-level keys, for which sops takes minutes
#   run.sh --check        only looking for plain secrets
#   run.sh --tree         only the tree of files
#   run.sh --controller   the controllers, on a real API server
#   run.sh --external     the same for ExternalSecrets, with a real Vault, beside External Secrets (many minutes to build, once)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
checks/prerequisites.sh rust c go cluster
case " $* " in
  *" --external "*) sets=(controlplane vault external-secrets) ;;
  *" --controller "*) sets=(controlplane) ;;
  *" --tree "*) sets=(tools moto) ;;
  *) sets=(tools controlplane moto gitleaks detect-secrets) ;;
esac
tests/peers/build.sh "${sets[@]}" >&2
cargo build --release -p bulla >&2
cargo build -p bulla-benches >&2

run() { "${CARGO_TARGET_DIR:-target}/debug/bulla-benches" --bulla "${CARGO_TARGET_DIR:-target}/release/bulla" "$@"; }

case " $* " in
  *" --controller "* | *" --external "*)
    # A control plane of its own: what others left in one would be counted.
    export BULLA_CONTROL_PLANE=$PWD/target/tmp/control-plane-bench-$$
    stop() { tests/peers/control-plane.sh down; rm -f "$BULLA_CONTROL_PLANE.lock"; }
    trap stop EXIT
    trap 'exit 130' INT TERM
    tests/peers/control-plane.sh up >/dev/null
    run "$@" ;;
  *) run "$@" ;;
esac
