#!/usr/bin/env bash
# `make demo`: the four jobs. A developer encrypts (age, AWS KMS, a cluster's key), the cluster decrypts or syncs from Vault, readers
# come and go, plaintext is rejected; with the real sops, kubeseal, kubectl, kube-apiserver and Vault on the other side, and moto for AWS. Every command is printed before it runs. All of it happens in a folder of its own and on
# a control plane of its own; both are gone at the end, also after a failure or Ctrl-C.
#
# Vault takes minutes to build, so the first run goes without it and takes another cluster's Secrets as the store; once `make peers`
# (or `make test`) has built it, it is there. AWS is left out where Python is missing.
#
# Where Go is missing (the real programs are built with it), or Linux, the part that needs no cluster runs, and what was
# left out is said. BULLA=PROGRAM shows that program instead of building one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
repository=$PWD

# --- what runs, what is shown ---------------------------------------------------------------------------------------

if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; else bold='' dim='' plain=''; fi
title() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
note() { printf '%s# %s%s\n' "$dim" "$*" "$plain"; }
fail() { printf 'demo: %s\n' "$*" >&2; exit 1; }

# Prints a command line and runs it.
show() { printf '%s$ %s%s\n' "$bold" "$1" "$plain"; eval "$1"; }

# The same for a command that must be refused.
refused() {
  local status=0
  printf '%s$ %s%s\n' "$bold" "$1" "$plain"
  eval "$1" || status=$?
  [ "$status" != 0 ] || fail "this should have been refused"
  note "refused, exit code $status"
}

# Waits until a command succeeds.
eventually() { # seconds what command...
  local end=$((SECONDS + $1)) what=$2; shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || fail "$what: not within the time"
    sleep 0.1
  done
}

same() { [ "$1" = "$2" ] || fail "$3"; }

