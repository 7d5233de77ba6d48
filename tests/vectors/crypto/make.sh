#!/bin/sh
# Makes the vectors in value/ and hybrid/ with the real sops, age, kubeseal and openssl, which must be in PATH (tests/peers builds
# the first three). All keys are made for this and thrown away. Each vector names the command that made it.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HOME="$work" XDG_CONFIG_HOME="$work"
sops="sops $(sops --version --disable-version-check | head -1 | cut -d' ' -f2)"
kubeseal="kubeseal $(kubeseal --version | sed 's/.*v//')"

# --- values: sops -------------------------------------------------------------------------------------------------------------------
rm -rf value && mkdir value
age-keygen -o "$work/key" 2> /dev/null
recipient=$(age-keygen -y "$work/key")
export SOPS_AGE_KEY_FILE="$work/key"

# value NAME PLAIN COMMENT FLAGS…: encrypts PLAIN; the plaintext stands in the vector as the last line of the header.
value() {
    name=$1 plain=$2 comment=$3
    shift 3
    printf '%s' "$plain" > "$work/plain.json"
    sops --indent 0 "$@" encrypt --age "$recipient" "$work/plain.json" > "$work/encrypted.json"
    sops decrypt "$work/encrypted.json" > /dev/null
    {
        echo "expect: success"
        echo "comment: $comment"
        echo "made by: $sops, sops --indent 0 $* encrypt --age RECIPIENT plain.json" | tr -s ' '
        echo "data key: $(jq -r '.sops.age[0].enc' "$work/encrypted.json" | age -d -i "$work/key" | od -An -tx1 | tr -d ' \n')"
        printf 'plain: %s\n' "$plain"
        echo
        cat "$work/encrypted.json"
    } > "value/$name"
}

# refused NAME COMMENT FILTER: changes the vector `types` with a jq filter; sops must refuse it, too.
refused() {
    sed '1,/^$/d' value/types | jq -c "$3" > "$work/changed.json"
    if sops decrypt "$work/changed.json" > /dev/null 2>&1; then echo "sops accepts $1" >&2 && exit 1; fi
    {
        echo "expect: $4"
        echo "comment: $2"
        sed -n '/^made by/p;/^data key/p' value/types | sed "s/^made by: .*/&; then jq '$(printf '%s' "$3" | sed 's/[&/\]/\\&/g')'/"
        echo
        cat "$work/changed.json"
    } > "value/$1"
}

value types '{"s":"hello","u":"é😀","i":42,"neg":-7,"f":1.5,"big":1e21,"small":1e-7,"t":true,"no":false,"n":null,"e":"","l":["a",["b"],{"x":"y"}],"m":{"a:b":"c"}}' 'every type that JSON has'
value unencrypted '{"a":"1","b_unencrypted":"2","c_unencrypted":{"d":"3"}}' 'values left readable are in the MAC'
value mac_only_encrypted '{"a":"1","b_unencrypted":"2","c":"3"}' 'values left readable are not in the MAC' --mac-only-encrypted
value long "{\"key\":\"$(head -c 3000 /dev/zero | tr '\0' x)\",\"line\":\"a\\nb\\n\"}" 'longer than what is encrypted on the stack'
value nested '{"a":{"b":{"c":[[{"d":"e"},"f"],"g"]}},"":"empty key"}' 'an index adds nothing to the path'

refused moved 'a value under the path of another' '.s = .u' 'authentication failed'
refused data_flipped 'the first digit of the data was changed' '.s |= sub("data:(?<d>.)"; "data:" + if .d == "A" then "B" else "A" end)' 'authentication failed'
refused iv_other 'the nonce of another value' '(.u | capture("iv:(?<i>[^,]+)").i) as $i | .s |= sub("iv:[^,]+"; "iv:" + $i)' 'authentication failed'
refused tag_cut 'a tag of 15 bytes' '.s |= sub("tag:[^,]+"; "tag:AAAAAAAAAAAAAAAAAAAA")' 'authentication failed'
refused tag_padding 'the padding of the tag is missing' '.s |= sub("==,type"; ",type")' 'base64 of tag'
refused data_blank 'a blank in the data' '.s |= sub("data:"; "data: ")' 'base64 of data'
refused iv_letters 'the nonce is not base64' '.s |= sub("iv:[^,]+"; "iv:-_-_")' 'base64 of iv'
refused type_unknown 'a type that does not exist' '.s |= sub("type:str"; "type:null")' 'unknown type'
refused type_case 'types are lower case' '.s |= sub("type:str"; "type:Str")' 'unknown type'
refused not_encrypted 'plaintext where a value should be encrypted' '.s = "hello"' 'not encrypted'
refused data_empty 'no data at all' '.s |= sub("data:[^,]+"; "data:")' 'not encrypted'

