#!/usr/bin/env bash
# Shell scripts: each parses and can be executed; shellcheck where it is installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mapfile -t scripts < <(git ls-files --cached --others --exclude-standard | while read -r file; do
  [ -f "$file" ] && IFS= read -r first <"$file" && [[ $first =~ ^#!.*sh$ ]] && echo "$file"
done 2>/dev/null)
status=0
for script in "${scripts[@]}"; do
  bash -n "$script" || status=1
  [ -x "$script" ] || { echo "scripts.sh: $script cannot be executed: chmod +x" >&2; status=1; }
done
if command -v shellcheck >/dev/null; then
  shellcheck --severity=warning "${scripts[@]}" || status=1
else
  echo "scripts.sh: shellcheck is not installed: ${#scripts[@]} scripts were only parsed"
fi
exit $status
