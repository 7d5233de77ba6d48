#!/usr/bin/env bash
# `bulla check` for the GitHub action: findings to the log in the format that is asked for, SARIF to a file, all findings to the
# job's summary, because GitHub shows only the first annotations of a step. Ends as `bulla check` ends.
set -euo pipefail

arguments=()
for rule in ${INPUT_WITHOUT:-}; do arguments+=(--without "$rule"); done
[ "${INPUT_STRICT:-false}" != true ] || arguments+=(--strict)
paths=()
while IFS= read -r path; do [ -z "$path" ] || paths+=("$path"); done <<<"${INPUT_PATHS:-.}"
check() { "$BULLA" check "${arguments[@]}" --format "$1" -- "${paths[@]}"; }

status=0
check "${INPUT_FORMAT:-github}" || status=$?

# The other forms say the same; what went wrong has been said.
if [ -n "${INPUT_SARIF:-}" ]; then
  check sarif >"$INPUT_SARIF" 2>/dev/null || true
  echo "sarif=$INPUT_SARIF" >>"$GITHUB_OUTPUT"
fi
list=$(check text 2>/dev/null) || true
findings=$(grep -cE '^[^ ].*: K[A-Z][0-9]{3} [a-z]+: ' <<<"$list") || true
echo "findings=$findings" >>"$GITHUB_OUTPUT"
if [ -n "${GITHUB_STEP_SUMMARY:-}" ] && [ -n "$list" ]; then
  # Indented, whatever stands in a name of a file is text.
  { printf '### bulla check: %s findings\n\n' "$findings"; sed 's/^/    /' <<<"$list"; } >>"$GITHUB_STEP_SUMMARY"
fi
exit "$status"
