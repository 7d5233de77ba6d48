#!/usr/bin/env bash
# What linters for Dockerfiles look for, as far as it matters to ours: no docker is needed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
file=Dockerfile
status=0
complain() { echo "dockerfile.sh: $1" >&2; status=1; }

# Instructions without comments, each on one line.
instructions=$(grep -vE '^\s*(#|$)' "$file" | sed -e ':join' -e '/\\$/{N;s/\\\n\s*/ /;bjoin' -e '}')
last_stage=$(awk '/^FROM /{stage=""} {stage = stage $0 "\n"} END {printf "%s", stage}' <<<"$instructions")
has() { grep -qE "$1" <<<"$2"; }

# The image to build in: one version, of which whoever builds may name the digest.
while read -r image; do
  case $image in
    scratch) ;;
    '${'*'}')
      name=${image#\$\{}; name=${name%\}}
      default=$(sed -n "s/^ARG $name=//p" <<<"$instructions" | head -1)
      [[ $default =~ :[0-9] ]] || complain "the default of $name, \`$default\`, names no version"
      ;;
    *@sha256:*) ;;
    *) complain "\`$image\` is not pinned by a digest, and is no argument" ;;
  esac
done < <(sed -n 's/^FROM \([^ ]*\).*/\1/p' <<<"$instructions")
rust=$(sed -n 's/^channel = "\(.*\)"/\1/p' rust-toolchain.toml)
has "^ARG BUILD_IMAGE=rust:$rust-" "$instructions" || complain "the image to build in has another Rust than rust-toolchain.toml ($rust)"

has '^FROM scratch$' "$last_stage" || complain "the last stage does not start from scratch"
has '^USER [1-9][0-9]*:[1-9][0-9]*$' "$last_stage" || complain "the last stage has no user by number that is not root"
has '^ENTRYPOINT \["' "$last_stage" || complain "ENTRYPOINT is not a list: there is no shell"
! has '^CMD [^[]' "$last_stage" || complain "CMD is not a list: there is no shell"
! has '^RUN ' "$last_stage" || complain "nothing can be run in an image from scratch"
for label in title description licenses version revision; do
  has "org\.opencontainers\.image\.$label=" "$last_stage" || complain "the label $label is missing"
done
! has '^ADD ' "$instructions" || complain "ADD fetches and unpacks: use COPY"
! has '^(ENV|ARG) [A-Za-z_]*(TOKEN|PASSWORD|SECRET|KEY)' "$instructions" || complain "a secret stays in the history of an image"
! has 'apt-get install' "$instructions" || has 'apt-get install .*--no-install-recommends .*rm -rf /var/lib/apt/lists' "$instructions" ||
  complain "apt-get installs more than it is asked for, or leaves its lists"
user=$(sed -n 's/^USER \([0-9]*\):.*/\1/p' <<<"$last_stage")
grep -q "runAsUser: $user\$" deploy/kustomize/base/deployment.yaml || complain "deploy/kustomize runs it as another user than $user"

# What goes into the build: named, one by one.
[ "$(grep -vE '^(#|$)' .dockerignore | head -1)" = '*' ] || complain ".dockerignore does not begin with everything"
while read -r name; do
  [ -e "$name" ] || complain ".dockerignore lets \`$name\` in, which is not there"
done < <(sed -n 's/^!//p' .dockerignore)
for member in $(sed -n 's/^members = \[\(.*\)\]/\1/p' Cargo.toml | tr -d '",'); do
  grep -qx "!${member%%/*}" .dockerignore || complain ".dockerignore leaves \`$member\` out, which the workspace needs"
done
[ $status = 0 ] && echo "dockerfile.sh: $(grep -c . <<<"$instructions") instructions"
exit $status
