#!/usr/bin/env bash
# The program without any library of the system, and the proof that it needs none.
#
#   deploy/static.sh build FILE          build it and copy it to FILE (BULLA_PROFILE names another profile than release)
#   deploy/static.sh prove FILE [KUBECONFIG]
#                                        run FILE in a root that holds nothing but itself and /etc/ssl; needs Linux and user namespaces.
#                                        With the kubeconfig of a cluster for tests the controller as well, in a namespace of its own
#   deploy/static.sh root FILE FOLDER    make such a root in FOLDER, for whoever wants to run more in it
#
# It is linked with glibc, statically: what the build image has, and what C compiler and linker of any Debian can do. Names of hosts are
# looked up in /etc/hosts and by DNS; other sources that an nsswitch.conf may name need a library that is not there.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() { echo "static.sh: $*" >&2; exit 1; }

build() { # file
  local profile=${BULLA_PROFILE:-release} machine folder
  machine=$(rustc -vV | sed -n 's/^host: //p')
  case $machine in *-linux-gnu) ;; *) fail "this machine is $machine: run it on Linux with glibc" ;; esac
  # With the target named, programs that only run while building stay as they are.
  RUSTFLAGS="-C target-feature=+crt-static ${RUSTFLAGS:-}" \
    cargo build --locked --package bulla --profile "$profile" --target "$machine"
  folder=$profile
  [ "$profile" != dev ] || folder=debug
  cp "${CARGO_TARGET_DIR:-target}/$machine/$folder/bulla" "$1"
}

root() { # file folder
  mkdir -p "$2/etc/ssl/certs" "$2/data" "$2/dev"
  cp "$1" "$2/bulla"
  cp -L /etc/ssl/certs/ca-certificates.crt "$2/etc/ssl/certs/"
  # What every container is given: names, and a place for the devices.
  printf '127.0.0.1 localhost\n' >"$2/etc/hosts"
  touch "$2/dev/null" "$2/dev/random" "$2/dev/urandom"
}

inside() { (exec_inside "$@"); }

exec_inside() { # folder argument...
  local folder=$1; shift
  # The devices are bound for this one process.
  exec unshare --user --map-root-user --mount sh -c '
    folder=$1; shift
    for device in null random urandom; do mount --bind "/dev/$device" "$folder/dev/$device"; done
    exec env -i HOME=/ "$(command -v chroot)" "$folder" /bulla "$@"' inside "$folder" "$@"
}

prove() { # file [kubeconfig]
  local file=$1 folder secret
  command -v unshare >/dev/null || fail "unshare is missing: install util-linux"
  if readelf --program-headers "$file" | grep -q INTERP; then fail "$file asks for a dynamic linker"; fi
  if readelf --dynamic "$file" | grep -q NEEDED; then fail "$file needs libraries: $(readelf --dynamic "$file" | grep NEEDED)"; fi
  folder=$(mktemp -d)
  # The variable is gone when the script ends.
  trap "rm -rf '$folder'" EXIT
  root "$file" "$folder"
  inside "$folder" version
  # A value goes through age, RSA and AES, and back.
  inside "$folder" keygen age --output /data/identity >/dev/null
  secret='{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "namespace": "b"}, "stringData": {"c": "hunter2"}}'
  printf '%s' "$secret" >"$folder/data/secret.json"
  inside "$folder" keygen sealing --key /data/key.pem --cert /data/cert.pem >/dev/null
  inside "$folder" seal --cert /data/cert.pem /data/secret.json >"$folder/data/sealed.json"
  if grep -q hunter2 "$folder/data/sealed.json"; then fail "the value is readable"; fi
  inside "$folder" unseal --private-key /data/key.pem /data/sealed.json | grep -q '"aHVudGVyMg=="' || fail "it does not open again"
  [ -z "${2:-}" ] || prove_controller "$folder" "$2"
  echo "static.sh: $file runs where there is nothing else ($(find "$folder" -type f | wc -l) files, $(stat -c %s "$file") bytes)"
}

prove_controller() { # folder kubeconfig
  local folder=$1 kubeconfig=$2 namespace=bulla-static-$$ port=$((20000 + RANDOM % 12000)) pid started=$SECONDS
  kubectl --kubeconfig "$kubeconfig" create namespace "$namespace" >/dev/null
  cp "$kubeconfig" "$folder/data/kubeconfig"
  # TLS to the API server, and a server of its own, which is found by its name.
  exec_inside "$folder" controller --kubeconfig /data/kubeconfig --namespace "$namespace" --namespaces "$namespace" --key-size 2048 \
    --listen "127.0.0.1:$port" --listen-metrics "127.0.0.1:$((port + 1))" 2>"$folder/data/log" &
  pid=$!
  until inside "$folder" cert --url "http://localhost:$port/v1/cert.pem" 2>/dev/null | grep -q 'BEGIN CERTIFICATE'; do
    [ $((SECONDS - started)) -lt 30 ] || { cat "$folder/data/log" >&2; kill "$pid"; fail "the controller hands out no certificate"; }
    sleep 0.5
  done
  kill "$pid"
  wait "$pid" || fail "the controller does not end well"
  kubectl --kubeconfig "$kubeconfig" delete namespace "$namespace" --wait=false >/dev/null
}

case ${1:-} in
  build) [ $# = 2 ] || fail "usage: static.sh build FILE"; build "$2" ;;
  prove) [ $# = 2 ] || [ $# = 3 ] || fail "usage: static.sh prove FILE [KUBECONFIG]"; prove "$2" "${3:-}" ;;
  root) [ $# = 3 ] || fail "usage: static.sh root FILE FOLDER"; root "$2" "$3" ;;
  *) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
