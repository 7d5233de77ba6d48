#!/usr/bin/env bash
# `make test`: the real programs (built once, cached), then every test of the workspace in one profile, then one line that
# sums up. The control plane that the tests start is stopped at the end, also after a failure or Ctrl-C; one that was
# started by hand (`make control-plane-up`) is another and stays.
#
# BULLA_WITHOUT_PEERS=1 leaves out what needs the real programs. CI=1 refuses a stale Cargo.lock.
# Arguments go to `cargo test`: tests/run.sh -p bulla-doc
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
say() { echo "test: $*"; }

logs=$PWD/target/tmp
peers_build=
finish() {
  local status=$?
  trap - EXIT INT TERM
  # Its own session, so that the compilers it started end with it.
  [ -z "$peers_build" ] || kill -TERM -- "-$peers_build" 2>/dev/null || true
  [ ! -d "$BULLA_CONTROL_PLANE" ] || tests/peers/control-plane.sh down || true
  rm -f "$BULLA_CONTROL_PLANE.lock"
  exit "$status"
}

if [ "${BULLA_WITHOUT_PEERS:-}" = 1 ]; then
  checks/prerequisites.sh rust c
else
  checks/prerequisites.sh rust c go python gnupg cluster network
fi
mkdir -p "$logs"
export BULLA_CONTROL_PLANE=$logs/control-plane-$$
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# From nothing, Go and Rust need about the same processor time, and each ends in single-threaded links: side by side, no
# core waits.
if [ "${BULLA_WITHOUT_PEERS:-}" != 1 ]; then
  setsid tests/peers/build.sh >"$logs/peers-$$.log" 2>&1 &
  peers_build=$!
fi

locked=()
[ -z "${CI:-}" ] || locked=(--locked)
scope=(--workspace)
[ $# -eq 0 ] || scope=("$@")
cargo test "${locked[@]}" "${scope[@]}" --no-run 2>&1 | { grep --line-buffered -v '^  Executable' || true; }
built=$SECONDS

if [ -n "$peers_build" ]; then
  build=$peers_build
  kill -0 "$build" 2>/dev/null && say "waiting for the real programs (sops, kubeseal, kube-apiserver, …)"
  if ! wait "$build"; then
    peers_build=
    cat "$logs/peers-$$.log" >&2
    say "the real programs could not be built" >&2
    exit 1
  fi
  peers_build=
  cat "$logs/peers-$$.log"
  rm "$logs/peers-$$.log"
fi
peers=$SECONDS

log=$logs/test.log
status=0
# The screen gets what is not a test that passed; the whole lies in the log.
cargo test "${locked[@]}" "${scope[@]}" --no-fail-fast 2>&1 | tee "$log" |
  awk '!/^test .* \.\.\. ok$/ && !/^test .* - should panic \.\.\. ok$/ && !/^(running [0-9]+ tests?)?$/ { print; fflush() }' || status=$?

awk -v built="$built" -v waited=$((peers - built)) -v all="$SECONDS" -v peers="$([ "${BULLA_WITHOUT_PEERS:-}" = 1 ] && echo "without the real programs" || echo "with the real programs")" '
  /^test result: / { binaries++; for (i = 1; i < NF; i++) { if ($(i + 1) ~ /^passed/) passed += $i; if ($(i + 1) ~ /^failed/) failed += $i; if ($(i + 1) ~ /^ignored/) ignored += $i } }
  END {
    printf "test: %d passed, %d failed, %d ignored in %d binaries, %s; built in %d s, waited %d s for the real programs, tested in %d s\n",
      passed, failed, ignored, binaries, peers, built, waited, all - built - waited
  }' "$log"
[ "$status" = 0 ] || say "FAILED; the whole output is in ${log#"$PWD"/}" >&2
exit "$status"
