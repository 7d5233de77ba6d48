package main

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/tidwall/gjson"

	"jsonlines"
)

// selectParts answers "gjson": what each of `paths` leads to in `input`, as gjson.Get(…).String() and Exists() say.
func selectParts(line []byte) (any, error) {
	var request struct {
		Input []byte
		Paths []string
	}
	jsonlines.Read(line, &request)
	type found struct {
		Exists bool   `json:"exists"`
		Text   []byte `json:"text"`
	}
	answer := struct {
		Found []found `json:"found"`
	}{Found: make([]found, 0, len(request.Paths))}
	for _, path := range request.Paths {
		result := gjson.Get(string(request.Input), path)
		answer.Found = append(answer.Found, found{result.Exists(), []byte(result.String())})
	}
	return answer, nil
}

// rewriteJSON answers "json": how encoding/json writes `input` again. `spelt` with numbers as they are spelt (UseNumber), `float` with
// numbers as float64 (absent where one is too large), `plain` the same without escapes for HTML. Of an object also its members: `raw`
// with strings unquoted and everything else as it was, `values` with strings, numbers and booleans as text. The error is Go's.
func rewriteJSON(line []byte) (any, error) {
	var request struct{ Input []byte }
	jsonlines.Read(line, &request)
	var checked json.RawMessage
	if err := json.Unmarshal(request.Input, &checked); err != nil {
		return nil, err
	}
	var answer struct {
		Spelt  []byte            `json:"spelt"`
		Float  []byte            `json:"float"`
		Plain  []byte            `json:"plain"`
		Raw    map[string][]byte `json:"raw"`
		Values map[string][]byte `json:"values"`
	}
	decoder := json.NewDecoder(bytes.NewReader(request.Input))
	decoder.UseNumber()
	var spelt any
	if err := decoder.Decode(&spelt); err != nil {
		return nil, err
	}
	var err error
	if answer.Spelt, err = json.Marshal(spelt); err != nil {
		return nil, err
	}
	var float any
	if json.Unmarshal(request.Input, &float) == nil {
		if answer.Float, err = json.Marshal(float); err != nil {
			return nil, err
		}
		var plain bytes.Buffer
		encoder := json.NewEncoder(&plain)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(float); err != nil {
			return nil, err
		}
		answer.Plain = bytes.TrimRight(plain.Bytes(), "\n")
	}
	var raw map[string]json.RawMessage
	if json.Unmarshal(request.Input, &raw) == nil {
		answer.Raw = map[string][]byte{}
		for name, value := range raw {
			var text string
			if json.Unmarshal(value, &text) == nil {
				answer.Raw[name] = []byte(text)
			} else {
				answer.Raw[name] = value
			}
		}
	}
	if object, ok := float.(map[string]any); ok && answer.Float != nil {
		answer.Values = map[string][]byte{}
		for name, value := range object {
			if answer.Values[name], err = textOf(value); err != nil {
				return nil, err
			}
		}
	}
	return answer, nil
}

func textOf(value any) ([]byte, error) {
	switch value := value.(type) {
	case nil:
		return []byte{}, nil
	case string:
		return []byte(value), nil
	case float64:
		return []byte(strconv.FormatFloat(value, 'f', -1, 64)), nil
	case bool:
		return []byte(strconv.FormatBool(value)), nil
	default:
		return json.Marshal(value)
	}
}
