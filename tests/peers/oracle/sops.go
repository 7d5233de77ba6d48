package main

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"github.com/getsops/sops/v3"
	"github.com/getsops/sops/v3/config"
	"github.com/getsops/sops/v3/stores/dotenv"
	"github.com/getsops/sops/v3/stores/ini"
	"github.com/getsops/sops/v3/stores/json"
	"github.com/getsops/sops/v3/stores/yaml"
	goyaml "go.yaml.in/yaml/v3"
	"jsonlines"
)

// Item is one entry of a tree: of a map, with its key; of a list, without; or the map that is a whole document. Comments
// are entries too. A branch (document) is the list of its items in order, the map first: a flat list, as with YAML. The
// entries of a map or list follow it; `length` counts them, comments included.
type Item struct {
	// "str", "int", "float", "bool", "time", "null", "comment", "map", "list", or the Go type of what SOPS cannot
	// encrypt ("uint64", ...).
	Type string `json:"type"`
	// What SOPS would encrypt: sops.ToBytes, or Go's own printing of a type that it does not know.
	Text []byte `json:"text,omitempty"`
	// Not of a list's entries, comments, and documents.
	Key *[]byte `json:"key,omitempty"`
	// Where the key is not a string: its type, as above.
	KeyType string `json:"key_type,omitempty"`
	// Of a comment: whether it stands on the line of a value.
	Inline bool `json:"inline,omitempty"`
	Length int  `json:"length,omitempty"`
}

type store interface {
	LoadPlainFile(in []byte) (sops.TreeBranches, error)
	EmitPlainFile(in sops.TreeBranches) ([]byte, error)
	EmitValue(in any) ([]byte, error)
}

func storeFor(format string, indent int) store {
	switch format {
	case "yaml":
		return yaml.NewStore(&config.YAMLStoreConfig{Indent: indent})
	case "json":
		return json.NewStore(&config.JSONStoreConfig{Indent: indent})
	case "binary":
		return json.NewBinaryStore(&config.JSONBinaryStoreConfig{Indent: indent})
	case "dotenv":
		return dotenv.NewStore(&config.DotenvStoreConfig{})
	case "ini":
		return ini.NewStore(&config.INIStoreConfig{})
	}
	panic(fmt.Sprintf("no such format: %q", format))
}

// loadTree answers "sops-tree": what SOPS sees in the plain file `input` of `format` ("yaml", "json", "binary", "dotenv" or "ini").
func loadTree(line []byte) (any, error) {
	var request struct {
		Input  []byte
		Format string
	}
	jsonlines.Read(line, &request)
	if request.Format == "yaml" {
		if err := refuseEndless(request.Input); err != nil {
			return nil, err
		}
	}
	branches, err := storeFor(request.Format, 0).LoadPlainFile(request.Input)
	if err != nil {
		return nil, err
	}
	return itemsOf(branches), nil
}

// trees answers every operation that reads a file.
type trees struct {
	Branches [][]Item `json:"branches"`
}

func itemsOf(branches sops.TreeBranches) trees {
	answer := trees{Branches: [][]Item{}}
	for _, branch := range branches {
		answer.Branches = append(answer.Branches, appendValue(nil, Item{}, branch))
	}
	return answer
}

// expansionLimit is the number of nodes beyond which the expansion of aliases counts as endless.
const expansionLimit = 5_000_000

// refuseEndless panics where SOPS would: it expands aliases without a limit in every document but the first (which is
// first decoded by go-yaml, with its limits). Go cannot catch an exhausted stack, so this comes before SOPS does it.
func refuseEndless(input []byte) error {
	if err := goyaml.NewDecoder(bytes.NewReader(input)).Decode(make(map[string]any)); err != nil && len(input) > 0 {
		return err
	}
	documents, err := documentsOf(input)
	if err != nil {
		return nil // SOPS will say so.
	}
	const open = -1
	for _, document := range documents {
		sizes := map[*goyaml.Node]int{}
		var size func(*goyaml.Node) int
		size = func(node *goyaml.Node) int {
			known, seen := sizes[node]
			if known == open {
				panic("stack overflow: an alias stands for a node that contains it")
			}
			if seen {
				return known
			}
			sizes[node] = open
			total := 1
			if node.Alias != nil {
				total += size(node.Alias)
			}
			for _, child := range node.Content {
				total += size(child)
			}
			if total > expansionLimit {
				panic("out of memory: expanded aliases")
			}
			sizes[node] = total
			return total
		}
		size(document)
	}
	return nil
}