controller=
folder=
services=()
finish() {
  local status=$?
  trap - EXIT INT TERM
  [ ${#services[@]} = 0 ] || kill -TERM "${services[@]}" 2>/dev/null || true
  if [ -n "$controller" ]; then
    kill -TERM "$controller" 2>/dev/null || true
    wait "$controller" 2>/dev/null || true
    [ "$status" = 0 ] || { echo "--- the end of the controller's log" >&2; tail -n 20 "$folder/controller.log" >&2; }
  fi
  if [ -n "${BULLA_CONTROL_PLANE:-}" ] && [ -e "$BULLA_CONTROL_PLANE.lock" ]; then
    "$repository/tests/peers/control-plane.sh" down || true
    rm -f "$BULLA_CONTROL_PLANE.lock"
  fi
  [ -z "$folder" ] || rm -rf "$folder"
  [ "$status" = 0 ] || echo "demo: FAILED" >&2
  exit "$status"
}

# --- preparation ----------------------------------------------------------------------------------------------------

started=$SECONDS
checks/prerequisites.sh rust c
cluster=yes left_out=
if ! checks/prerequisites.sh --quiet go cluster; then
  cluster= left_out=$({ checks/prerequisites.sh go cluster 2>&1 || true; } | sed '1d; s/^ *//; s/: .*//' | paste -sd ';' - | sed 's/;/; /g')
fi

trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir -p target/tmp
folder=$(mktemp -d "${TMPDIR:-/tmp}/bulla-demo.XXXXXX")

title "Building (the first time takes minutes, after that this is a check)"
peers_build=
if [ -n "$cluster" ]; then
  note "the real programs, with Go: sops, age, kubeseal, kubectl, kube-apiserver, etcd"
  aws=
  if checks/prerequisites.sh --quiet python; then aws=moto; fi
  # shellcheck disable=SC2086
  tests/peers/build.sh tools controlplane $aws >"$folder/peers.log" 2>&1 &
  peers_build=$!
fi
if [ -z "${BULLA:-}" ]; then
  # The profile of `make test`, so that neither builds what the other has built.
  show "cargo build --quiet --package bulla"
  BULLA=${CARGO_TARGET_DIR:-$repository/target}/debug/bulla
fi
if [ -n "$peers_build" ]; then
  wait "$peers_build" || { cat "$folder/peers.log" >&2; fail "the real programs could not be built"; }
  tools=$(tests/peers/build.sh --path tools)/bin
  programs=$(tests/peers/build.sh --path controlplane)/bin
  export PATH=$tools:$programs:$PATH
  [ -z "$aws" ] || aws=$(tests/peers/build.sh --path moto)
  vault=$(tests/peers/build.sh --path vault 2>/dev/null) || vault=
fi
mkdir "$folder/bin"
ln -s "$BULLA" "$folder/bin/bulla"
export PATH=$folder/bin:$PATH

export BULLA_CACHE=${BULLA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/bulla}
# Nothing of the user's own: no keys, no Git configuration, no cluster.
export HOME=$folder/home XDG_CONFIG_HOME=$folder/home/.config GIT_CONFIG_NOSYSTEM=1 GIT_PAGER=cat
unset ${!AWS_*} ${!VAULT_*} KUBECONFIG SOPS_AGE_KEY SOPS_AGE_KEY_FILE SOPS_AGE_KEY_CMD SOPS_AGE_RECIPIENTS SOPS_CONFIG
mkdir -p "$HOME" "$folder/shop"
cd "$folder/shop"
git init -q -b main . && git config user.name developer && git config user.email developer@example.com
built=$SECONDS

if [ -n "$cluster" ]; then
  title "Starting a real control plane on loopback: etcd, kube-apiserver, garbage collector"
  # Beside the one that tests or people may be using.
  export BULLA_CONTROL_PLANE=$repository/target/tmp/control-plane-demo-$$
  "$repository/tests/peers/control-plane.sh" up >/dev/null
  export KUBECONFIG=$BULLA_CONTROL_PLANE/kubeconfig
  show "kubectl create namespace shop"
fi

# Starts a program that says on its first line where it listens, and ends when its input closes.
serve() { # name command...
  local name=$1; shift
  mkfifo "$folder/$name.input"
  "$@" <"$folder/$name.input" >"$folder/$name.log" 2>&1 &
  services+=($!)
  # Held open for as long as this runs.
  exec {held}>"$folder/$name.input"
  said() { grep -q '"http"' "$folder/$name.log"; }
  eventually 60 "$name is ready" said
  sed -n 's/.*"http": *"\([^"]*\)".*/\1/p' "$folder/$name.log" | head -n 1
}

# One call to AWS, signed by nobody: moto does not mind.
aws_call() { # service target body
  curl --silent --fail "$AWS_ENDPOINT_URL" --header "X-Amz-Target: $2" --header 'Content-Type: application/x-amz-json-1.1' \
    --header "Authorization: AWS4-HMAC-SHA256 Credential=demo/20260101/$AWS_REGION/$1/aws4_request, SignedHeaders=host, Signature=x" --data "$3"
}

# --- first road: SOPS files -----------------------------------------------------------------------------------------

title "First road: a SOPS file"
note "an age key for the developer; only its public half is needed to encrypt"
show "bulla keygen age --output ../developer.key"
export SOPS_AGE_KEY_FILE=$folder/developer.key
recipient=$(sed -n 's/^# public key: //p' "$SOPS_AGE_KEY_FILE")

cat >database.yaml <<'YAML'
# Database of the shop. Ask the payments team before changing the user.
apiVersion: v1
kind: Secret
metadata:
  name:      database     # read by the deployment `shop`
  namespace: shop
stringData:
  user: 'shop'
  password: "correct horse battery staple"
  # rotated every quarter
  url: >-
    postgres://shop@database.shop.svc
YAML
cp database.yaml ../original.yaml
show "cat database.yaml"

show "bulla encrypt --age $recipient --encrypted-regex '^(data|stringData)\$' --in-place database.yaml"
note "every byte outside of the values is as it was; the block \`sops:\` is new"
show "sed -e 's/\(data:........\)[^,]*/\1…/' -e 's/\(iv:....\)[^,]*/\1…/' -e 's/\(tag:....\)[^,]*/\1…/' -e 's/~.*/~…/' database.yaml"
git add database.yaml && git commit -q -m "shop: the database's secret"

note "one value changes: its line, the MAC and the date"
show "printf 'a new password' | bulla set database.yaml '[\"stringData\"][\"password\"]'"
show "git diff --unified=0 database.yaml | cut -c 1-100"
git commit -q -a -m "shop: another password"

if [ -n "$cluster" ]; then
  note "the real sops reads what bulla wrote, and bulla what sops writes"
  show "sops decrypt --extract '[\"stringData\"][\"password\"]' database.yaml; echo"
  cp database.yaml by-sops.yaml
  show "sops set by-sops.yaml '[\"stringData\"][\"user\"]' '\"shop-2\"'"
  show "bulla decrypt by-sops.yaml | grep user:"
  rm by-sops.yaml

  note "and the cluster gets it"
  show "bulla decrypt database.yaml | kubectl apply -f -"
  show "kubectl -n shop get secret database -o jsonpath='{.data.password}' | base64 -d; echo"
  same "$(kubectl -n shop get secret database -o jsonpath='{.data.password}' | base64 -d)" "a new password" "the cluster holds another password"
fi

if [ -n "$cluster" ] && [ -n "$aws" ]; then
  title "The same with a key of AWS KMS (moto stands for AWS)"
  serve moto "$aws/bin/python" -I -B "$aws/bin/server.py" >"$folder/moto.address"
  AWS_ENDPOINT_URL=$(cat "$folder/moto.address")
  export AWS_ENDPOINT_URL AWS_REGION=eu-west-1 AWS_ACCESS_KEY_ID=AKIADEMO AWS_SECRET_ACCESS_KEY=demo
  key=$(aws_call kms TrentService.CreateKey '{}' | sed -n 's/.*"Arn": *"\([^"]*\)".*/\1/p')
  cp ../original.yaml by-kms.yaml
  show "bulla encrypt --kms $key --age $recipient --encrypted-regex '^stringData\$' --in-place by-kms.yaml"
  note "either key opens it; here the one in KMS, with the real sops and without the age key"
  show "SOPS_AGE_KEY_FILE=/dev/null sops decrypt --extract '[\"stringData\"][\"user\"]' by-kms.yaml; echo"
  show "SOPS_AGE_KEY_FILE=/dev/null bulla decrypt by-kms.yaml | diff - ../original.yaml && echo identical"
  rm by-kms.yaml
fi

note "back to the first password: what was encrypted comes back byte for byte"
show "printf 'correct horse battery staple' | bulla set database.yaml '[\"stringData\"][\"password\"]'"
show "bulla decrypt database.yaml | diff - ../original.yaml && echo identical"

# --- second road: SealedSecrets -------------------------------------------------------------------------------------

cat >../api.yaml <<'YAML'
apiVersion: v1
kind: Secret
metadata:
  name: api
  namespace: shop
stringData:
  token: s3cr3t-t0k3n   # of the payment provider
YAML

if [ -n "$cluster" ]; then
  title "Second road: a SealedSecret and its controller"
  show "kubectl apply -k $repository/deploy/crds"
  show "kubectl apply --server-side -k $repository/deploy/crds/external-secrets"
  show "kubectl wait --for=condition=Established --timeout=30s crd/sealedsecrets.bitnami.com crd/externalsecrets.external-secrets.io crd/secretstores.external-secrets.io"
  show "kubectl create namespace sealing"
  # A free port is not known before; the controller is asked on the one that it got.
  port=$((20000 + RANDOM % 12000))
  note "the controller makes its key and serves the certificate"
  printf '%s$ %s%s\n' "$bold" "bulla controller --kubeconfig \$KUBECONFIG --namespace sealing --listen 127.0.0.1:$port --external-secrets &" "$plain"
  bulla controller --kubeconfig "$KUBECONFIG" --namespace sealing --listen "127.0.0.1:$port" --listen-metrics none --external-secrets >"$folder/controller.log" 2>&1 &
  controller=$!
  ready() { kill -0 "$controller" && bash -c "exec 3<>/dev/tcp/127.0.0.1/$port; printf 'GET /readyz HTTP/1.0\r\n\r\n' >&3; head -n 1 <&3 | grep -q ' 200'"; }
  eventually 60 "the controller is ready" ready
  show "bulla cert --url http://127.0.0.1:$port/v1/cert.pem --output ../cert.pem"

  show "bulla seal --cert ../cert.pem ../api.yaml > api.sealed.yaml"
  show "cut -c 1-100 api.sealed.yaml"
  note "the real kubeseal seals for our controller too"
  show "sed 's/name: api/name: api-by-kubeseal/' ../api.yaml | kubeseal --cert ../cert.pem --format yaml > kubeseal.sealed.yaml"
  show "kubectl apply -f api.sealed.yaml -f kubeseal.sealed.yaml"
  show "kubectl -n shop wait --for=condition=Synced --timeout=30s sealedsecret/api sealedsecret/api-by-kubeseal"
  show "kubectl -n shop get secrets,sealedsecrets"
  for name in api api-by-kubeseal; do
    show "kubectl -n shop get secret $name -o jsonpath='{.data.token}' | base64 -d; echo"
    same "$(kubectl -n shop get secret $name -o jsonpath='{.data.token}' | base64 -d)" "s3cr3t-t0k3n" "the cluster holds another token"
  done

  note "deleted by hand, it comes back"
  before=$(kubectl -n shop get secret api -o jsonpath='{.metadata.uid}')
  show "kubectl -n shop delete secret api"
  came_back() { [ "$(kubectl -n shop get secret api -o jsonpath='{.metadata.uid}')" != "$before" ]; }
  eventually 30 "the Secret is there again" came_back
  show "kubectl -n shop get secret api"
else
  title "Second road: a SealedSecret, opened offline"
  show "bulla keygen sealing --key ../key.pem --cert ../cert.pem"
  show "bulla seal --cert ../cert.pem ../api.yaml > api.sealed.yaml"
  show "cut -c 1-100 api.sealed.yaml"
  show "bulla unseal --private-key ../key.pem api.sealed.yaml"
fi

# --- external stores ------------------------------------------------------------------------------------------------

if [ -n "$cluster" ]; then
  if [ -n "$vault" ]; then
    title "Values from Vault: the cluster syncs what Git only refers to"
    serve vault "$vault/bin/vault" -token root >"$folder/vault.address"
    address=$(cat "$folder/vault.address")
    in_vault() { curl --silent --fail --header 'X-Vault-Token: root' --data "$2" "$address/v1/$1" >/dev/null; }
    put() { in_vault secret/data/shop/payments "{\"data\": {\"user\": \"shop\", \"password\": \"$1\"}}"; }
    put "from the store"
    show "kubectl -n shop create secret generic vault-token --from-literal=token=root"
    cat >store.yaml <<YAML
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: store, namespace: shop}
spec:
  provider:
    vault:
      server: $address
      path: secret
      auth: {tokenSecretRef: {name: vault-token, key: token}}
YAML
    reference=shop/payments
  else
    title "Values from another store: the cluster syncs what Git only refers to"
    note "Vault is not built yet (make peers): here the store is a namespace of a cluster"
    show "kubectl create namespace vault"
    put() { kubectl -n vault create secret generic payments --from-literal=user=shop --from-literal=password="$1" --dry-run=client -o yaml | kubectl apply -f - >/dev/null; }
    put "from the store"
    show "kubectl -n shop create serviceaccount reader"
    show "kubectl -n vault create rolebinding reader --clusterrole=admin --serviceaccount=shop:reader"
    show "kubectl -n shop create configmap ca --from-file=ca.crt=$BULLA_CONTROL_PLANE/certificates/ca.crt"
    cat >store.yaml <<YAML
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: store, namespace: shop}
spec:
  provider:
    kubernetes:
      remoteNamespace: vault
      server: {url: "$(kubectl config view -o jsonpath='{.clusters[0].cluster.server}')", caProvider: {type: ConfigMap, name: ca, key: ca.crt}}
      auth: {serviceAccount: {name: reader}}
