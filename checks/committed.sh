#!/usr/bin/env bash
# What must not be committed: paths of the machine that somebody worked on, the package mirrors that it is configured with,
# private keys outside of tests. Looks at tracked files only.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
self=checks/committed.sh
status=0
complain() { echo "committed.sh: $1" >&2; sed 's/^/  /' >&2; status=1; }

# Test documents come from elsewhere and may name any path.
elsewhere=(":!$self" ':!tests/vectors' ':!crates/*/tests/*.yaml' ':!crates/*/tests/*.json')

# 1. Paths: of this checkout, of this home directory, and of anybody's.
pattern='(^|[^A-Za-z0-9_./~-])(/root/|/home/[a-z_][a-z0-9_-]*/|/Users/[A-Za-z])'
for own in "$PWD" "${HOME:-}"; do
  # Nothing sensible can be said about a home directory like `/` or `/app`.
  case $own in /?*/?* | /root) pattern+="|$(printf %s "$own" | sed 's/[][\.*^$+?(){}|]/\\&/g')(/|[^A-Za-z0-9_/-]|\$)" ;; esac
done
if found=$(git grep -InE "$pattern" -- . "${elsewhere[@]}"); then complain "a path of one machine" <<<"$found"; fi

# 2. Mirrors: hosts that cargo, Go, pip and npm are told to use here, other than the public ones.
public='^(github\.com|index\.crates\.io|static\.crates\.io|crates\.io|proxy\.golang\.org|sum\.golang\.org|pypi\.org|registry\.npmjs\.org|127\.0\.0\.1|localhost)$'
hosts() {
  {
    sed -n 's/^ *\(index\|registry\) *= *"\(.*\)"/\2/p' "${CARGO_HOME:-$HOME/.cargo}/config.toml" "${CARGO_HOME:-$HOME/.cargo}/config" 2>/dev/null || true
    env | sed -n 's/^CARGO_\(SOURCE\|REGISTRIES\)_[A-Z0-9_]*_\(REGISTRY\|INDEX\)=//p'
    command -v go >/dev/null && go env GOPROXY GOSUMDB | tr ',| ' '\n\n\n'
    env | sed -n 's/^\(PIP_INDEX_URL\|PIP_EXTRA_INDEX_URL\|UV_INDEX_URL\|npm_config_registry\)=//p'
  } | sed -n 's#^[a-z+]*://\([^/@]*@\)\{0,1\}\([^/:]*\).*#\2#p' | sort -u | grep -vE "$public" || true
}
while read -r host; do
  [ -n "$host" ] || continue
  if found=$(git grep -IlF "$host"); then complain "the package mirror of this machine (its name is not shown) in" <<<"$found"; fi
done < <(hosts)

# 3. Sources of crates and modules.
if found=$(git grep -nE '^source = ' -- '*Cargo.lock' | grep -v 'registry+https://github.com/rust-lang/crates.io-index"'); then
  complain "a crate that is not from crates.io" <<<"$found"
fi
# .cargo/config.toml sets the environment of builds and nothing else.
if found=$(git grep -nE '^ *\[' -- .cargo/config.toml | grep -v ':\[env\]$'); then complain "more than [env] in .cargo/config.toml" <<<"$found"; fi
if found=$(git ls-files | grep -vxF .cargo/config.toml | grep -E '(^|/)(\.cargo/(config|credentials)(\.toml)?|\.npmrc|\.netrc|pip\.conf|go\.work)$'); then
  complain "configuration of one machine" <<<"$found"
fi

# 4. Keys. Tests need some that open nothing; they lie with the tests.
tests=(':!crates/*/src/*' ':!crates/*/tests/*' ':!tests' ':!benches' ':!fuzz')
if found=$(git grep -IlE -e '-----BEGIN ([A-Z]+ )?PRIVATE KEY-----$|AGE-SECRET-KEY-1[0-9A-Z]{50}' -- . ":!$self" "${tests[@]}"); then
  complain "a private key outside of tests" <<<"$found"
fi
exit $status
