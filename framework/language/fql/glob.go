package fql

import (
	"strings"
	"unicode/utf8"
)

// glob is a compiled pattern: * any text, ? one character, [a-z] one of these, \x the character x. Every text is a
// pattern: a bracket that closes nothing, holds nothing or is never closed, and a backslash at the end, stand for
// themselves. Matching takes at most the product of the two lengths.
type glob struct {
	runs []run // what lies between the stars
}

// run is a part of a pattern without stars. It matches a fixed number of characters.
type run struct {
	text  string // where each character stands for itself
	atoms []atom // else one for each character
}

// atom matches one character that lies in one of its ranges; any character where it has none.
type atom []span

type span struct{ low, high rune }

func newGlob(pattern string) *glob {
	g := new(glob)
	var atoms []atom
	flush := func() {
		g.runs = append(g.runs, newRun(atoms))
		atoms = nil
	}
	for rest := pattern; rest != ""; {
		if rest[0] == '*' {
			flush()
			rest = rest[1:]
			continue
		}
		var a atom
		a, rest = nextAtom(rest)
		atoms = append(atoms, a)
	}
	flush()
	return g
}

func nextAtom(rest string) (atom, string) {
	switch rest[0] {
	case '?':
		return nil, rest[1:]
	case '[':
		if a, after, ok := class(rest[1:]); ok {
			return a, after
		}
	}
	c, rest := nextRune(rest)
	return atom{{c, c}}, rest
}

// nextRune reads a character that may be escaped.
func nextRune(rest string) (rune, string) {
	if rest[0] == '\\' && len(rest) > 1 {
		rest = rest[1:]
	}
	r, n := utf8.DecodeRuneInString(rest)
	return r, rest[n:]
}

// class reads what follows an opening bracket; ok is false where it is no class.
func class(rest string) (a atom, after string, ok bool) {
	for rest != "" {
		if rest[0] == ']' {
			return a, rest[1:], len(a) > 0
		}
		var s span
		s.low, rest = nextRune(rest)
		s.high = s.low
		if len(rest) > 1 && rest[0] == '-' && rest[1] != ']' {
			s.high, rest = nextRune(rest[1:])
		}
		a = append(a, s)
	}
	return nil, "", false
}

func newRun(atoms []atom) run {
	var b strings.Builder
	for _, a := range atoms {
		if len(a) != 1 || a[0].low != a[0].high {
			return run{atoms: atoms}
		}
		b.WriteRune(a[0].low)
	}
	return run{text: b.String()}
}

func (g *glob) match(s string) bool {
	last := len(g.runs) - 1
	n := g.runs[0].prefix(s)
	if n < 0 || last == 0 {
		return n == len(s)
	}
	s = s[n:]
	for _, r := range g.runs[1:last] {
		n := r.find(s)
		if n < 0 {
			return false
		}
		s = s[n:]
	}
	return g.runs[last].suffix(s)
}

// prefix is the length of the start of s that the run matches, -1 where it does not.
func (r *run) prefix(s string) int {
	if r.atoms == nil {
		if strings.HasPrefix(s, r.text) {
			return len(r.text)
		}
		return -1
	}
	pos := 0
	for _, a := range r.atoms {
		c, n := utf8.DecodeRuneInString(s[pos:])
		if n == 0 || !a.match(c) {
			return -1
		}
		pos += n
	}
	return pos
}

// find is the end of the first place in s that the run matches, -1 where there is none.
func (r *run) find(s string) int {
	if r.atoms == nil {
		if i := strings.Index(s, r.text); i >= 0 {
			return i + len(r.text)
		}
		return -1
	}
	for i := range s {
		if n := r.prefix(s[i:]); n >= 0 {
			return i + n
		}
	}
	return -1
}

func (r *run) suffix(s string) bool {
	if r.atoms == nil {
		return strings.HasSuffix(s, r.text)
	}
	start := len(s)
	for range r.atoms {
		_, n := utf8.DecodeLastRuneInString(s[:start])
		start -= n
	}
	return r.prefix(s[start:]) == len(s)-start
}

func (a atom) match(c rune) bool {
	for _, s := range a {
		if s.low <= c && c <= s.high {
			return true
		}
	}
	return len(a) == 0
}

// begins is the text of a pattern such as Order*.
func (g *glob) begins() (string, bool) {
	return g.only(0)
}

// ends is the text of a pattern such as *Completed.
func (g *glob) ends() (string, bool) {
	return g.only(1)
}

// only is the text of one run, where the pattern is that run and one star.
func (g *glob) only(at int) (string, bool) {
	if len(g.runs) != 2 || g.runs[at].atoms != nil || g.runs[1-at].atoms != nil || g.runs[1-at].text != "" {
		return "", false
	}
	return g.runs[at].text, true
}