YAML
    reference=payments
  fi
  cat >payments.yaml <<YAML
apiVersion: external-secrets.io/v1beta1   # v1 as well
kind: ExternalSecret
metadata: {name: payments, namespace: shop}
spec:
  secretStoreRef: {name: store}
  refreshInterval: 2s
  target:
    template:
      data:
        url: "https://{{ .user }}:{{ .password | urlquery }}@payments"
  dataFrom:
  - extract: {key: $reference}
YAML
  show "cat payments.yaml"
  show "kubectl apply -f store.yaml -f payments.yaml"
  show "kubectl -n shop wait --for=condition=Ready --timeout=30s externalsecret/payments"
  show "kubectl -n shop get secret payments -o jsonpath='{.data.url}' | base64 -d; echo"
  same "$(kubectl -n shop get secret payments -o jsonpath='{.data.url}' | base64 -d)" "https://shop:from+the+store@payments" "the cluster holds something else"
  note "another password in the store: two seconds later the cluster has it"
  put "another one"
  renewed() { [ "$(kubectl -n shop get secret payments -o jsonpath='{.data.url}' | base64 -d)" = "https://shop:another+one@payments" ]; }
  eventually 30 "the new password is in the Secret" renewed
  show "kubectl -n shop get secret payments -o jsonpath='{.data.url}' | base64 -d; echo"
  note "a key that the store does not have: the object says so"
  show "sed -e 's/name: payments,/name: refunds,/' -e 's/key: .*}/key: nobody}/' payments.yaml | kubectl apply -f -"
  show "kubectl -n shop wait --for=condition=Ready=false --timeout=30s externalsecret/refunds"
  show "kubectl -n shop get externalsecret"
  show "kubectl -n shop get externalsecret refunds -o jsonpath='{.status.conditions[0].message}'; echo"
