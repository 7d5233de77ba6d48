// vault is HashiCorp Vault's own core and HTTP API, in memory and unsealed, with the engines that the tests need: kv (version 2
// at secret/), transit, and the authentication methods token, approle and kubernetes. The whole program compiles 2,588 packages,
// this one 1,100 (stubs/ stands in for SDKs of clouds that it never calls); the code that answers requests is the same.
//
//	vault -token root
//
// It listens on two free ports of the loopback address, once with TLS, tells where in one line of JSON, and ends when its
// standard input does.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/hashicorp/go-hclog"
	aead "github.com/hashicorp/go-kms-wrapping/v2/aead"
	kubernetes "github.com/hashicorp/vault-plugin-auth-kubernetes"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	"github.com/hashicorp/vault/builtin/credential/approle"
	"github.com/hashicorp/vault/builtin/logical/transit"
	"github.com/hashicorp/vault/helper/namespace"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
	"github.com/hashicorp/vault/vault/seal"
)

func main() {
	token := flag.String("token", "root", "root token")
	level := flag.String("log-level", "error", "log level")
	flag.Parse()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	if err := run(*token, *level); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(token, level string) error {
	ctx := namespace.RootContext(context.Background())
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	encrypted, certificate, err := listenTLS()
	if err != nil {
		return err
	}
	core, rootToken, err := newCore(ctx, "http://"+plain.Addr().String(), token, level)
	if err != nil {
		return err
	}
	do := func(path string, data map[string]any) error {
		response, err := core.HandleRequest(ctx, &logical.Request{ID: path, Operation: logical.UpdateOperation, ClientToken: rootToken, Path: path, Data: data})
		if err == nil && response.IsError() {
			err = response.Error()
		}
		return err
	}
	if err := do("auth/token/create", map[string]any{"id": token, "policies": []string{"root"}, "no_parent": true, "no_default_policy": true}); err != nil {
		return err
	}
	if err := do("sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]string{"version": "2"}}); err != nil {
		return err
	}
	serve := func(listener net.Listener) error {
		address := listener.Addr().String()
		properties := &vault.HandlerProperties{Core: core, ListenerConfig: &configutil.Listener{Address: address, TLSDisable: listener == plain}}
		return http.Serve(listener, vaulthttp.Handler.Handler(properties))
	}
	failed := make(chan error)
	for _, listener := range []net.Listener{plain, encrypted} {
		go func() { failed <- serve(listener) }()
	}
	ready := map[string]string{"http": "http://" + plain.Addr().String(), "https": "https://" + encrypted.Addr().String(), "certificate": certificate}
	if err := json.NewEncoder(os.Stdout).Encode(ready); err != nil {
		return err
	}
	return <-failed
}

// newCore gives a core that is initialised and unsealed, and the token that may do anything in it.
func newCore(ctx context.Context, address, token, level string) (*vault.Core, string, error) {
	log := hclog.New(&hclog.LoggerOptions{Name: "vault", Level: hclog.LevelFromString(level), Output: os.Stderr})
	storage, err := inmem.NewInmem(nil, log)
	if err != nil {
		return nil, "", err
	}
	access, err := seal.NewAccessFromWrapper(log, aead.NewShamirWrapper(), vault.SealConfigTypeShamir.String())
	if err != nil {
		return nil, "", err
	}
	methods := map[string]logical.Factory{"approle": approle.Factory, "kubernetes": kubernetes.Factory}
	engines := map[string]logical.Factory{"kv": kv.Factory, "transit": transit.Factory}
	core, err := vault.NewCore(&vault.CoreConfig{
		Physical: storage, StorageType: "inmem", RedirectAddr: address, Seal: vault.NewDefaultSeal(access),
		LogicalBackends: engines, CredentialBackends: methods, BuiltinRegistry: registry{engines, methods},
		DisableMlock: true, Logger: log, DevToken: token,
	})
	if err != nil {
		return nil, "", err
	}
	barrier := &vault.SealConfig{SecretShares: 1, SecretThreshold: 1, StoredShares: 1, Name: "shamir"}
	initialised, err := core.Initialize(ctx, &vault.InitParams{BarrierConfig: barrier})
	if err != nil {
		return nil, "", err
	}
	for _, share := range initialised.SecretShares {
		if _, err := core.Unseal(append([]byte(nil), share...)); err != nil {
			return nil, "", err
		}
	}
	return core, initialised.RootToken, nil
}

// listenTLS listens with a certificate for 127.0.0.1 that is its own authority, and gives that as PEM.
func listenTLS() (net.Listener, string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "vault of a test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, "", err
	}
	config := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}}}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	return listener, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})), err
}

// registry tells the core which plugins are built in.
type registry struct{ engines, methods map[string]logical.Factory }

func (r registry) of(kind consts.PluginType) map[string]logical.Factory {
	switch kind {
	case consts.PluginTypeSecrets:
		return r.engines
	case consts.PluginTypeCredential:
		return r.methods
	}
	return nil
}

func (r registry) Contains(name string, kind consts.PluginType) bool { return r.of(kind)[name] != nil }

func (r registry) Get(name string, kind consts.PluginType) (func() (any, error), bool) {
	factory, found := r.of(kind)[name]
	return func() (any, error) { return factory, nil }, found
}

func (r registry) Keys(kind consts.PluginType) (names []string) {
	for name := range r.of(kind) {
		names = append(names, name)
	}
	return names
}

func (r registry) DeprecationStatus(name string, kind consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, r.Contains(name, kind)
}

func (registry) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }
