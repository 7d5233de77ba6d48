// Package jsonlines answers requests on standard input, one JSON object a line, with one JSON object a line on standard
// output, in order, until standard input ends. Byte strings are base64, as encoding/json has them.
//
// A request is {"op": NAME, ...}. An answer is what the operation returns, or {"error": MESSAGE} where the library under
// question refused, or {"panic": MESSAGE} where it would have crashed the program. A request that this package cannot
// read ends the program: it is a fault of the tests, not an answer.
package jsonlines

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"
)

// timeLimit ends the program when one request takes longer, so that a library that never ends does not hang the tests.
const timeLimit = 60 * time.Second

// Operation answers one request, given whole. An error becomes {"error": ...}.
type Operation func(request []byte) (answer any, err error)

type failure struct {
	Error string `json:"error,omitempty"`
	Panic string `json:"panic,omitempty"`
}

// Serve answers requests until standard input ends.
func Serve(operations map[string]Operation) {
	// A library that recurses without end cannot be caught; it should at least not take all memory first.
	debug.SetMaxStack(512 << 20)
	input := bufio.NewReaderSize(os.Stdin, 1<<20)
	output := bufio.NewWriterSize(os.Stdout, 1<<20)
	for {
		line, err := input.ReadBytes('\n')
		if len(line) > 0 {
			answerOne(operations, line, output)
			if err := output.Flush(); err != nil {
				fatal("cannot write the answer: %v", err)
			}
		}
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			fatal("cannot read a request: %v", err)
		}
	}
}

func answerOne(operations map[string]Operation, line []byte, output io.Writer) {
	var request struct{ Op string }
	Read(line, &request)
	operation := operations[request.Op]
	if operation == nil {
		fatal("no such operation: %q", request.Op)
	}
	timer := time.AfterFunc(timeLimit, func() { fatal("%s took longer than %v", request.Op, timeLimit) })
	defer timer.Stop()

	var answer bytes.Buffer
	encoder := json.NewEncoder(&answer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(call(operation, line)); err != nil {
		fatal("cannot write the answer to %s: %v", request.Op, err)
	}
	if _, err := output.Write(answer.Bytes()); err != nil {
		fatal("cannot write the answer: %v", err)
	}
}

func call(operation Operation, line []byte) (answer any) {
	defer func() {
		if cause := recover(); cause != nil {
			answer = failure{Panic: fmt.Sprint(cause)}
		}
	}()
	answer, err := operation(line)
	if err != nil {
		return failure{Error: err.Error()}
	}
	return answer
}

// Read decodes a request; what does not fit ends the program.
func Read(line []byte, request any) {
	if err := json.Unmarshal(line, request); err != nil {
		fatal("cannot read a request: %v", err)
	}
}

func fatal(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", arguments...)
	os.Exit(3)
}
