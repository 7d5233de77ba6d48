#!/bin/bash
# Makes the vectors in unwrap/ with the real age, age-keygen, age-plugin-batchpass (which encrypts identity files with a passphrase
# without a terminal), sops and ssh-keygen; all must be in PATH. All keys are made for this and thrown away.
#
# A vector: what to unwrap (== enc), and the identities to do it with (== age keys, == ssh key), as the user has them.
#   expect: success | no match | damaged | malformed | no identity
#   secret: the data key in hex        passphrase: what the person answers        asked: how often they are asked (0 if not given)
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HOME="$work" XDG_CONFIG_HOME="$work" AGE_PASSPHRASE='correct horse' AGE_PASSPHRASE_WORK_FACTOR=12
age="age $(age --version | sed 's/v//')"
sops="sops $(sops --version --disable-version-check | head -1 | cut -d' ' -f2)"
rm -rf unwrap && mkdir unwrap

secret=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
echo "$secret" | xxd -r -p > "$work/secret"

# vector NAME EXPECT COMMENT MADE_BY HEADERS SECTION FILE ENC
vector() {
    {
        echo "expect: $2"
        echo "comment: $3"
        echo "made by: $4"
        if [ "$2" = success ]; then echo "secret: $secret"; fi
        if [ -n "$5" ]; then echo "$5"; fi
        echo
        echo "== $6"
        cat "$7"
        echo "== enc"
        cat "$8"
    } > "unwrap/$1"
}

encrypt() { age -a -r "$1" "$work/secret" > "$work/enc"; }

# --- native identities
age-keygen -o "$work/x25519" 2> /dev/null
age-keygen -pq -o "$work/pq" 2> /dev/null
age-keygen -o "$work/other" 2> /dev/null
age-keygen -pq -o "$work/other_pq" 2> /dev/null
encrypt "$(age-keygen -y "$work/x25519")"
cp "$work/enc" "$work/enc_x25519"
vector x25519 success 'the usual case' "$age, age -a -r RECIPIENT" '' 'age keys' "$work/x25519" "$work/enc"
vector x25519_other 'no match' 'the identity of somebody else' "$age, age -a -r RECIPIENT" '' 'age keys' "$work/other" "$work/enc"
cat "$work/other_pq" "$work/other" "$work/x25519" > "$work/several"
vector x25519_last success 'the third identity of a file' "$age, age -a -r RECIPIENT" '' 'age keys' "$work/several" "$work/enc"
sed '$d' "$work/enc" > "$work/changed"
vector armor_cut malformed 'the last line is missing' "$age, then sed" '' 'age keys' "$work/x25519" "$work/changed"
# Binary, so that the fault is where it should be: the MAC of the header, the tag of the payload.
age -r "$(age-keygen -y "$work/x25519")" "$work/secret" > "$work/binary"
armored() { { echo '-----BEGIN AGE ENCRYPTED FILE-----'; base64 -w 64 "$1"; echo '-----END AGE ENCRYPTED FILE-----'; } > "$work/changed"; }
python3 - "$work" <<'PYTHON'
import sys
work = sys.argv[1]
data = open(f"{work}/binary", "rb").read()
payload = bytearray(data)
payload[-1] ^= 1
open(f"{work}/payload", "wb").write(payload)
at = data.index(b"--- ") + 4
mac = bytearray(data)
mac[at] = ord("A") if mac[at] != ord("A") else ord("B")
open(f"{work}/mac", "wb").write(mac)
open(f"{work}/version", "wb").write(data.replace(b"org/v1", b"org/v9", 1))
open(f"{work}/line", "wb").write(data.replace(b"-> X25519", b">- X25519", 1))
PYTHON
armored "$work/payload"
vector payload_changed damaged 'a flipped bit in the tag of the payload' "$age, then changed" '' 'age keys' "$work/x25519" "$work/changed"
armored "$work/mac"
vector mac_changed damaged 'a changed digit of the header MAC' "$age, then changed" '' 'age keys' "$work/x25519" "$work/changed"
armored "$work/version"
vector version_unknown malformed 'a version of age that does not exist' "$age, then changed" '' 'age keys' "$work/x25519" "$work/changed"
armored "$work/line"
vector header_changed malformed 'a line of the header that is none' "$age, then changed" '' 'age keys' "$work/x25519" "$work/changed"
encrypt "$(age-keygen -y "$work/pq")"
vector pq success 'post-quantum' "$age, age -a -r RECIPIENT" '' 'age keys' "$work/pq" "$work/enc"
vector pq_other 'no match' 'the post-quantum identity of somebody else' "$age, age -a -r RECIPIENT" '' 'age keys' "$work/other_pq" "$work/enc"
vector pq_x25519 'no match' 'an identity of another kind' "$age, age -a -r RECIPIENT" '' 'age keys' "$work/x25519" "$work/enc"
age -a -r "$(age-keygen -y "$work/x25519")" -r "$(age-keygen -y "$work/other")" "$work/secret" > "$work/enc"
vector two_recipients success 'two recipients in one file, which sops does not write' "$age, age -a -r ONE -r TWO" '' 'age keys' "$work/other" "$work/enc"

