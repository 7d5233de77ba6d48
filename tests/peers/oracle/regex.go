package main

import (
	"regexp"

	"jsonlines"
)

// match answers "regex": whether and where `pattern` is found in each of `haystacks`, as regexp.MatchString and
// FindStringIndex say (start and end in bytes, or null), and all matches with their groups, as FindAllStringSubmatchIndex
// does (start and end of each group, -1 where it took no part). The error is that of regexp.Compile.
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
		Match bool    `json:"match"`
		Span  []int   `json:"span"`
		All   [][]int `json:"all"`
	}
	answer := struct {
		Haystacks []found `json:"haystacks"`
	}{Haystacks: make([]found, 0, len(request.Haystacks))}
	for _, haystack := range request.Haystacks {
		text := string(haystack)
		all := pattern.FindAllStringSubmatchIndex(text, -1)
		answer.Haystacks = append(answer.Haystacks, found{pattern.MatchString(text), pattern.FindStringIndex(text), all})
	}
	return answer, nil
}
