package main

import (
	"bytes"
	"errors"
	"io"

	"go.yaml.in/yaml/v3"
	"jsonlines"
)

// Node is one yaml.Node. A document is the list of its nodes in the order in which they begin, the document node
// first: a flat list, because documents may be ten thousand levels deep. The children of a node follow it; `length`
// counts them (a mapping counts keys and values).
type Node struct {
	Kind string `json:"kind"`
	// As the library holds it: the short form of a written tag, or the resolved one.
	Tag string `json:"tag,omitempty"`
	// Node.ShortTag(), where it is another than `tag`.
	Resolved string `json:"resolved,omitempty"`
	Value    []byte `json:"value,omitempty"`
	Anchor   string `json:"anchor,omitempty"`
	// Of an alias: the place in the list of the node that it stands for.
	Target int `json:"target,omitempty"`
	// yaml.Style's bits: 1 tagged, 2 double quoted, 4 single quoted, 8 literal, 16 folded, 32 flow.
	Style       yaml.Style `json:"style,omitempty"`
	Line        int        `json:"line,omitempty"`
	Column      int        `json:"column,omitempty"`
	HeadComment []byte     `json:"head,omitempty"`
	LineComment []byte     `json:"inline,omitempty"`
	FootComment []byte     `json:"foot,omitempty"`
	Length      int        `json:"length,omitempty"`
}

var kindNames = map[yaml.Kind]string{
	yaml.DocumentNode: "document",
	yaml.SequenceNode: "sequence",
	yaml.MappingNode:  "mapping",
	yaml.ScalarNode:   "scalar",
	yaml.AliasNode:    "alias",
}

// decodeYAML answers "yaml": every document of `input`, and the error that ended reading, if one did.
func decodeYAML(line []byte) (any, error) {
	var request struct{ Input []byte }
	jsonlines.Read(line, &request)
	answer := struct {
		Documents [][]Node `json:"documents"`
		Error     string   `json:"error,omitempty"`
		Panic     string   `json:"panic,omitempty"`
	}{Documents: [][]Node{}}
	documents, err := documentsOf(request.Input)
	for _, document := range documents {
		answer.Documents = append(answer.Documents, flatten(document))
	}
	if err != nil {
		answer.Error = err.Error()
	}
	return answer, nil
}

func documentsOf(input []byte) (documents []*yaml.Node, err error) {
	decoder := yaml.NewDecoder(bytes.NewReader(input))
	for {
		var document yaml.Node
		if err := decoder.Decode(&document); err != nil {
			if errors.Is(err, io.EOF) {
				return documents, nil
			}
			return documents, err
		}
		documents = append(documents, &document)
	}
}

func flatten(document *yaml.Node) []Node {
	var nodes []Node
	places := map[*yaml.Node]int{}
	var visit func(*yaml.Node)
	visit = func(node *yaml.Node) {
		places[node] = len(nodes)
		flat := Node{
			Kind: kindNames[node.Kind], Tag: node.Tag, Value: []byte(node.Value), Anchor: node.Anchor, Style: node.Style,
			Line: node.Line, Column: node.Column, Length: len(node.Content),
			HeadComment: []byte(node.HeadComment), LineComment: []byte(node.LineComment), FootComment: []byte(node.FootComment),
		}
		if resolved := node.ShortTag(); resolved != node.Tag {
			flat.Resolved = resolved
		}
		if node.Alias != nil {
			flat.Target = places[node.Alias]
		}
		nodes = append(nodes, flat)
		for _, child := range node.Content {
			visit(child)
		}
	}
	visit(document)
	return nodes
}

// encodeYAML answers "yaml-encode": `documents`, each as "yaml" returns it, as the library's encoder writes them with
// `indent` spaces.
func encodeYAML(line []byte) (any, error) {
	var request struct {
		Documents [][]Node
		Indent    int
	}
	jsonlines.Read(line, &request)
	var output bytes.Buffer
	encoder := yaml.NewEncoder(&output)
	encoder.SetIndent(request.Indent)
	for _, flat := range request.Documents {
		if err := encoder.Encode(unflatten(flat)); err != nil {
			return nil, err
		}
	}
	if err := encoder.Close(); err != nil {
		return nil, err
	}
	return encoded{output.Bytes()}, nil
}

// encoded answers every operation that writes a document.
type encoded struct {
	Output []byte `json:"output"`
}

func unflatten(flat []Node) *yaml.Node {
	kinds := map[string]yaml.Kind{}
	for kind, name := range kindNames {
		kinds[name] = kind
	}
	nodes := make([]yaml.Node, len(flat))
	next := 0
	var build func() *yaml.Node
	build = func() *yaml.Node {
		from, node := flat[next], &nodes[next]
		next++
		*node = yaml.Node{
			Kind: kinds[from.Kind], Tag: from.Tag, Value: string(from.Value), Anchor: from.Anchor, Style: from.Style,
			HeadComment: string(from.HeadComment), LineComment: string(from.LineComment), FootComment: string(from.FootComment),
		}
		if node.Kind == yaml.AliasNode {
			node.Alias = &nodes[from.Target]
		}
		for range from.Length {
			node.Content = append(node.Content, build())
		}
		return node
	}
	return build()
}
