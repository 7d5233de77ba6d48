#!/usr/bin/env bash
# cargo-deny: licences, banned and duplicate crates, sources, advisories (deny.toml). Installed on demand into the cache, not
# into the user's own ~/.cargo/bin.
#
# The advisories need the database of RustSec, from github.com. Where that cannot be reached, the copy fetched last is used;
# without one, the advisories are not checked, and that is said. BULLA_REQUIRE_ADVISORIES=1 makes it an error.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=0.20.2
tools=${BULLA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bulla}/tools/cargo-deny-$version

if [ ! -x "$tools/bin/cargo-deny" ]; then
  echo "crates.sh: building cargo-deny $version, once, into $tools"
  cargo install --quiet --locked --root "$tools" "cargo-deny@$version"
fi
deny() { "$tools/bin/cargo-deny" --locked "$@"; }

status=0
deny check --show-stats licenses bans sources || status=1
if deny fetch db >/dev/null 2>&1; then
  deny check --show-stats advisories || status=1
elif deny check --disable-fetch advisories >/dev/null 2>&1 || [ -n "$(find "${CARGO_HOME:-$HOME/.cargo}/advisory-dbs" -mindepth 1 -maxdepth 1 -type d 2>/dev/null | head -n 1)" ]; then
  echo "crates.sh: the advisory database cannot be reached; using the copy fetched last" >&2
  deny check --disable-fetch --show-stats advisories || status=1
else
  echo "crates.sh: ADVISORIES WERE NOT CHECKED: the database (github.com/rustsec/advisory-db) cannot be reached from here and there is no copy of it" >&2
  [ "${BULLA_REQUIRE_ADVISORIES:-}" != 1 ] || status=1
fi
exit $status