fi

# --- what is refused ------------------------------------------------------------------------------------------------

title "What was changed is refused"
note "one value of the SOPS file is replaced by an older one of the same file, which is valid by itself: the MAC sees it"
old=$(git show HEAD:database.yaml | grep 'password:')
awk -v old="$old" '/password:/ { print old; next } { print }' database.yaml >rolled-back.yaml
refused "bulla decrypt rolled-back.yaml"
note "one character of a value"
awk '/user:/ { sub(/data:./, "data:" (substr($0, index($0, "data:") + 5, 1) == "A" ? "B" : "A")) } { print }' database.yaml >flipped.yaml
cp flipped.yaml before.yaml
refused "bulla decrypt --in-place flipped.yaml"
show "cmp flipped.yaml before.yaml && echo 'nothing was written'"

if [ -n "$cluster" ]; then
  note "a SealedSecret copied to another name: it was sealed for \`shop/api\` only"
  show "sed 's/name: api\$/name: stolen/' api.sealed.yaml | kubectl apply -f -"
  show "kubectl -n shop wait --for=condition=Synced=false --timeout=30s sealedsecret/stolen"
  show "kubectl -n shop get sealedsecret stolen -o jsonpath='{.status.conditions[0].type}={.status.conditions[0].status}: {.status.conditions[0].message}'; echo"
  refused "kubectl -n shop get secret stolen"
