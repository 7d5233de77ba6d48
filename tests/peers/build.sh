#!/usr/bin/env bash
# Builds the programs that the tests prove against, from the Go module proxy and PyPI, into a cache outside the repository.
#
#   build.sh [SET...]        build what is missing; when none is named, what the tests need: tools, controlplane, vault, moto,
#                            clouds, pre-commit, corpus, charts, functional-tests, ansible; `make bench` needs gitleaks and
#                            detect-secrets, too, and `make bench-external` external-secrets
#   build.sh --path SET      print the folder of a set; fail when it has not been built
#   build.sh --versions      print what is pinned
#   build.sh --prune         remove every set that does not belong to this checkout
#
# A set lies in ${BULLA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bulla}/peers/SET-KEY. KEY is a hash of all that goes in (go.mod,
# go.sum, our sources, this file's flags, the toolchain), so a set that did not change is found at once, and a set is
# only there when it is whole: it is built in a folder beside and renamed.
set -euo pipefail
shopt -s inherit_errexit
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
peers=${BULLA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bulla}/peers
test_sets=(tools controlplane vault moto clouds pre-commit corpus charts functional-tests ansible)
all_sets=("${test_sets[@]}" gitleaks detect-secrets external-secrets)
minimum_go=1.26.4
minimum_python=3.11
python=${PYTHON:-python3}

# The same flags for every build, always: with others, Go compiles everything anew.
export CGO_ENABLED=0 GOFLAGS='-trimpath -buildvcs=false' GOTOOLCHAIN=local GOWORK=off
# Programs for this machine, whatever the environment says.
unset GOOS GOARCH

fail() { echo "build.sh: $*" >&2; exit 1; }

is_of_python() { case $1 in moto | clouds | pre-commit | detect-secrets | ansible) ;; *) return 1 ;; esac; }

check_prerequisites() { # [set...]
  local set has_python='' has_go=''
  for set in "$@"; do if is_of_python "$set"; then has_python=1; else has_go=1; fi; done
  [ -z "$has_python" ] || check_python
  [ -z "$has_go" ] || check_go
  command -v sha256sum >/dev/null || fail "sha256sum is missing: install coreutils"
}

check_go() {
  command -v go >/dev/null || fail "Go is missing. The real sops, kubeseal and kube-apiserver are built with Go $minimum_go or newer: install it (https://go.dev/dl) and put it on PATH. BULLA_WITHOUT_PEERS=1 runs the tests that need none of them."
  local go_version
  go_version=$(go env GOVERSION); go_version=${go_version#go}; go_version=${go_version%%[ -]*}
  [ "$(printf '%s\n' "$minimum_go" "$go_version" | sort -V | head -1)" = "$minimum_go" ] ||
    fail "Go $go_version is too old: install $minimum_go or newer"
}

check_python() {
  command -v "$python" >/dev/null || fail "Python is missing. moto, which stands for AWS, the stand-in of the other clouds and pre-commit need Python $minimum_python or newer with venv (Debian: python3-venv). BULLA_WITHOUT_PEERS=1 runs the tests that need none of the real programs."
  "$python" -c "import sys; sys.exit(sys.version_info < (${minimum_python/./, }))" ||
    fail "$("$python" --version) is too old: install $minimum_python or newer, or name one with PYTHON"
  "$python" -c 'import ensurepip, venv' 2>/dev/null || fail "this Python cannot make environments: install its venv (Debian: python3-venv)"
}

module_folder() { case $1 in tools) echo oracle ;; controlplane | vault | gitleaks) echo "$1" ;; *) fail "no such set: $1 (there are: ${all_sets[*]})" ;; esac; }

# The version that go.mod pins for a module.
pinned() { # module-folder module
  awk -v module="$2" '$1 == module && $2 ~ /^v/ { print $2; exit }' "$here/$1/go.mod"
}

