package fql

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Rewrite converts a query that Segment accepts but Compile does not. It converts keywords to lower case, replaces operators of
// other languages, replaces a comma between conditions by "and", and quotes a single word after = or !=. It returns a query that
// compiles unchanged. If the result does not compile, it returns the error of the result: what is left to correct.
func Rewrite(text string) (string, error) {
	_, err := Compile(text)
	if err == nil || len(text) > MaxBytes || !utf8.ValidString(text) {
		return text, err
	}
	r := rewriter{lexer: lexer{text: text}}
	for !r.atEnd() {
		r.rewriteNext()
	}
	rewritten := r.out.String()
	if _, err := Compile(rewritten); err != nil {
		return "", err
	}
	return rewritten, nil
}

// rewriter copies a query piece by piece and replaces what Compile refuses.
type rewriter struct {
	lexer
	out   strings.Builder
	last  string // the last piece that is not white space
	lists []bool // for each open bracket or parenthesis, whether commas separate items in it
}

func (r *rewriter) rewriteNext() {
	start := r.pos
	switch c := r.peek(); {
	case c == '"' || c == '\'':
		r.rewriteString()
	case c == '(':
		r.lists = append(r.lists, findFunction(r.last) != nil)
		r.replaceSymbol("(", "(")
	case c == '[':
		r.lists = append(r.lists, true)
		r.replaceSymbol("[", "[")
	case c == ')' || c == ']':
		r.lists = r.lists[:max(len(r.lists)-1, 0)]
		r.replaceSymbol(string(c), string(c))
	case c == ',' && (len(r.lists) == 0 || !r.lists[len(r.lists)-1]):
		r.replaceSymbol(",", " and")
	case isPathStart(c):
		r.rewriteWord()
	case !r.rewriteOperator():
		r.pos += utf8.RuneLen(c)
		r.writePiece(r.text[start:r.pos])
	}
}

// rewriteString copies the text at the current position, or the number in it if it is compared by size.
func (r *rewriter) rewriteString() {
	start := r.pos
	var t token
	err := r.readString(&t) // an open quote is copied as it is; Compile refuses it
	if n, ok := parseNumber(strings.TrimSpace(t.content)); ok && err == nil && r.last != "" && isOrderOperator(r.last) {
		r.writePiece(n.Digits())
		return
	}
	r.writePiece(r.text[start:r.pos])
}

// writePiece appends a piece to the output.
func (r *rewriter) writePiece(piece string) {
	r.out.WriteString(piece)
	if piece = strings.TrimSpace(piece); piece != "" {
		r.last = piece
	}
}

func (r *rewriter) replaceSymbol(symbol, written string) {
	r.pos += len(symbol)
	r.writePiece(written)
}

// rewriteOperator copies or corrects the operator at the current position, if there is one.
func (r *rewriter) rewriteOperator() bool {
	for _, slip := range commonMistakes {
		switch {
		case !r.skipPrefix(slip.wrong):
			continue
		case slip.right == straightQuotes:
			r.writePiece(`"`)
		default:
			r.writePiece(strings.Trim(slip.right, `"`))
		}
		return true
	}
	for _, symbol := range symbols {
		if r.skipPrefix(symbol) {
			r.writePiece(symbol)
			return true
		}
	}
	return false
}

// rewriteWord copies or corrects the path, keyword or function name at the current position.
func (r *rewriter) rewriteWord() {
	start := r.pos
	var t token
	if err := r.readPath(&t); err != nil {
		r.pos = start
		r.pos += utf8.RuneLen(r.peek())
		r.writePiece(r.text[start:r.pos])
		return
	}
	t.text = r.text[start:r.pos]
	lower := strings.ToLower(t.text)
	switch {
	case slices.Contains(keywords, lower):
		r.writePiece(lower)
	case (r.last == "=" || r.last == "!=") && t.isPlainWord() && (r.atEnd() || r.peek() != '('):
		r.writePiece(`"` + t.text + `"`)
	default:
		r.writePiece(t.text)
	}
}
