#!/usr/bin/env bash
# docs/dependencies.md names every crate that the workspace depends on directly, with its reason, and no other;
# docs/architecture.md draws the arrows between our own crates as the manifests have them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
page=docs/dependencies.md

direct() {
  # Each manifest's dependency tables: the name before the first `.`, ` ` or `=`.
  awk '/^\[/ { within = ($0 ~ /^\[(target\..*\.)?(dev-|build-)?dependencies\]/); next }
       within && /^[A-Za-z0-9_-]+/ { match($0, /^[A-Za-z0-9_-]+/); print substr($0, 1, RLENGTH) }' crates/*/Cargo.toml benches/Cargo.toml |
    grep -v '^bulla-' | sort -u
}
named() { sed -n 's/^| `\([A-Za-z0-9_-]*\)`.*/\1/p' "$page" | sort -u; }

status=0
while read -r name; do echo "$page: \`$name\` is a direct dependency and has no row with its reason" >&2; status=1; done < <(comm -23 <(direct) <(named))
while read -r name; do echo "$page: \`$name\` is not a direct dependency (any more)" >&2; status=1; done < <(comm -13 <(direct) <(named))
# What the root declares and no crate takes is only there to mislead.
declared() { awk '/^\[/ { within = ($0 == "[workspace.dependencies]"); next } within && /^[a-z]/ { match($0, /^[A-Za-z0-9_-]+/); print substr($0, 1, RLENGTH) }' Cargo.toml | grep -v '^bulla-' | sort -u; }
while read -r name; do echo "Cargo.toml: \`$name\` is in [workspace.dependencies] and no crate takes it" >&2; status=1; done < <(comm -23 <(declared) <(direct))

# Our own crates: `| `NAME` | … | `A`, `B` |` in the page, `bulla-A` in the manifest. Dependencies of tests are not drawn.
arrows=docs/architecture.md
for manifest in crates/*/Cargo.toml; do
  crate=$(basename "$(dirname "$manifest")")
  have=$(awk '/^\[/ { within = ($0 == "[dependencies]"); next } within && /^bulla-/ { match($0, /^bulla-[a-z]+/); print substr($0, 7, RLENGTH - 6) }' "$manifest" | sort | paste -sd ' ' -)
  drawn=$(sed -n "s/^| \`$crate\` |.*|\([^|]*\)|\$/\1/p" "$arrows" | tr -d ',`' | xargs -n 1 | sort | paste -sd ' ' -)
  grep -q "^| \`$crate\` |" "$arrows" || { echo "$arrows: \`$crate\` has no row" >&2; status=1; continue; }
  [ "$have" = "$drawn" ] || { echo "$arrows: \`$crate\` stands on \`${have:-nothing}\`, the row says \`${drawn:-nothing}\`" >&2; status=1; }
done
[ $status = 0 ] && echo "dependencies.sh: $(direct | wc -l) direct dependencies, each with its reason"
exit $status
