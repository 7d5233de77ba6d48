// sealing-oracle seals and opens with Sealed Secrets' own package, many times a second. The protocol is package
// jsonlines'.
//
// "seal" encrypts `input` for the first certificate in `pem`, "open" decrypts it with the private key in `pem`, both with
// `label`; the answer is {"output": ...}.
package main

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"

	"github.com/bitnami/sealed-secrets/pkg/crypto"
	"jsonlines"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

func main() {
	jsonlines.Serve(map[string]jsonlines.Operation{"seal": operation(seal), "open": operation(open)})
}

type request struct {
	PEM   string
	Input []byte
	Label []byte
}

type answer struct {
	Output []byte `json:"output"`
}

func operation(do func(request) ([]byte, error)) jsonlines.Operation {
	return func(line []byte) (any, error) {
		var asked request
		jsonlines.Read(line, &asked)
		output, err := do(asked)
		if err != nil {
			return nil, err
		}
		return answer{output}, nil
	}
}

func seal(asked request) ([]byte, error) {
	certificates, err := cert.ParseCertsPEM([]byte(asked.PEM))
	if err != nil {
		return nil, err
	}
	key, ok := certificates[0].PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, errors.New("not an RSA certificate")
	}
	return crypto.HybridEncrypt(rand.Reader, key, asked.Input, asked.Label)
}

func open(asked request) ([]byte, error) {
	parsed, err := keyutil.ParsePrivateKeyPEM([]byte(asked.PEM))
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("not an RSA private key")
	}
	plaintext, err := crypto.HybridDecrypt(rand.Reader, map[string]*rsa.PrivateKey{"": key}, asked.Input, asked.Label)
	if plaintext == nil {
		plaintext = []byte{} // An empty text opens as nil; nil would be written as null.
	}
	return plaintext, err
}
