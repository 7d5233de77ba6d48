#!/usr/bin/env bash
# The controller's certificate through the service proxy of a real API server, fetched by kubeseal and by bulla.
#
#   service-proxy.sh BULLA KUBESEAL       prints what it finds wrong, and fails
#
# The proxy sends to addresses that Pods own, and never to loopback ones. So everything runs in a network namespace of its
# own, which has one address more: no packet leaves it. Linux only; needs iproute2 and util-linux.
set -euo pipefail
shopt -s inherit_errexit
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
address=10.255.0.1

fail() { echo "service-proxy.sh: $*" >&2; exit 1; }

own_network() {
  network=(unshare --net)
  # Without root, as the root of a user namespace of its own, where the system allows it.
  [ "$(id -u)" = 0 ] || network=(unshare --user --map-root-user --net)
  command -v ip >/dev/null || fail "ip is missing: install iproute2"
  "${network[@]}" ip link set lo up 2>/dev/null ||
    fail "a network of its own (\`${network[*]}\`, of util-linux) is not to be had: run as root, or allow unprivileged user namespaces"
}

eventually() { # seconds what command...
  local end=$((SECONDS + $1)) what=$2; shift 2
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || { "$@" >&2 || true; tail -n 20 "$folder/controller.log" >&2; fail "not in time: $what"; }
    sleep 0.1
  done
}

inside() { # bulla kubeseal
  local bulla=$1 kubeseal=$2
  folder=$(mktemp -d) controller=
  finish() {
    local status=$?
    if [ -n "$controller" ]; then
      kill -TERM "$controller" 2>/dev/null || true
      wait "$controller" || true
    fi
    "$here/control-plane.sh" down || true
    rm -rf "$folder"
    exit "$status"
  }
  trap finish EXIT
  trap 'exit 143' INT TERM
  ip link set lo up
  ip address add "$address/32" dev lo
  export BULLA_CONTROL_PLANE=$folder/control-plane
  "$here/control-plane.sh" up >/dev/null
  # Assigned first: a failure inside of `eval "$(…)"` would be passed over.
  local environment
  environment=$("$here/control-plane.sh" env)
  eval "$environment"

  kubectl apply --filename "$here/../../deploy/crds/sealedsecrets.yaml" >/dev/null
  kubectl wait --for=condition=Established --timeout=60s crd/sealedsecrets.bitnami.com >/dev/null
  "$bulla" controller --kubeconfig "$KUBECONFIG" --namespace kube-system --listen "$address:8080" --listen-metrics none >"$folder/controller.log" 2>&1 &
  controller=$!

  kubectl create --namespace kube-system --filename "$here/../../deploy/kustomize/base/service.yaml" >/dev/null
  # The Pod is never run; that it owns the address is what the proxy asks for.
  kubectl create --filename - >/dev/null <<END
apiVersion: v1
kind: Pod
metadata: {name: controller, namespace: kube-system}
spec: {containers: [{name: controller, image: none}], automountServiceAccountToken: false}
END
  kubectl --namespace kube-system patch pod controller --subresource status --type merge \
    --patch "{\"status\": {\"phase\": \"Running\", \"podIP\": \"$address\", \"podIPs\": [{\"ip\": \"$address\"}]}}" >/dev/null

  # Before there is somebody behind the Service.
  local status=0
  "$bulla" cert 2>"$folder/refused" >&2 || status=$?
  [ "$status" = 213 ] || fail "with no controller: exit code $status, not 213: $(cat "$folder/refused")"
  grep -qE 'cannot be fetched: (404|503) .*not running or not ready' <(tr '\n' ' ' <"$folder/refused") || fail "no reason: $(cat "$folder/refused")"

  kubectl create --filename - >/dev/null <<END
apiVersion: v1
kind: Endpoints
metadata: {name: sealed-secrets-controller, namespace: kube-system}
subsets:
- addresses: [{ip: $address, targetRef: {kind: Pod, name: controller, namespace: kube-system}}]
  ports: [{port: 8080}]
END
  eventually 60 "the controller is ready, asked through the proxy" \
    kubectl get --raw /api/v1/namespaces/kube-system/services/http:sealed-secrets-controller:/proxy/readyz

  "$bulla" cert >"$folder/by-bulla.pem"
  "$kubeseal" --fetch-cert >"$folder/by-kubeseal.pem"
  grep -q 'BEGIN CERTIFICATE' "$folder/by-bulla.pem" || fail "bulla fetched no certificate"
  cmp "$folder/by-bulla.pem" "$folder/by-kubeseal.pem" || fail "bulla and kubeseal fetched different certificates"

  # Sealed by each with what the proxy gives, opened by the controller behind it.
  kubectl create secret generic by-bulla --from-literal key=value --dry-run=client --output yaml >"$folder/secret.yaml"
  "$bulla" seal --namespace default "$folder/secret.yaml" | kubectl create --filename - >/dev/null
  sed 's/by-bulla/by-kubeseal/' "$folder/secret.yaml" | "$kubeseal" --namespace default | kubectl create --filename - >/dev/null
  opened() { [ "$(kubectl get secret "$1" --output 'jsonpath={.data.key}')" = dmFsdWU= ]; }
  eventually 60 "the Secret that bulla sealed" opened by-bulla
  eventually 60 "the Secret that kubeseal sealed" opened by-kubeseal

  # Who may not use the proxy is told what is missing.
  kubectl create serviceaccount nobody >/dev/null
  kubectl create role service --verb get --resource services --namespace kube-system >/dev/null
  kubectl create rolebinding nobody --role service --serviceaccount default:nobody --namespace kube-system >/dev/null
  kubectl config view --raw --minify >"$folder/nobody"
  kubectl --kubeconfig "$folder/nobody" config set-credentials nobody --token "$(kubectl create token nobody)" >/dev/null
  kubectl --kubeconfig "$folder/nobody" config set-context --current --user nobody >/dev/null
  status=0
  "$bulla" cert --kubeconfig "$folder/nobody" 2>"$folder/refused" >&2 || status=$?
  [ "$status" = 213 ] || fail "without the right to use the proxy: exit code $status, not 213: $(cat "$folder/refused")"
  grep -q 'get. on .services/proxy' "$folder/refused" || fail "the missing right is not named: $(cat "$folder/refused")"
}

case $#:${1:-} in
  2:*) own_network && exec "${network[@]}" bash "$0" inside "$1" "$2" ;;
  3:inside) inside "$2" "$3" ;;
  *) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
