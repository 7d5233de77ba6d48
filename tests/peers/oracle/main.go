// oracle says what the real libraries make of an input: go-yaml and the stores of SOPS, Go's regular expressions and JSON, GJSON.
// Our own code must agree with every answer. The protocol is package jsonlines'; each operation is described where it
// is implemented.
package main

import (
	"time"

	"jsonlines"
)

func main() {
	// A timestamp's zone is kept as it is written, never shown as this machine's.
	time.Local = time.UTC
	jsonlines.Serve(map[string]jsonlines.Operation{
		"yaml":          decodeYAML,
		"yaml-encode":   encodeYAML,
		"sops-tree":     loadTree,
		"sops-emit":     emitTree,
		"sops-encrypt":  encryptFile,
		"sops-decrypt":  decryptFile,
		"sops-open":     openTree,
		"sops-library":  libraryDecrypt,
		"sops-resource": decryptResource,
		"sops-config":   decide,
		"sops-stores":   indents,
		"regex":         match,
		"gjson":         selectParts,
		"json":          rewriteJSON,
	})
}