// appendValue appends `value` and all in it; `item` carries its key.
func appendValue(items []Item, item Item, value any) []Item {
	switch value := value.(type) {
	case sops.TreeBranch:
		item.Type, item.Length = "map", len(value)
		items = append(items, item)
		for _, entry := range value {
			if comment, ok := entry.Key.(sops.Comment); ok {
				items = appendValue(items, Item{}, comment)
				continue
			}
			keyType, key := leaf(entry.Key)
			if keyType == "str" {
				keyType = ""
			}
			items = appendValue(items, Item{Key: &key, KeyType: keyType}, entry.Value)
		}
		return items
	case []any:
		item.Type, item.Length = "list", len(value)
		items = append(items, item)
		for _, entry := range value {
			items = appendValue(items, Item{}, entry)
		}
		return items
	case sops.Comment:
		return append(items, Item{Type: "comment", Text: []byte(value.Value), Inline: value.Inline})
	}
	item.Type, item.Text = leaf(value)
	return append(items, item)
}

func leaf(value any) (name string, text []byte) {
	switch value.(type) {
	case nil:
		return "null", []byte{}
	case string:
		name = "str"
	case int:
		name = "int"
	case float64:
		name = "float"
	case bool:
		name = "bool"
	case time.Time:
		name = "time"
	default:
		name = fmt.Sprintf("%T", value)
	}
	text, err := sops.ToBytes(value)
	if err != nil {
		text = fmt.Append([]byte{}, value)
	}
	return name, text
}

// emitTree answers "sops-emit": the file that SOPS writes for `branches`, each as "sops-tree" returns it, in `format` with
// `indent` as in its configuration (YAML: 0 for the default; JSON: -1 for a tab). With `value`, what `--extract` prints of the
// first item of the first branch.
func emitTree(line []byte) (any, error) {
	var request struct {
		Branches [][]Item
		Format   string
		Indent   int
		Value    bool
	}
	jsonlines.Read(line, &request)
	if request.Value {
		return emitValue(request.Branches[0], storeFor(request.Format, request.Indent))
	}
	var branches sops.TreeBranches
	for _, items := range request.Branches {
		value, _ := build(items)
		branches = append(branches, value.(sops.TreeBranch))
	}
	output, err := storeFor(request.Format, request.Indent).EmitPlainFile(branches)
	if err != nil {
		return nil, err
	}
	return encoded{output}, nil
}

// emitValue does as `sops decrypt --extract`: a map is a file, a string is its bytes, anything else the store's own business.
func emitValue(items []Item, store store) (any, error) {
	value, _ := build(items)
	var output []byte
	var err error
	switch value := value.(type) {
	case sops.TreeBranch:
		output, err = store.EmitPlainFile(sops.TreeBranches{value})
	case string:
		output = []byte(value)
	default:
		output, err = store.EmitValue(value)
	}
	if err != nil {
		return nil, err
	}
	return encoded{output}, nil
}

// build returns the value that the first of `items` is, and the items after it.
func build(items []Item) (value any, rest []Item) {
	item, rest := items[0], items[1:]
	switch item.Type {
	case "map":
		branch := sops.TreeBranch{}
		for range item.Length {
			entry := rest[0]
			value, rest = build(rest)
			if comment, ok := value.(sops.Comment); ok {
				branch = append(branch, sops.TreeItem{Key: comment})
				continue
			}
			keyType := entry.KeyType
			if keyType == "" {
				keyType = "str"
			}
			branch = append(branch, sops.TreeItem{Key: parse(keyType, string(*entry.Key)), Value: value})
		}
		return branch, rest
	case "list":
		list := []any{}
		for range item.Length {
			value, rest = build(rest)
			list = append(list, value)
		}
		return list, rest
	case "comment":
		return sops.Comment{Value: string(item.Text), Inline: item.Inline}, rest
	}
	return parse(item.Type, string(item.Text)), rest
}

// parse is the reverse of leaf.
func parse(name, text string) any {
	switch name {
	case "null":
		return nil
	case "str":
		return text
	case "int":
		return must(strconv.Atoi(text))
	case "uint64":
		return must(strconv.ParseUint(text, 10, 64))
	case "float":
		return must(strconv.ParseFloat(text, 64))
	case "bool":
		return must(strconv.ParseBool(text))
	case "time":
		return must(time.Parse(time.RFC3339Nano, text))
	}
	panic(fmt.Sprintf("a value of type %q cannot be written", name))
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
