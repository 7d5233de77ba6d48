#!/usr/bin/env bash
# A real Kubernetes control plane on loopback: etcd, kube-apiserver, and the controllers that Secrets live with (garbage
# collector, namespaces, service accounts and their tokens). No kubelet and no scheduler: pods do not run; programs run as
# processes of this machine.
#
#   control-plane.sh up        start it, unless it runs; print its folder
#   control-plane.sh down      stop it and forget everything in it
#   control-plane.sh restart-api-server
#                              stop kube-apiserver, and start it again with the same data at the same address
#   control-plane.sh env       print what a shell needs: eval "$(tests/peers/control-plane.sh env)"
#   control-plane.sh as-pod NAMESPACE SERVICE-ACCOUNT PROGRAM [ARGUMENT...]
#                              run a program as if it were in a pod: KUBERNETES_SERVICE_HOST and _PORT, and the token, CA
#                              and namespace under /var/run/secrets, in a mount namespace of its own
#   control-plane.sh can-as-pod
#                              fail, and say why, where that is not possible
#
# BULLA_KUBERNETES_VERSION=1.33 starts an API server that has the interfaces and does as that version of Kubernetes; those that it can
# be are three older ones.
#
# There is one a checkout, in target/tmp/control-plane (BULLA_CONTROL_PLANE names another folder, and so another control
# plane). Whoever needs it calls `up`; runs at the same time wait for the first. Its ports are whatever is free. Linux only.
set -euo pipefail
shopt -s inherit_errexit
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
state=${BULLA_CONTROL_PLANE:-$here/../../target/tmp/control-plane}
programs=(etcd kube-apiserver kube-controller-manager)

fail() { echo "control-plane.sh: $*" >&2; exit 1; }

# --- processes: `pid` and start time in a file, so that a pid that another program got since is never taken for ours ---

