// make executes the templates in ../cases by Go's text/template and writes what came out to ../results.
//
//	cd crates/template/vectors/make && go run .
//
// A file of cases is executed as its name says: go* with Go's own functions, sealed-secrets* with sprig without what
// Sealed Secrets takes out, external-secrets* with toYaml and fromYaml beside it. Cases are separated by lines `---`. Each
// *-mutated.txt are put together by chance from the words of the others. Each
// is executed twice, with and without `missingkey=error`, on ../data.json: a whole number there is an int, an object
// `{"$strings": …}` a map[string]string, `{"$bytes": …}` a string in base64.
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"text/template"
	"unicode/utf8"

	"github.com/Masterminds/sprig/v3"
	"sigs.k8s.io/yaml"
)

type result struct {
	// What was written, or in base64 where it is not UTF-8.
	Output *string `json:"output,omitempty"`
	Base64 *string `json:"base64,omitempty"`
	// "parse" or "execute", with the line that Go says.
	Error string `json:"error,omitempty"`
	Line  int    `json:"line,omitempty"`
}

type vector struct {
	Template string `json:"template"`
	Default  result `json:"default"`
	Strict   result `json:"missingkey=error"`
}

func main() {
	files, err := filepath.Glob("../cases/*.txt")
	must(err)
	for _, file := range files {
		content, err := os.ReadFile(file)
		must(err)
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		var vectors []vector
		for _, text := range strings.Split(strings.TrimSuffix(string(content), "\n"), "\n---\n") {
			vectors = append(vectors, vector{text, run(name, text, "missingkey=default"), run(name, text, "missingkey=error")})
		}
		var out bytes.Buffer
		encoder := json.NewEncoder(&out)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", " ")
		must(encoder.Encode(vectors))
		must(os.WriteFile("../results/"+name+".json", out.Bytes(), 0o644))
	}
}

var place = regexp.MustCompile(`^template: case:(\d+)`)

func run(name, text, option string) result {
	failed := func(stage string, err error) result {
		line := 0
		if found := place.FindStringSubmatch(err.Error()); found != nil {
			line, _ = strconv.Atoi(found[1])
		}
		return result{Error: stage, Line: line}
	}
	parsed, err := template.New("case").Option(option).Funcs(functions(name)).Parse(text)
	if err != nil {
		return failed("parse", err)
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, data()); err != nil {
		return failed("execute", err)
	}
	if !utf8.Valid(out.Bytes()) {
		encoded := base64.StdEncoding.EncodeToString(out.Bytes())
		return result{Base64: &encoded}
	}
	written := out.String()
	return result{Output: &written}
}

func functions(name string) template.FuncMap {
	if strings.HasPrefix(name, "go") {
		return nil
	}
	functions := template.FuncMap(sprig.GenericFuncMap())
	for _, name := range []string{"env", "expandenv", "getHostByName"} {
		delete(functions, name)
	}
	if strings.HasPrefix(name, "external-secrets") {
		functions["toYaml"] = func(v any) string {
			data, err := yaml.Marshal(v)
			if err != nil {
				return ""
			}
			return strings.TrimSuffix(string(data), "\n")
		}
		functions["fromYaml"] = func(text string) map[string]any {
			m := map[string]any{}
			if err := yaml.Unmarshal([]byte(text), &m); err != nil {
				m["Error"] = err.Error()
			}
			return m
		}
	}
	return functions
}

// data is read anew for each execution: templates may change it.
func data() any {
	content, err := os.ReadFile("../data.json")
	must(err)
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.UseNumber()
	var value any
	must(decoder.Decode(&value))
	return typed(value)
}

func typed(value any) any {
	switch value := value.(type) {
	case json.Number:
		if integer, err := value.Int64(); err == nil {
			return int(integer)
		}
		float, err := value.Float64()
		must(err)
		return float
	case []any:
		for i := range value {
			value[i] = typed(value[i])
		}
		return value
	case map[string]any:
		if text, ok := value["$bytes"].(string); ok {
			decoded, err := base64.StdEncoding.DecodeString(text)
			must(err)
			return string(decoded)
		}
		if entries, ok := value["$strings"].(map[string]any); ok {
			strings := map[string]string{}
			for key, value := range entries {
				strings[key] = typed(value).(string)
			}
			return strings
		}
		for key := range value {
			value[key] = typed(value[key])
		}
		return value
	}
	return value
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
