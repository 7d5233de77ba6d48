package main

import (
	"regexp"

	"jsonlines"
)

// match answers "regex": whether and where `pattern` is found in each of `haystacks`, as regexp.MatchString and
// FindStringIndex say (start and end in bytes, or null). The error is that of regexp.Compile.
func match(line []byte) (any, error) {
	var request struct {
		Pattern   []byte
		Haystacks [][]byte
	}
	jsonlines.Read(line, &request)
	pattern, err := regexp.Compile(string(request.Pattern))
	if err != nil {
		return nil, err
	}
	type found struct {
		Match bool  `json:"match"`
		Span  []int `json:"span"`
	}
	answer := struct {
		Haystacks []found `json:"haystacks"`
	}{Haystacks: make([]found, 0, len(request.Haystacks))}
	for _, haystack := range request.Haystacks {
		text := string(haystack)
		answer.Haystacks = append(answer.Haystacks, found{pattern.MatchString(text), pattern.FindStringIndex(text)})
	}
	return answer, nil
}
