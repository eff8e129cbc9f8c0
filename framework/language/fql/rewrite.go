package fql

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Rewrite returns a query that Compile takes for one that Segment takes and Compile does not: keywords in capitals and the
// operators of other languages become those of this one, a comma between conditions becomes "and", and a word without
// quotes behind = or != is put in quotes. A query that compiles is returned as it is. The error is that of the given text, if
// what it means cannot be told.
func Rewrite(text string) (string, error) {
	_, err := Compile(text)
	if err == nil || len(text) > MaxBytes || !utf8.ValidString(text) {
		return text, err
	}
	r := rewriter{lexer: lexer{text: text}}
	for !r.done() {
		r.piece()
	}
	rewritten := r.out.String()
	if _, again := Compile(rewritten); again != nil {
		return "", err
	}
	return rewritten, nil
}

// rewriter copies a query piece by piece and replaces what Compile would refuse.
type rewriter struct {
	lexer
	out   strings.Builder
	last  string // the last piece that is no space
	lists []bool // for each open bracket or parenthesis, whether commas separate items in it
}

func (r *rewriter) piece() {
	start := r.pos
	switch c := r.peek(); {
	case c == '"' || c == '\'':
		_ = r.quoted(&token{}) // an open quote is copied whole; Compile refuses it
		r.put(r.text[start:r.pos])
	case c == '(':
		r.lists = append(r.lists, functionOf(r.last) != nil)
		r.symbolAs("(", "(")
	case c == '[':
		r.lists = append(r.lists, true)
		r.symbolAs("[", "[")
	case c == ')' || c == ']':
		r.lists = r.lists[:max(len(r.lists)-1, 0)]
		r.symbolAs(string(c), string(c))
	case c == ',' && (len(r.lists) == 0 || !r.lists[len(r.lists)-1]):
		r.symbolAs(",", " and")
	case beginsPath(c):
		r.wordAt()
	case !r.operator():
		r.pos += utf8.RuneLen(c)
		r.put(r.text[start:r.pos])
	}
}

// put writes a piece.
func (r *rewriter) put(piece string) {
	r.out.WriteString(piece)
	if piece = strings.TrimSpace(piece); piece != "" {
		r.last = piece
	}
}

func (r *rewriter) symbolAs(symbol, written string) {
	r.pos += len(symbol)
	r.put(written)
}

// operator writes the operator that stands here, or that is meant by what stands here.
func (r *rewriter) operator() bool {
	for _, slip := range slips {
		switch {
		case !r.accept(slip.wrong):
			continue
		case slip.right == straightQuotes:
			r.put(`"`)
		default:
			r.put(strings.Trim(slip.right, `"`))
		}
		return true
	}
	for _, symbol := range symbols {
		if r.accept(symbol) {
			r.put(symbol)
			return true
		}
	}
	return false
}

// wordAt writes the field path, keyword or function name that stands here.
func (r *rewriter) wordAt() {
	start := r.pos
	var t token
	if err := r.word(&t); err != nil {
		r.pos = start
		r.pos += utf8.RuneLen(r.peek())
		r.put(r.text[start:r.pos])
		return
	}
	t.text = r.text[start:r.pos]
	lower := strings.ToLower(t.text)
	switch {
	case slices.Contains(keywords, lower):
		r.put(lower)
	case (r.last == "=" || r.last == "!=") && t.plain() && (r.done() || r.peek() != '('):
		r.put(`"` + t.text + `"`)
	default:
		r.put(t.text)
	}
}