else
  note "a SealedSecret copied to another name: it was sealed for \`shop/api\` only"
  sed 's/name: api$/name: stolen/' api.sealed.yaml >stolen.sealed.yaml
  refused "bulla unseal --private-key ../key.pem stolen.sealed.yaml"
fi

# --- who reads it ---------------------------------------------------------------------------------------------------

title "A reader leaves: rotate"
show "bulla keygen age --output ../colleague.key"
colleague=$(sed -n 's/^# public key: //p' ../colleague.key)
cat >.sops.yaml <<YAML
creation_rules:
- path_regex: \.yaml\$
  encrypted_regex: ^(data|stringData)\$
  age: $recipient,$colleague
YAML
show "cat .sops.yaml"
show "bulla rotate database.yaml"
show "SOPS_AGE_KEY_FILE=../colleague.key bulla decrypt database.yaml | grep user:"
show "sed -i 's/,age1.*//' .sops.yaml"
refused "bulla rotate --check database.yaml"
show "bulla rotate database.yaml"
refused "SOPS_AGE_KEY_FILE=../colleague.key bulla decrypt database.yaml"
git add -A && git commit -q -m "shop: one reader less"

# --- plaintext ------------------------------------------------------------------------------------------------------

title "Plaintext is rejected: check"
cp ../original.yaml plaintext.yaml
git add plaintext.yaml
refused "bulla check --staged"
show "bulla check --staged --fix"
show "git diff --cached --stat"

if [ -n "$cluster" ]; then
  title "What the cluster holds now"
  show "kubectl -n shop get secrets -o custom-columns=NAME:.metadata.name,TYPE:.type,OWNER:.metadata.ownerReferences[0].kind"
else
  title "Left out"
  echo "Everything that needs the real programs: sops and kubeseal on the other side, and the cluster, where"
  echo "\`bulla controller\` makes Secrets of SealedSecrets. For that this machine needs: $left_out."
fi
printf '\ndemo: done in %d s, of which building took %d s\n' $((SECONDS - started)) $((built - started))
