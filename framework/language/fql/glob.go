package fql

import (
	"strings"
	"unicode/utf8"
)

// glob is a compiled pattern: * matches any text, ? one character, [a-z] one character of a class, and \x the character x. Every
// text is a valid pattern: a bracket that is not part of a class and a backslash at the end stand for themselves. Matching takes
// time proportional to the product of the two lengths at most.
type glob struct {
	segments []segment // the parts between the stars
}

// segment is a part of a pattern without stars. It matches a fixed number of characters.
type segment struct {
	text    string      // if every character stands for itself
	classes []charClass // otherwise one for each character
}

// charClass matches one character in any of its ranges, or any character if it has no ranges.
type charClass []runeRange

type runeRange struct{ low, high rune }

func newGlob(pattern string) *glob {
	g := new(glob)
	var atoms []charClass
	flush := func() {
		g.segments = append(g.segments, newSegment(atoms))
		atoms = nil
	}
	for rest := pattern; rest != ""; {
		if rest[0] == '*' {
			flush()
			rest = rest[1:]
			continue
		}
		var a charClass
		a, rest = parseCharClass(rest)
		atoms = append(atoms, a)
	}
	flush()
	return g
}

func parseCharClass(rest string) (charClass, string) {
	switch rest[0] {
	case '?':
		return nil, rest[1:]
	case '[':
		if a, after, ok := parseClass(rest[1:]); ok {
			return a, after
		}
	}
	c, rest := parseRune(rest)
	return charClass{{c, c}}, rest
}

// parseRune reads a character, which may be escaped.
func parseRune(rest string) (rune, string) {
	if rest[0] == '\\' && len(rest) > 1 {
		rest = rest[1:]
	}
	r, n := utf8.DecodeRuneInString(rest)
	return r, rest[n:]
}

// parseClass parses what follows an opening bracket. ok is false if it is not a class.
func parseClass(rest string) (a charClass, after string, ok bool) {
	for rest != "" {
		if rest[0] == ']' {
			return a, rest[1:], len(a) > 0
		}
		var s runeRange
		s.low, rest = parseRune(rest)
		s.high = s.low
		if len(rest) > 1 && rest[0] == '-' && rest[1] != ']' {
			s.high, rest = parseRune(rest[1:])
		}
		a = append(a, s)
	}
	return nil, "", false
}

func newSegment(atoms []charClass) segment {
	var b strings.Builder
	for _, a := range atoms {
		if len(a) != 1 || a[0].low != a[0].high {
			return segment{classes: atoms}
		}
		b.WriteRune(a[0].low)
	}
	return segment{text: b.String()}
}

func (g *glob) matches(s string) bool {
	last := len(g.segments) - 1
	n := g.segments[0].matchPrefix(s)
	if n < 0 || last == 0 {
		return n == len(s)
	}
	s = s[n:]
	for _, r := range g.segments[1:last] {
		n := r.findEnd(s)
		if n < 0 {
			return false
		}
		s = s[n:]
	}
	return g.segments[last].hasSuffixMatch(s)
}

// matchPrefix returns the length of the prefix of s that the segment matches, or -1.
func (r *segment) matchPrefix(s string) int {
	if r.classes == nil {
		if strings.HasPrefix(s, r.text) {
			return len(r.text)
		}
		return -1
	}
	pos := 0
	for _, a := range r.classes {
		c, n := utf8.DecodeRuneInString(s[pos:])
		if n == 0 || !a.matches(c) {
			return -1
		}
		pos += n
	}
	return pos
}

// findEnd returns the end of the first match of the segment in s, or -1.
func (r *segment) findEnd(s string) int {
	if r.classes == nil {
		if i := strings.Index(s, r.text); i >= 0 {
			return i + len(r.text)
		}
		return -1
	}
	for i := range s {
		if n := r.matchPrefix(s[i:]); n >= 0 {
			return i + n
		}
	}
	return -1
}

func (r *segment) hasSuffixMatch(s string) bool {
	if r.classes == nil {
		return strings.HasSuffix(s, r.text)
	}
	start := len(s)
	for range r.classes {
		_, n := utf8.DecodeLastRuneInString(s[:start])
		start -= n
	}
	return r.matchPrefix(s[start:]) == len(s)-start
}

func (a charClass) matches(c rune) bool {
	for _, s := range a {
		if s.low <= c && c <= s.high {
			return true
		}
	}
	return len(a) == 0
}

// literalPrefix returns the text of a pattern such as Order*.
func (g *glob) literalPrefix() (string, bool) {
	return g.literalSegment(0)
}

// literalSuffix returns the text of a pattern such as *Completed.
func (g *glob) literalSuffix() (string, bool) {
	return g.literalSegment(1)
}

// literalSegment returns the text of a segment if the pattern consists of that segment and one star.
func (g *glob) literalSegment(at int) (string, bool) {
	if len(g.segments) != 2 || g.segments[at].classes != nil || g.segments[1-at].classes != nil || g.segments[1-at].text != "" {
		return "", false
	}
	return g.segments[at].text, true
}
