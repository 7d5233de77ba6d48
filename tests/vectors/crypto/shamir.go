// Makes the table of what the Go package of SOPS splits and combines. In the module that names its version:
//
//	go run -C tests/peers/oracle ../../vectors/crypto/shamir.go > tests/vectors/crypto/shamir.txt
//
// `split`: secret, number of shares, threshold, the random bytes that were used, the shares. `combine`: shares, the secret or `error`.
package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	mathrand "math/rand"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/getsops/sops/v3/shamir"
)

// recorder hands out what seeded randomness gives, and remembers it.
type recorder struct {
	random io.Reader
	given  []byte
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.random.Read(p)
	r.given = append(r.given, p[:n]...)
	return n, err
}

func main() {
	version := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "github.com/getsops/sops/v3" {
				version = module.Version
			}
		}
	}
	fmt.Printf("# made by: sops %s, %s, go run -C tests/peers/oracle ../../vectors/crypto/shamir.go\n", version, runtime.Version())
	random := mathrand.New(mathrand.NewSource(1))
	for number := range 120 {
		secret := make([]byte, []int{32, 32, 32, 1, 5, 64}[number%6])
		random.Read(secret)
		shares := 2 + random.Intn(5)
		if number%40 == 0 {
			shares = 255
		}
		threshold := 2 + random.Intn(min(shares, 6)-1)
		recorder := &recorder{random: random}
		if number%10 == 9 {
			// Coefficients may be zero.
			recorder.random = strings.NewReader(strings.Repeat("\x00", 1<<16))
		}
		rand.Reader = recorder
		parts, err := shamir.Split(secret, shares, threshold)
		if err != nil {
			panic(err)
		}
		if number%40 == 0 {
			parts = parts[:7]
		}
		fmt.Printf("split\t%x\t%d\t%d\t%x\t%s\n", secret, shares, threshold, recorder.given, join(parts))

		count := 1 + random.Intn(len(parts))
		random.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
		combine(parts[:count])
		if number%3 == 0 {
			// A share that was changed gives another secret.
			parts[0][random.Intn(len(secret))] ^= byte(1 + random.Intn(255))
			combine(parts[:count])
		}
		if number%8 == 0 {
			combine(append(parts[:count], parts[0]))
			combine([][]byte{parts[0], parts[1][1:]})
		}
	}
}

func combine(parts [][]byte) {
	secret, err := shamir.Combine(parts)
	if err != nil {
		fmt.Printf("combine\t%s\terror\n", join(parts))
		return
	}
	fmt.Printf("combine\t%s\t%x\n", join(parts), secret)
}

func join(parts [][]byte) string {
	texts := make([]string, len(parts))
	for i, part := range parts {
		texts[i] = hex.EncodeToString(part)
	}
	return strings.Join(texts, " ")
}