versions() {
  local kubernetes etcd
  kubernetes=$(pinned controlplane k8s.io/kubernetes) etcd=$(pinned controlplane go.etcd.io/etcd/server/v3)
  printf '%s\n' \
    "sops                      $(pinned oracle github.com/getsops/sops/v3)" \
    "age, age-keygen           $(pinned oracle filippo.io/age)" \
    "go-yaml (oracle)          $(pinned oracle go.yaml.in/yaml/v3)" \
    "gjson (oracle)            $(pinned oracle github.com/tidwall/gjson)" \
    "kube-apiserver, kubectl   $kubernetes" \
    "etcd                      $etcd" \
    "kubeseal, its controller  $(pinned controlplane github.com/bitnami/sealed-secrets)" \
    "vault                     $(pinned vault github.com/hashicorp/vault)" \
    "moto                      v$(pinned_wheel moto)" \
    "pre-commit                v$(pinned_wheel pre-commit)" \
    "ansible-core              v$(pinned_wheel ansible ansible-core)" \
    "community.sops            of ansible v$(sed -n 's/^ansible==\([^ ]*\).*/\1/p' "$here/ansible/collections.txt")" \
    "gitleaks                  $(pinned gitleaks github.com/zricethezav/gitleaks/v8)" \
    "detect-secrets            v$(pinned_wheel detect-secrets)" \
    "external-secrets          $(sed -n 's/^[^#][^ ]* \([^ ]*\) .*/\1/p' "$here/external-secrets/module")"
}

pinned_wheel() { sed -n "s/^${2:-$1}==\\([^ ]*\\).*/\\1/p" "$here/$1/requirements.txt"; } # set [package]

check_set() { [ "$1" = corpus ] || [ "$1" = functional-tests ] || [ "$1" = charts ] || [ "$1" = external-secrets ] || is_of_python "$1" || module_folder "$1" >/dev/null; }

# All that the result depends on.
key() { # set
  if [ "$1" = corpus ]; then
    { cat "$here"/{oracle,controlplane}/go.{mod,sum}; declare -f build_corpus; } | sha256sum | cut -c1-16
    return
  fi
  if [ "$1" = functional-tests ]; then
    { rustc -vV; pinned oracle github.com/getsops/sops/v3; declare -f build_functional-tests; } | sha256sum | cut -c1-16
    return
  fi
  if [ "$1" = charts ]; then
    { cat "$here/charts/modules"; declare -f build_charts; } | sha256sum | cut -c1-16
    return
  fi
  if [ "$1" = external-secrets ]; then
    { go env GOVERSION GOHOSTOS GOHOSTARCH; echo "$CGO_ENABLED $GOFLAGS"
      cat "$here/external-secrets/module"; declare -f build_external-secrets; } | sha256sum | cut -c1-16
    return
  fi
  if is_of_python "$1"; then
    { "$python" -c 'import platform, sys; print(sys.version, sys.prefix, platform.machine())'
      cat "$here/$1"/{*.txt,*.py}; declare -f build_environment "build_$1"; } 2>/dev/null | sha256sum | cut -c1-16
    return
  fi
  local folder; folder=$(module_folder "$1")
  { go env GOVERSION GOHOSTOS GOHOSTARCH
    echo "$CGO_ENABLED $GOFLAGS"
    declare -f "build_$1"
    cd "$here" && find "$folder" jsonlines -type f \( -name '*.go' -o -name go.mod -o -name go.sum \) | LC_ALL=C sort | xargs sha256sum
  } | sha256sum | cut -c1-16
}

folder_of() { echo "$peers/$1-$(key "$1")"; }

build_tools() { # folder
  cd "$here/oracle"
  go build -ldflags '-s -w' -o "$1/bin/" . github.com/getsops/sops/v3/cmd/sops
  go build -ldflags "-s -w -X main.Version=$(pinned oracle filippo.io/age)" -o "$1/bin/" filippo.io/age/cmd/age filippo.io/age/cmd/age-keygen
}

