package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/getsops/sops/v3/config"
	"jsonlines"
)

// Decision is what SOPS decides for a file by its configuration.
type Decision struct {
	// Whether there is a configuration with creation rules at all.
	Found bool `json:"found"`
	// The keys by group, each as `type id`.
	Groups                  [][]string `json:"groups"`
	ShamirThreshold         int        `json:"shamir_threshold"`
	UnencryptedSuffix       string     `json:"unencrypted_suffix"`
	EncryptedSuffix         string     `json:"encrypted_suffix"`
	UnencryptedRegex        string     `json:"unencrypted_regex"`
	EncryptedRegex          string     `json:"encrypted_regex"`
	UnencryptedCommentRegex string     `json:"unencrypted_comment_regex"`
	EncryptedCommentRegex   string     `json:"encrypted_comment_regex"`
	MACOnlyEncrypted        bool       `json:"mac_only_encrypted"`
	// Of a destination rule: where a file `NAME` goes.
	Destination    string `json:"destination"`
	OmitExtensions bool   `json:"omit_extensions"`
}

// decide answers "sops-config": what the configuration `input` says of `file`, a path below its folder; of its destination, if
// `destination` is set.
func decide(line []byte) (any, error) {
	var request struct {
		Input       []byte
		File        string
		Destination bool
	}
	jsonlines.Read(line, &request)
	folder, err := os.MkdirTemp("", "config")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, ".sops.yaml")
	if err := os.WriteFile(path, request.Input, 0o600); err != nil {
		return nil, err
	}
	load, file := config.LoadCreationRuleForFile, filepath.Join(folder, request.File)
	if request.Destination {
		load, file = config.LoadDestinationRuleForFile, request.File
	}
	found, err := load(path, file, nil)
	if err != nil {
		return nil, err
	}
	if found == nil {
		return Decision{}, nil
	}
	decision := Decision{
		Found:                   true,
		Groups:                  [][]string{},
		ShamirThreshold:         found.ShamirThreshold,
		UnencryptedSuffix:       found.UnencryptedSuffix,
		EncryptedSuffix:         found.EncryptedSuffix,
		UnencryptedRegex:        found.UnencryptedRegex,
		EncryptedRegex:          found.EncryptedRegex,
		UnencryptedCommentRegex: found.UnencryptedCommentRegex,
		EncryptedCommentRegex:   found.EncryptedCommentRegex,
		MACOnlyEncrypted:        found.MACOnlyEncrypted,
		OmitExtensions:          found.OmitExtensions,
	}
	for _, group := range found.KeyGroups {
		ids := []string{}
		for _, key := range group {
			ids = append(ids, fmt.Sprintf("%s %s", key.TypeToIdentifier(), key.ToString()))
		}
		decision.Groups = append(decision.Groups, ids)
	}
	if found.Destination != nil {
		decision.Destination = found.Destination.Path("NAME")
	}
	return decision, nil
}

// indents answers "sops-stores": the indentations of the configuration `input`.
func indents(line []byte) (any, error) {
	var request struct{ Input []byte }
	jsonlines.Read(line, &request)
	file, err := os.CreateTemp("", "config")
	if err != nil {
		return nil, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if _, err := file.Write(request.Input); err != nil {
		return nil, err
	}
	found, err := config.LoadStoresConfig(file.Name())
	if err != nil {
		return nil, err
	}
	return map[string]int{"yaml": found.YAML.Indent, "json": found.JSON.Indent, "json_binary": found.JSONBinary.Indent}, nil
}
