// Makes the tables of what Go reads: base64, PEM, and the regular expression by which SOPS finds an encrypted value.
//
//	go run make.go base64 > base64.txt
//	go run make.go pem > pem.txt
//	go run make.go grammar > grammar.txt
//
// One case a line: the input as a JSON string of its bytes in Latin-1 (base64, pem) or of its characters (grammar), a tab, the outcome.
package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"regexp"
	"runtime"
	"strings"
)

func main() {
	fmt.Printf("# made by: %s, go run make.go %s\n", runtime.Version(), os.Args[1])
	map[string]func(){"base64": base64Table, "pem": pemTable, "grammar": grammarTable}[os.Args[1]]()
}

func latin1(b string) string {
	r := make([]rune, len(b))
	for i := range len(b) {
		r[i] = rune(b[i])
	}
	return string(r)
}

func line(input, outcome string) {
	text, _ := json.Marshal(input)
	fmt.Printf("%s\t%s\n", text, outcome)
}

// mix puts n random pieces together.
func mix(r *rand.Rand, n int, pieces []string) string {
	var b strings.Builder
	for range n {
		b.WriteString(pieces[r.Intn(len(pieces))])
	}
	return b.String()
}

func base64Table() {
	r := rand.New(rand.NewSource(1))
	cases := []string{"", "\n", "\r\n\r\n"}
	for n := range 70 {
		b := make([]byte, n)
		r.Read(b)
		cases = append(cases, base64.StdEncoding.EncodeToString(b))
	}
	for range 800 {
		cases = append(cases, mix(r, r.Intn(24), []string{"A", "b", "9", "+", "/", "=", "\n", "\r", "QUJD", "QUJDREVG", "x"}))
	}
	for range 200 {
		cases = append(cases, mix(r, r.Intn(16), []string{"A", "QUJD", "=", "\n", " ", "\t", "-", "_", "\x00", "\xff", "QUI=", "QQ=="}))
	}
	for _, c := range cases {
		b, err := base64.StdEncoding.DecodeString(c)
		var corrupt base64.CorruptInputError
		if errors.As(err, &corrupt) {
			line(latin1(c), fmt.Sprintf("error %d", int64(corrupt)))
		} else {
			line(latin1(c), "ok "+hex.EncodeToString(b))
		}
	}
}

func pemTable() {
	r := rand.New(rand.NewSource(2))
	pieces := []string{
		"-----BEGIN X-----\n", "-----BEGIN X-----\n", "-----BEGIN X Y-----\r\n", "-----BEGIN -----\n", "-----BEGIN X", "\n-----END X-----\n",
		"-----END X-----\n", "-----END X-----\n", "-----END X Y-----", "-----END X----- \t\n", "-----END X-----z\n", "-----END X",
		"QUJD\n", "QUJDREVG\n", "QUI=\n", "QUI=", " QU JD\t\n", "QUJD\r\n", "*\n", "Key: value\n", "DEK-Info: a,b\n\n", "\n", "\r\n", "text ", ":\n",
	}
	misses := 0
	for range 9000 {
		c := mix(r, 1+r.Intn(9), pieces)
		var found []string
		for rest := []byte(c); ; {
			block, after := pem.Decode(rest)
			if block == nil {
				break
			}
			found = append(found, fmt.Sprintf("%q %t %x", block.Type, len(block.Headers) > 0, block.Bytes))
			rest = after
		}
		if len(found) == 0 {
			if misses++; misses > 500 {
				continue
			}
		}
		line(latin1(c), strings.Join(found, "; "))
	}
}

func grammarTable() {
	// aes/cipher.go of sops 3.13.3
	re := regexp.MustCompile(`^ENC\[AES256_GCM,data:(.+),iv:(.+),tag:(.+),type:(.+)\]`)
	r := rand.New(rand.NewSource(3))
	pieces := []string{
		",iv:", ",tag:", ",type:", "]", ",iv:", ",tag:", ",type:", "]", "a", "str", "\n", "\r", "é", ",", "ENC[AES256_GCM,data:", "data:", ":", "[",
	}
	cases := []string{"", "ENC[AES256_GCM,data:", "ENC[AES256_GCM,data:a,iv:b,tag:c,type:str]", " ENC[AES256_GCM,data:a,iv:b,tag:c,type:str]",
		"ENC[AES256_GCM,data:a,iv:b,tag:c,type:str] rest]", "ENC[AES256_GCM,data:a,iv:b,tag:c,type:str]\nrest]", "ENC[AES256_GCM,data:,iv:b,tag:c,type:str]",
		"ENC[AES256_GCM,data:a,iv:b,iv:c,tag:d,tag:e,type:f,type:g]", "enc[AES256_GCM,data:a,iv:b,tag:c,type:str]", "ENC[AES256_GCM,data:a,iv:b,tag:c,type:str"}
	for range 6000 {
		cases = append(cases, "ENC[AES256_GCM,data:"+mix(r, 3+r.Intn(12), pieces))
	}
	for range 1500 {
		cases = append(cases, "ENC[AES256_GCM,data:"+mix(r, 1+r.Intn(3), pieces)+",iv:"+mix(r, 1+r.Intn(3), pieces)+",tag:"+mix(r, 1+r.Intn(3), pieces)+",type:"+mix(r, 1+r.Intn(4), pieces))
	}
	misses := 0
	for _, c := range cases {
		m := re.FindStringSubmatchIndex(c)
		if m == nil {
			if misses++; misses <= 600 {
				line(c, "null")
			}
			continue
		}
		parts := []string{}
		for i := 2; i < len(m); i += 2 {
			parts = append(parts, c[m[i]:m[i+1]])
		}
		text, _ := json.Marshal(append(parts, c[m[1]:]))
		line(c, string(text))
	}
}
