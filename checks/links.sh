#!/usr/bin/env bash
# Relative links of the documents: the file is there, and so is the heading behind `#`. Links to other sites are not followed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
status=0

# The anchors that GitHub gives the headings of a document.
anchors() { # file
  awk '/^ *```/ { code = !code } !code && /^#+ / { sub(/^#+ +/, ""); print }' "$1" |
    sed -e 's/\[\([^]]*\)\]([^)]*)/\1/g' -e 's/ *$//' | tr '[:upper:]' '[:lower:]' | sed -e 's/[^[:alnum:] _-]//g' -e 's/ /-/g' |
    awk '{ n = seen[$0]++; print n ? $0 "-" n : $0 }'
}

# LINE<TAB>TARGET of every link, outside of code.
links() { # file
  awk '/^ *```/ { code = !code; next } !code {
    line = $0
    gsub(/`[^`]*`/, "", line)
    while (match(line, /\]\([^) ]+/)) { print NR "\t" substr(line, RSTART + 2, RLENGTH - 2); line = substr(line, RSTART + RLENGTH) }
  }' "$1"
}

checked=0
while read -r document; do
  [ -f "$document" ] || continue
  while IFS=$'\t' read -r line target; do
    case $target in *://* | mailto:*) continue ;; esac
    checked=$((checked + 1))
    path=${target%%#*} anchor=
    case $target in *#*) anchor=${target#*#} ;; esac
    file=$document
    [ -z "$path" ] || file=$(dirname "$document")/$path
    if [ ! -e "$file" ]; then
      echo "$document:$line: no such file: $target" >&2; status=1
    elif [ -n "$anchor" ] && [ "${file##*.}" = md ] && ! anchors "$file" | grep -qxF -- "$anchor"; then
      echo "$document:$line: no such heading: $target" >&2; status=1
    fi
  done < <(links "$document")
done < <(git ls-files --cached --others --exclude-standard '*.md')
[ $status = 0 ] && echo "links.sh: $checked relative links lead somewhere"
exit $status