# --- what sops wrote
echo '{"a":"b"}' > "$work/plain.json"
for kind in x25519 pq; do
    SOPS_AGE_KEY_FILE="$work/$kind" sops encrypt --age "$(age-keygen -y "$work/$kind")" "$work/plain.json" > "$work/encrypted.json"
    jq -j '.sops.age[0].enc' "$work/encrypted.json" > "$work/enc"
    secret=$(age -d -i "$work/$kind" "$work/enc" | xxd -p -c 64)
    vector "sops_$kind" success 'the data key of a document' "$sops, sops encrypt --age RECIPIENT" '' 'age keys' "$work/$kind" "$work/enc"
done
secret=$(xxd -p -c 64 "$work/secret")

# --- identity files with a passphrase
age -a -e -j batchpass "$work/several" > "$work/locked"
encrypt "$(age-keygen -y "$work/x25519")"
by="$age, AGE_PASSPHRASE=… age -a -e -j batchpass; age -a -r RECIPIENT"
vector locked_file success 'the identity file has a passphrase' "$by" $'passphrase: correct horse\nasked: 1' 'age keys' "$work/locked" "$work/enc"
vector locked_file_wrong 'no identity' 'a wrong passphrase, three times' "$by" $'passphrase: battery staple\nasked: 3' 'age keys' "$work/locked" "$work/enc"
vector locked_file_nobody 'no identity' 'nobody to ask' "$by" 'asked: 1' 'age keys' "$work/locked" "$work/enc"
age -a -r "$(age-keygen -y "$work/other")" "$work/several" > "$work/not_a_passphrase"
vector locked_file_recipient 'no identity' 'an identity file encrypted to a recipient' "$by" $'passphrase: correct horse\nasked: 1' 'age keys' "$work/not_a_passphrase" "$work/enc"
age-keygen -o "$work/fourth" 2> /dev/null
age -a -e -j batchpass "$work/fourth" > "$work/locked_other"
vector locked_file_other 'no match' 'the file with a passphrase has another identity' "$by" $'passphrase: correct horse\nasked: 1' 'age keys' "$work/locked_other" "$work/enc"

# --- SSH
ssh="ssh-keygen of $(ssh -V 2>&1 | cut -d, -f1)"
# ssh NAME EXPECT COMMENT PASSPHRASE HEADERS FLAGS…
ssh_vector() {
    local name=$1 expect=$2 comment=$3 passphrase=$4 headers=$5
    shift 5
    rm -f "$work/ssh" "$work/ssh.pub"
    ssh-keygen -q -N "$passphrase" -C 'somebody@example.org' -f "$work/ssh" "$@"
    cp "$work/ssh" "$work/key_$name"
    encrypt "$(cat "$work/ssh.pub")"
    vector "ssh_$name" "$expect" "$comment" "$ssh, ssh-keygen $*; $age, age -a -r \"\$(cat ssh.pub)\"" "$headers" 'ssh key' "$work/ssh" "$work/enc"
}
locked=$'passphrase: correct horse\nasked: 1'
ssh_vector ed25519 success 'Ed25519' '' '' -t ed25519
ssh_vector rsa_2048 success 'RSA, the smallest' '' '' -t rsa -b 2048
ssh_vector rsa_3072 success 'RSA, the usual size' '' '' -t rsa -b 3072
ssh_vector rsa_8192 success 'RSA, the largest' '' '' -t rsa -b 8192
ssh_vector rsa_pem success 'RSA in the older form' '' '' -t rsa -b 2048 -m PEM
ssh_vector rsa_pkcs8 success 'RSA as PKCS#8' '' '' -t rsa -b 2048 -m PKCS8
ssh_vector ed25519_locked success 'with a passphrase' 'correct horse' "$locked" -t ed25519 -a 4
ssh_vector rsa_locked success 'RSA with a passphrase' 'correct horse' "$locked" -t rsa -b 2048 -a 4
ssh_vector ed25519_cbc success 'the cipher of years ago' 'correct horse' "$locked" -t ed25519 -a 4 -Z aes256-cbc
ssh_vector ed25519_wrong 'no identity' 'a wrong passphrase, three times' 'correct horse' $'passphrase: battery staple\nasked: 3' -t ed25519 -a 4
ssh_vector ed25519_gcm 'no identity' 'a cipher that Go and we do not read' 'correct horse' '' -t ed25519 -a 4 -Z aes256-gcm@openssh.com
ssh_vector rsa_old_encryption 'no identity' 'a passphrase in the old PEM form' 'correct horse' '' -t rsa -b 2048 -m PEM
vector ssh_locked_not_asked 'no match' 'a key with a passphrase that the file does not name is not asked for' "$ssh; $age" '' 'ssh key' "$work/key_ed25519_locked" "$work/enc_x25519"
rm -f "$work/ssh" "$work/ssh.pub"
ssh-keygen -q -N '' -t ecdsa -f "$work/ssh"
vector ssh_ecdsa 'no identity' 'a kind of key that cannot encrypt' "$ssh, ssh-keygen -t ecdsa" '' 'ssh key' "$work/ssh" "$work/enc_x25519"