# --- hybrid: kubeseal ---------------------------------------------------------------------------------------------------------------
rm -rf hybrid && mkdir hybrid

# hybrid NAME BITS LABEL PLAIN COMMENT FLAGS…
hybrid() {
    name=$1 bits=$2 label=$3 plain=$4 comment=$5
    shift 5
    openssl genrsa -traditional -out "$work/tls.key" "$bits" 2> /dev/null
    openssl req -x509 -new -key "$work/tls.key" -subj / -days 3650 -out "$work/tls.crt"
    printf '%s' "$plain" > "$work/plain"
    {
        echo "expect: success"
        echo "comment: $comment"
        echo "made by: $kubeseal, kubeseal --raw --cert tls.crt --from-file plain $*"
        echo "label: $label"
        echo "fingerprint: $(ssh-keygen -y -f "$work/tls.key" | ssh-keygen -lf - | cut -d' ' -f2)"
        echo "plain: $(od -An -tx1 -v "$work/plain" | tr -d ' \n')"
        echo "sealed: $(kubeseal --raw --cert "$work/tls.crt" --from-file "$work/plain" "$@")"
        echo
        cat "$work/tls.key"
    } > "hybrid/$name"
}

# wrong NAME OF EXPECT COMMENT SED: the vector OF with a fault.
wrong() {
    sed -e "s/^expect: .*/expect: $3/" -e "s/^comment: .*/comment: $4/" -e "$5" "hybrid/$2" > "hybrid/$1"
}

hybrid strict 2048 shop/database 'correct horse' 'strict scope: the label is namespace/name' --namespace shop --name database
hybrid namespace_wide 2048 shop 'battery' 'the label is the namespace' --namespace shop --scope namespace-wide
hybrid cluster_wide 2048 '' 'staple' 'the label is empty, which is a label too' --scope cluster-wide
hybrid empty 2048 shop/empty '' 'an empty value' --namespace shop --name empty
hybrid default_size 4096 shop/database "$(head -c 5000 /dev/zero | tr '\0' y)" 'the size of the controller' --namespace shop --name database
openssl pkcs8 -topk8 -nocrypt -in "$work/tls.key" -out "$work/pkcs8.key"
{ sed '/^$/q' hybrid/default_size | sed 's/^comment: .*/comment: the same key as PKCS#8/'; cat "$work/pkcs8.key"; } > hybrid/pkcs8
hybrid odd_size 3072 shop/database 'value' 'a size between' --namespace shop --name database

wrong other_name strict 'not for this key or label' 'opened under another name' 's,^label: .*,label: shop/databases,'
wrong other_scope strict 'not for this key or label' 'opened as if it were cluster-wide' 's,^label: .*,label: ,'
wrong namespace_as_strict namespace_wide 'not for this key or label' 'opened as if it were strict' 's,^label: .*,label: shop/database,'
wrong truncated strict 'truncated' 'cut within the RSA part' 's,^\(sealed: .\{200\}\).*,\1,'
wrong nothing strict 'truncated' 'nothing at all' 's,^sealed: .*,sealed: ,'
wrong tag_cut empty 'truncated' 'the last three bytes are missing' 's,^\(sealed: .*\)....$,\1,'
wrong rsa_changed strict 'not for this key or label' 'a changed digit in the RSA part' 's,^\(sealed: .\{100\}\)..\(.*\),\1AA\2,'
wrong value_changed default_size 'damaged' 'changed digits in the value' 's,^\(sealed: .\{1000\}\)....\(.*\),\1AAAA\2,'
sealed=$(sed -n 's/^sealed: //p' hybrid/default_size)
{ sed -e 's/^expect: .*/expect: other key size/' -e 's/^comment: .*/comment: sealed for a key of 4096 bits/' hybrid/strict | sed "s,^sealed: .*,sealed: $sealed,"; } > hybrid/other_size
sealed=$(sed -n 's/^sealed: //p' hybrid/namespace_wide)
{ sed -e 's/^expect: .*/expect: not for this key or label/' -e 's/^comment: .*/comment: sealed for another key of the same size/' hybrid/strict | sed "s,^sealed: .*,sealed: $sealed,"; } > hybrid/other_key