start_time() { # pid
  local stat
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
  # The name in parentheses may hold spaces; the start time is the 20th field after it.
  set -- ${stat##*) }
  [ "$1" != Z ] && echo "${20}"
}

runs() { # name
  local pid started
  { read -r pid started <"$state/$1.pid"; } 2>/dev/null && [ "$(start_time "$pid")" = "$started" ]
}

start() { # name argument...
  local name=$1; shift
  printf '%s\0' "$@" >"$state/$name.arguments"
  # Not the lock: it would be held for as long as the program runs.
  setsid "$bin/$name" "$@" >>"$state/$name.log" 2>&1 </dev/null {lock}>&- &
  echo "$! $(start_time $!)" >"$state/$name.pid"
}

stop() { # name
  local pid started
  if runs "$1"; then
    read -r pid started <"$state/$1.pid"
    kill -KILL "$pid" # Nothing of its state is kept.
    while runs "$1"; do sleep 0.02; done
  fi
}

wait_for() { # name seconds command...
  local name=$1 end=$((SECONDS + $2)); shift 2
  until "$@" >/dev/null 2>&1; do
    runs "$name" || return 1
    [ $SECONDS -lt $end ] || { echo "control-plane.sh: $name is not ready in time" >&2; return 1; }
    sleep 0.05
  done
}

listens() { (: <"/dev/tcp/127.0.0.1/$1"); }

free_port() {
  local port
  # Below the ports that the kernel gives to clients.
  for _ in $(seq 100); do
    port=$((20000 + RANDOM % 12000))
    listens $port 2>/dev/null || { echo $port; return; }
  done
  fail "no free port"
}

# --- certificates ---------------------------------------------------------------------------------------------------

certificate() { # name subject [alternative-names]
  openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"
  openssl req -new -key "$1.key" -subj "$2" -out "$1.request"
  openssl x509 -req -in "$1.request" -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -sha256 -out "$1.crt" -extfile <(
    printf 'keyUsage=digitalSignature,keyEncipherment\nextendedKeyUsage=serverAuth,clientAuth\n'
    [ $# -lt 3 ] || echo "subjectAltName=$3"
  )
}

certificates() (
  mkdir "$state/certificates"
  cd "$state/certificates"
  openssl ecparam -name prime256v1 -genkey -noout -out ca.key
  openssl req -x509 -new -key ca.key -subj /CN=control-plane -days 3650 -sha256 -out ca.crt \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
  certificate api-server /CN=kube-apiserver IP:127.0.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc
  certificate admin /O=system:masters/CN=admin
  openssl genrsa -out service-account.key 2048
  openssl rsa -in service-account.key -pubout -out service-account.pub
)

kubeconfig() { # port
  local folder=$state/certificates
  cat <<END
apiVersion: v1
kind: Config
clusters:
- name: control-plane
  cluster:
    server: https://127.0.0.1:$1
    certificate-authority-data: $(base64 -w0 "$folder/ca.crt")
users:
- name: admin
  user:
    client-certificate-data: $(base64 -w0 "$folder/admin.crt")
    client-key-data: $(base64 -w0 "$folder/admin.key")
contexts:
- name: control-plane
  context: {cluster: control-plane, user: admin, namespace: default}
current-context: control-plane
END
}

# --- the control plane ----------------------------------------------------------------------------------------------

take_lock() {
  command -v flock >/dev/null || fail "flock is missing: install util-linux"
  mkdir -p "${state%/*}"
  state=$(cd "${state%/*}" && pwd)/${state##*/}
  exec {lock}>"$state.lock"
  flock "$lock"
}

find_programs() { bin=$("$here/build.sh" --path controlplane)/bin; }

kubectl() { "$bin/kubectl" --kubeconfig "$state/kubeconfig" --cache-dir "$state/discovery" "$@"; }

ready() { [ "$(kubectl get --raw /readyz)" = ok ]; }

is_up() {
  local name
  # One from before this was logged.
  [ -e "$state/audit.log" ] || return 1
  # Programs that were built since are other programs.
  [ "$(cat "$state/bin" 2>/dev/null)" = "$bin" ] || return 1
  for name in "${programs[@]}"; do runs "$name" || return 1; done
}

forget() {
  local name
  for name in "${programs[@]}"; do stop "$name"; done
  rm -rf "$state"
}

start_all() {
  local port etcd_port peer_port folder=$state/certificates
  port=$(free_port) etcd_port=$(free_port) peer_port=$(free_port)
  mkdir -p "$state"
  certificates 2>"$state/openssl.log" || { cat "$state/openssl.log" >&2; fail "cannot make certificates"; }
  kubeconfig "$port" >"$state/kubeconfig"
  echo "$port" >"$state/port"

  # Tests do not need to survive a crash of the machine.
  start etcd --name test --data-dir "$state/etcd" --log-level warn --unsafe-no-fsync \
    --listen-client-urls "http://127.0.0.1:$etcd_port" --advertise-client-urls "http://127.0.0.1:$etcd_port" \
    --listen-peer-urls "http://127.0.0.1:$peer_port" --initial-advertise-peer-urls "http://127.0.0.1:$peer_port" \
    --initial-cluster "test=http://127.0.0.1:$peer_port" --quota-backend-bytes 4294967296
  wait_for etcd 60 listens "$etcd_port" || return 1

  # Which rights service accounts make use of, so that tests can hold what is granted against it. Never what was sent or answered.
  cat >"$state/audit.yaml" <<'END'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  userGroups: ["system:serviceaccounts"]
- level: None
END
  : >"$state/audit.log"

  local older=()
  [ -z "${BULLA_KUBERNETES_VERSION:-}" ] || older=(--emulated-version "kube=$BULLA_KUBERNETES_VERSION")
  # A loopback address may not be an endpoint of the service `kubernetes`, hence no reconciler. The address that it would
  # announce is one for documentation: else it looks for a route to the outside, and a machine without one has none.
  start kube-apiserver --etcd-servers "http://127.0.0.1:$etcd_port" \
    --bind-address 127.0.0.1 --secure-port "$port" --advertise-address 192.0.2.1 --endpoint-reconciler-type none \
    --service-cluster-ip-range 10.0.0.0/24 --authorization-mode Node,RBAC \
    --tls-cert-file "$folder/api-server.crt" --tls-private-key-file "$folder/api-server.key" --client-ca-file "$folder/ca.crt" \
    --service-account-issuer https://kubernetes.default.svc --api-audiences https://kubernetes.default.svc \
    --service-account-key-file "$folder/service-account.pub" --service-account-signing-key-file "$folder/service-account.key" \
    --audit-policy-file "$state/audit.yaml" --audit-log-path "$state/audit.log" \
    --cert-dir "$state" --profiling=false "${older[@]}"
  wait_for kube-apiserver 120 listens "$port" && wait_for kube-apiserver 120 ready || return 1

  start kube-controller-manager --kubeconfig "$state/kubeconfig" \
    --service-account-private-key-file "$folder/service-account.key" --root-ca-file "$folder/ca.crt"
  wait_for kube-controller-manager 60 kubectl -n default get serviceaccount default || return 1
  echo "$bin" >"$state/bin"
}

up() {
  command -v openssl >/dev/null || fail "openssl is missing: install openssl 3 or newer"
  find_programs
  take_lock
  if ! is_up; then
    umask 077
    for attempt in 1 2 3; do
      forget
      ! start_all || break
      # Another program may have taken a port in between.
      tail -n 5 "$state"/*.log >&2
      [ $attempt -lt 3 ] || { forget; fail "the control plane does not start; see above"; }
    done
  fi
  echo "$state"
}

down() {
  take_lock
  forget
}

# Of the one that runs: a program's HOME or BULLA_CACHE may be another than that of `up`.
require_up() {
  state=$(cd "$state" 2>/dev/null && pwd) && bin=$(cat "$state/bin" 2>/dev/null) && is_up || fail "no control plane runs here: call control-plane.sh up"
}

print_env() {
  require_up
  printf 'export KUBECONFIG=%q\nexport PATH=%q:$PATH\n' "$state/kubeconfig" "$bin"
}

require_mount_namespace() {
  unshare=(unshare --mount --propagation private)
  # Without root, as the root of a user namespace of its own, where the system allows it.
  [ "$(id -u)" = 0 ] || unshare=(unshare --user --map-root-user --mount --propagation private)
  "${unshare[@]}" mount -t tmpfs tmpfs /run 2>/dev/null ||
    fail "running a program as a pod needs a mount namespace (\`${unshare[*]}\`, of util-linux): run as root, or allow unprivileged user namespaces"
}

as_pod() { # namespace service-account program argument...
  local namespace=$1 account=$2 token; shift 2
  require_up
  require_mount_namespace
  token=$(kubectl --namespace "$namespace" create token "$account" --duration 24h)
  export KUBERNETES_SERVICE_HOST=127.0.0.1 KUBERNETES_SERVICE_PORT POD_NAMESPACE=$namespace
  KUBERNETES_SERVICE_PORT=$(cat "$state/port")
  exec "${unshare[@]}" bash -c '
    set -e
    token=$1 namespace=$2 ca=$(cat "$3"); shift 3
    mount -t tmpfs -o mode=755 tmpfs "$(readlink -f /var/run)"
    mkdir -p /var/run/secrets/kubernetes.io/serviceaccount
    cd /var/run/secrets/kubernetes.io/serviceaccount
    printf %s "$token" >token; printf %s "$namespace" >namespace; printf "%s\n" "$ca" >ca.crt
    cd "$OLDPWD"
    exec "$@"' as-pod "$token" "$namespace" "$state/certificates/ca.crt" "$@"
}

restart_api_server() {
  local arguments
  find_programs
  take_lock
  is_up || fail "it does not run"
  mapfile -d '' arguments <"$state/kube-apiserver.arguments"
  stop kube-apiserver
  # The address may be held for a moment by the connections of the one before.
  for _ in 1 2 3; do
    start kube-apiserver "${arguments[@]}"
    ! wait_for kube-apiserver 120 ready || return 0
    stop kube-apiserver
    grep -v '"logger":"etcd-client"' "$state/kube-apiserver.log" | tail -n 3 >&2
    sleep 1
  done
  fail "kube-apiserver does not start again; see above"
}

case ${1:-} in
  up) up ;;
  restart-api-server) restart_api_server ;;
  down) down ;;
  env) print_env ;;
  can-as-pod) require_mount_namespace ;;
  as-pod) shift; [ $# -ge 3 ] || fail "usage: control-plane.sh as-pod NAMESPACE SERVICE-ACCOUNT PROGRAM [ARGUMENT...]"; as_pod "$@" ;;
  *) sed -n '2,22s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