build_controlplane() { # folder
  cd "$here/controlplane"
  local kubernetes minor sealed_secrets module=github.com/bitnami/sealed-secrets component=k8s.io/component-base/version
  kubernetes=$(pinned controlplane k8s.io/kubernetes) minor=${kubernetes#v1.} minor=${minor%%.*} sealed_secrets=$(pinned controlplane $module)
  go build -ldflags "-s -w -X $component.gitVersion=$kubernetes -X $component.gitMajor=1 -X $component.gitMinor=$minor \
    -X k8s.io/client-go/pkg/version.gitVersion=$kubernetes -X main.VERSION=${sealed_secrets#v}" \
    -o "$1/bin/" . ./sealing-oracle $module/cmd/kubeseal $module/cmd/controller
  mv "$1/bin/controller" "$1/bin/sealed-secrets-controller"
  for name in etcd kube-apiserver kube-controller-manager kubectl; do ln -s controlplane "$1/bin/$name"; done
  install -m 644 "$(go list -m -f '{{.Dir}}' $module)/helm/sealed-secrets/crds/bitnami.com_sealedsecrets.yaml" "$1/sealed-secrets-crd.yaml"
}

build_vault() { # folder
  cd "$here/vault"
  go build -ldflags '-s -w' -o "$1/bin/" .
}

build_gitleaks() { # folder
  cd "$here/gitleaks"
  go build -ldflags '-s -w' -o "$1/bin/gitleaks" github.com/zricethezav/gitleaks/v8
}

# With Vault alone of its forty stores and one of its generators: the SDKs of all others are more than half of what is compiled.
build_external-secrets() { # folder
  local module version sum download directory
  read -r module version sum < <(grep -v '^#' "$here/external-secrets/module")
  download=$(GOFLAGS=-mod=mod go mod download -json "$module@$version")
  [[ $download == *"\"Sum\": \"$sum\""* ]] || fail "$module@$version has another sum than the one that is pinned"
  directory=$(sed -n 's/^.*"Dir": "\(.*\)",*$/\1/p' <<<"$download")
  mkdir "$1/source"
  cp -R "$directory"/{apis,cmd,pkg,go.mod,go.sum,main.go} "$1/source"
  chmod -R u+w "$1/source"
  cd "$1/source"
  sed -i '/external-secrets\/pkg\/provider\/vault"$/!{/external-secrets\/pkg\/provider\//d}' pkg/provider/register/register.go
  sed -i '/external-secrets\/pkg\/generator\/fake"$/!{/external-secrets\/pkg\/generator\//d}' pkg/generator/register/register.go
  go build -ldflags '-s -w' -o "$1/bin/external-secrets" .
  install -m 644 "$directory/deploy/crds/bundle.yaml" "$1/external-secrets-crds.yaml"
  rm -rf "$1/source"
}

# An environment of its own, from wheels with the hashes that are pinned; nothing is built, and nothing comes along that is not on the list.
build_environment() { # set folder
  "$python" -m venv "$2"
  "$2/bin/python" -m pip --quiet --disable-pip-version-check --no-input install \
    --require-hashes --no-deps --only-binary :all: --requirement "$here/$1/requirements.txt"
  # What pip wrote names the folder that this is built in: programs are run by `bin/python -m`.
  find "$2/bin" -type f -delete
}

build_moto() { # folder
  build_environment moto "$1"
  install -m 755 "$here/moto/server.py" "$1/bin/server.py"
}

build_clouds() { # folder
  build_environment clouds "$1"
  install -m 644 "$here"/clouds/*.py "$1/bin"
}

build_pre-commit() { build_environment pre-commit "$1"; } # folder

build_detect-secrets() { build_environment detect-secrets "$1"; } # folder

# Ansible by itself knows nothing of SOPS: the collection that does comes in the wheel of all collections.
build_ansible() { # folder
  build_environment ansible "$1"
  "$1/bin/python" -m pip --quiet --disable-pip-version-check --no-input download \
    --require-hashes --no-deps --only-binary :all: --dest "$1/download" --requirement "$here/ansible/collections.txt"
  "$1/bin/python" - "$1/download"/ansible-*.whl "$1/collections" <<'PYTHON'
import sys, zipfile
wheel = zipfile.ZipFile(sys.argv[1])
wheel.extractall(sys.argv[2], [name for name in wheel.namelist() if name.startswith("ansible_collections/community/sops/")])
PYTHON
  rm -r "$1/download"
}

# SOPS' own tests of its command line: a crate, whose tests run `./sops` in the folder that they are started in.
build_functional-tests() { # folder
  local module
  cd "$here/oracle"
  module=$(go list -m -f '{{.Dir}}' github.com/getsops/sops/v3)
  cp -R "$module/functional-tests" "$1/crate"
  chmod -R u+w "$1/crate"
  # Not in the crate's folder: this checkout's toolchain is meant.
  CARGO_PROFILE_TEST_DEBUG=0 CARGO_PROFILE_TEST_STRIP=symbols \
    cargo test --quiet --locked --no-run --manifest-path "$1/crate/Cargo.toml" --target-dir "$1/target"
  mkdir "$1/bin"
  find "$1/target/debug/deps" -type f -perm -u+x -name 'functional_tests-*' -exec mv {} "$1/bin/functional-tests" \;
  mv "$1/crate/res" "$1/crate/.sops.yaml" "$1"
  install -m 644 "$module/pgp/sops_functional_tests_key.asc" "$1/key.asc"
  rm -r "$1/crate" "$1/target"
}

# Real manifests: the YAML and JSON files that lie in the modules which the other two sets are built from.
build_corpus() { # folder
  local folder module directory
  for folder in oracle controlplane; do
    cd "$here/$folder"
    if [ $folder = oracle ]; then
      go list -deps -f '{{with .Module}}{{if .Version}}{{.Path}} {{.Dir}}{{end}}{{end}}' . github.com/getsops/sops/v3/cmd/sops filippo.io/age/cmd/age
    else
      go list -deps -f '{{with .Module}}{{if .Version}}{{if .Replace}}{{.Path}} {{.Replace.Dir}}{{else}}{{.Path}} {{.Dir}}{{end}}{{end}}{{end}}' . github.com/bitnami/sealed-secrets/cmd/kubeseal github.com/bitnami/sealed-secrets/cmd/controller
    fi
  done | LC_ALL=C sort -u > "$1/modules"
  while read -r module directory; do
    find "$directory" -type f \( -name '*.yaml' -o -name '*.yml' -o -name '*.json' \) -size -257k -printf "$module/%P\t%p\n"
  done < "$1/modules" | LC_ALL=C sort > "$1/files"
  # One file of each content, under its first name.
  mkdir "$1/manifests"
  cut -f2 "$1/files" | tr '\n' '\0' | xargs -0 sha256sum | cut -c1-64 | paste - "$1/files" | awk -F '\t' '!seen[$1]++ { print $2 "\t" $3 }' > "$1/distinct"
  while IFS=$'\t' read -r name path; do
    mkdir -p "$1/manifests/${name%/*}"
    install -m 644 "$path" "$1/manifests/$name"
  done < "$1/distinct"
  rm "$1/modules" "$1/files" "$1/distinct"
}

# Real charts and manifests of their kind, from modules that nothing here is built from.
build_charts() { # folder
  local module version sum part download directory
  mkdir "$1/download" && cd "$1/download"
  while read -r module version sum part; do
    case $module in '#'*) continue ;; esac
    download=$(GOFLAGS=-mod=mod go mod download -json "$module@$version")
    [[ $download == *"\"Sum\": \"$sum\""* ]] || fail "$module@$version has another sum than the one that is pinned"
    directory=$(sed -n 's/^.*"Dir": "\(.*\)",*$/\1/p' <<<"$download")
    (cd "$directory" && find "$part" -type f \( -name '*.yaml' -o -name '*.yml' -o -name '*.json' -o -name '*.tpl' -o -name '*.key' -o -name '*.pem' -o -name '*.private' \) -size -257k -print0) |
      while IFS= read -r -d '' name; do install -D -m 644 "$directory/$name" "$1/files/$module/${name#./}"; done
  done < "$here/charts/modules"
  cd "$1" && rmdir download
}

build() { # set
  local set=$1 folder work started
  folder=$(folder_of "$set")
  [ -d "$folder" ] && return
  mkdir -p "$peers"
  # Two runs at once would only take turns on the same processors. Without flock (not on Linux) both build; either result is whole.
  exec {lock}>"$peers/.lock-$set"
  if command -v flock >/dev/null; then
    flock -n "$lock" || { echo "$set: another run builds it, waiting"; flock "$lock"; }
    rm -rf "$peers/.building-$set-"*
  fi
  if [ ! -d "$folder" ]; then
    started=$SECONDS
    echo "$set: building into $folder"
    work=$peers/.building-$set-$$
    trap 'rm -rf "$work"' EXIT
    mkdir "$work"
    ("build_$set" "$work")
    mv -T "$work" "$folder" 2>/dev/null || [ -d "$folder" ] || fail "cannot move $work to $folder"
    rm -rf "$work"
    trap - EXIT
    echo "$set: built in $((SECONDS - started)) s, $(du -sh "$folder" | cut -f1)"
  fi
  exec {lock}>&-
}

prune() {
  local set keep=" "
  for set in "${all_sets[@]}"; do keep+="$(folder_of "$set") "; done
  for folder in "$peers"/*-*/; do
    folder=${folder%/}
    case $keep in *" $folder "*) ;; *) echo "removing $folder"; rm -rf "$folder" ;; esac
  done
}

case ${1:-} in
  --versions) versions ;;
  --path)
    [ $# = 2 ] || fail "usage: build.sh --path SET"
    check_set "$2"
    check_prerequisites "$2"
    folder=$(folder_of "$2")
    [ -d "$folder" ] || fail "the set \`$2\` has not been built: run \`make peers\`"
    echo "$folder" ;;
  --prune) check_prerequisites "${all_sets[@]}"; prune ;;
  -*) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2 ;;
  *)
    sets=("$@"); [ $# -gt 0 ] || sets=("${test_sets[@]}")
    for set in "${sets[@]}"; do check_set "$set"; done
    check_prerequisites "${sets[@]}"
    for set in "${sets[@]}"; do build "$set"; done ;;
esac
