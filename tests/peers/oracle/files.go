package main

import (
	gojson "encoding/json"
	"fmt"
	"os"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/aes"
	"github.com/getsops/sops/v3/age"
	"github.com/getsops/sops/v3/cmd/sops/common"
	"github.com/getsops/sops/v3/cmd/sops/formats"
	"github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/decrypt"
	"github.com/getsops/sops/v3/keyservice"
	"github.com/getsops/sops/v3/version"
	goyaml "go.yaml.in/yaml/v3"
	"jsonlines"
)

// wholeFile is a file that is to be encrypted, or was. The formats are those of SOPS' --input-type and --output-type.
type wholeFile struct {
	Input  []byte
	From   string
	To     string
	Groups [][]string
	// How many groups are needed; 0 for all.
	Threshold int
	// "unencrypted_suffix", ..., or "" for none.
	Selector         string
	Pattern          string
	MACOnlyEncrypted bool `json:"mac_only_encrypted"`
	// Identities of age, a line each.
	Identities string
	IgnoreMAC  bool `json:"ignore_mac"`
}

func stores(file wholeFile) (from, to common.Store) {
	configuration := config.NewStoresConfig()
	return common.StoreForFormat(formats.FormatFromString(file.From), configuration), common.StoreForFormat(formats.FormatFromString(file.To), configuration)
}

var services = []keyservice.KeyServiceClient{keyservice.NewLocalClient()}

// encryptFile answers "sops-encrypt": the file that `sops encrypt` would print for recipients of age.
func encryptFile(line []byte) (any, error) {
	var file wholeFile
	jsonlines.Read(line, &file)
	from, to := stores(file)
	branches, err := from.LoadPlainFile(file.Input)
	if err != nil {
		return nil, err
	}
	if len(branches) == 0 || to.HasSopsTopLevelKey(branches[0]) {
		return nil, fmt.Errorf("nothing that could be encrypted")
	}
	metadata, err := metadataFor(file, isSingleValue(from))
	if err != nil {
		return nil, err
	}
	tree := sops.Tree{Branches: branches, Metadata: metadata}
	dataKey, failures := tree.GenerateDataKeyWithKeyServices(services)
	if len(failures) > 0 {
		return nil, fmt.Errorf("%v", failures)
	}
	if err := common.EncryptTree(common.EncryptTreeOpts{DataKey: dataKey, Tree: &tree, Cipher: aes.NewCipher()}); err != nil {
		return nil, err
	}
	output, err := to.EmitEncryptedFile(tree)
	if err != nil {
		return nil, err
	}
	return encoded{output}, nil
}

func isSingleValue(from common.Store) bool {
	store, ok := from.(sops.SingleValueStore)
	return ok && store.IsSingleValueStore()
}

func metadataFor(file wholeFile, holdsOneValue bool) (sops.Metadata, error) {
	metadata := sops.Metadata{Version: version.Version, ShamirThreshold: file.Threshold}
	if !holdsOneValue {
		metadata.MACOnlyEncrypted = file.MACOnlyEncrypted
		switch file.Selector {
		case "unencrypted_suffix":
			metadata.UnencryptedSuffix = file.Pattern
		case "encrypted_suffix":
			metadata.EncryptedSuffix = file.Pattern
		case "unencrypted_regex":
			metadata.UnencryptedRegex = file.Pattern
		case "encrypted_regex":
			metadata.EncryptedRegex = file.Pattern
		case "unencrypted_comment_regex":
			metadata.UnencryptedCommentRegex = file.Pattern
		case "encrypted_comment_regex":
			metadata.EncryptedCommentRegex = file.Pattern
		case "":
			metadata.UnencryptedSuffix = sops.DefaultUnencryptedSuffix
		default:
			panic(fmt.Sprintf("no such selector: %q", file.Selector))
		}
	}
	for _, recipients := range file.Groups {
		var group sops.KeyGroup
		for _, recipient := range recipients {
			key, err := age.MasterKeyFromRecipient(recipient)
			if err != nil {
				return metadata, err
			}
			group = append(group, key)
		}
		metadata.KeyGroups = append(metadata.KeyGroups, group)
	}
	return metadata, nil
}

// decryptFile answers "sops-decrypt": the file that `sops decrypt` would print with these identities, and no others.
func decryptFile(line []byte) (any, error) {
	var file wholeFile
	jsonlines.Read(line, &file)
	tree, err := openFile(file)
	if err != nil {
		return nil, err
	}
	_, to := stores(file)
	output, err := to.EmitPlainFile(tree.Branches)
	if err != nil {
		return nil, err
	}
	return encoded{output}, nil
}

// openTree answers "sops-open": the tree of an encrypted file, as "sops-tree" has it, before SOPS prints it.
func openTree(line []byte) (any, error) {
	var file wholeFile
	jsonlines.Read(line, &file)
	tree, err := openFile(file)
	if err != nil {
		return nil, err
	}
	return itemsOf(tree.Branches), nil
}

func openFile(file wholeFile) (sops.Tree, error) {
	identify(file.Identities)
	from, _ := stores(file)
	tree, err := from.LoadEncryptedFile(file.Input)
	if err != nil {
		return tree, err
	}
	_, err = common.DecryptTree(common.DecryptTreeOpts{Tree: &tree, KeyServices: services, IgnoreMac: file.IgnoreMAC, Cipher: aes.NewCipher()})
	return tree, err
}

// libraryDecrypt answers "sops-library": what decrypt.Data returns, which is how KSOPS, the provider for Terraform and
// other Go programs read files.
func libraryDecrypt(line []byte) (any, error) {
	var file wholeFile
	jsonlines.Read(line, &file)
	identify(file.Identities)
	output, err := decrypt.Data(file.Input, file.From)
	if err != nil {
		return nil, err
	}
	return encoded{output}, nil
}

// decryptResource answers "sops-resource": an encrypted manifest as a controller of a cluster meets it. It was YAML, went
// through kustomize, and is JSON with sorted keys now; the MAC does not hold any more and is not looked at.
func decryptResource(line []byte) (any, error) {
	var file wholeFile
	jsonlines.Read(line, &file)
	var resource map[string]any
	if err := goyaml.Unmarshal(file.Input, &resource); err != nil {
		return nil, err
	}
	input, err := gojson.Marshal(resource)
	if err != nil {
		return nil, err
	}
	return decryptFile(mustMarshal(map[string]any{
		"input": input, "from": "json", "to": "json", "identities": file.Identities, "ignore_mac": true,
	}))
}

func mustMarshal(value any) []byte { return must(gojson.Marshal(value)) }

// identify makes these the only identities that SOPS finds.
func identify(identities string) {
	for _, name := range []string{"SOPS_AGE_KEY_FILE", "SOPS_AGE_KEY_CMD", "SOPS_AGE_SSH_PRIVATE_KEY_FILE", "SOPS_AGE_SSH_PRIVATE_KEY_CMD"} {
		os.Unsetenv(name)
	}
	for _, name := range []string{"HOME", "XDG_CONFIG_HOME"} {
		os.Setenv(name, "/nonexistent")
	}
	os.Setenv("SOPS_AGE_KEY", identities)
}
