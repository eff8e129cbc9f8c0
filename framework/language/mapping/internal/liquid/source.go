package liquid

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/osteele/liquid/parser"
)

// piece is one tag of a template; outputs and the text between count as tags of their own.
type piece struct {
	tag    string
	args   string // what stands after the name; the text itself of a text
	source string // as it was written, for errors
}

// The tags that stand for what has no tag in a template.
const (
	textTag   = "text"
	outputTag = "output"
)

// disabledTags are those that Segment refuses.
var disabledTags = []string{"case", "for", "include", "layout", "render", "tablerow"}

// knownTags are those that a template may hold, beside raw, comment, liquid and inline comments.
var knownTags = []string{
	"assign", "capture", "endcapture", "cycle", "decrement", "echo", "else", "elsif", "endif", "endunless", "if", "increment", "unless",
}

// start is where the library is told that a template begins.
var start = parser.SourceLoc{Pathname: "template", LineNo: 1}

// outline is a template as the library reads it: a tag for each piece with the number of the piece as its argument, one on a
// line. What is inside the pieces is read here, for the library's own scanner ends an output at a }} inside quotes and trims
// printed values.
func outline(pieces []piece) string {
	var b strings.Builder
	for i, p := range pieces {
		fmt.Fprintf(&b, "{%% %s %d\n%%}", p.tag, i)
	}
	return b.String()
}

// trimmed is the library's error without the place it adds on both sides.
func trimmed(message, path string, line int) string {
	message = strings.TrimPrefix(message, fmt.Sprintf("Liquid error (line %d): ", line))
	return strings.TrimSuffix(message, " in "+path)
}

// shortened is source on one line and not too long.
func shortened(source string) string {
	const most = 60
	runes := []rune(strings.Join(strings.Fields(source), " "))
	if len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return string(runes)
}

// splitter cuts a template into pieces.
type splitter struct {
	rest   string
	pieces []piece
	trim   bool // white space at the start of the text that follows is left out
}

// split cuts a template into pieces. Comments are left out, raw parts are texts, white space that a dash takes away is gone.
func split(text string) ([]piece, error) {
	s := &splitter{rest: text}
	for s.rest != "" {
		at := opening(s.rest)
		s.text(s.rest[:at])
		if s.rest = s.rest[at:]; s.rest == "" {
			break
		}
		if err := s.markup(); err != nil {
			return nil, err
		}
	}
	return s.pieces, nil
}

// opening is where the first tag or output begins.
func opening(text string) int {
	for i := range len(text) - 1 {
		if text[i] == '{' && (text[i+1] == '{' || text[i+1] == '%') {
			return i
		}
	}
	return len(text)
}

func (s *splitter) text(text string) {
	if s.trim {
		text = strings.TrimLeftFunc(text, unicode.IsSpace)
	}
	s.trim = false
	if text != "" {
		s.pieces = append(s.pieces, piece{textTag, text, text})
	}
}

// markup takes the tag or output that the rest begins with.
func (s *splitter) markup() error {
	kind, closing := "tag", endOfTag(s.rest)
	if s.rest[1] == '{' {
		kind, closing = "output", endOfOutput(s.rest)
	}
	if closing < 0 {
		return fmt.Errorf("%s %s is not closed", kind, shortened(s.rest))
	}
	source := s.rest[:closing+2]
	s.rest = s.rest[closing+2:]
	inside := source[2:closing]
	if strings.HasPrefix(inside, "-") {
		inside = inside[1:]
		s.trimBefore()
	}
	if strings.HasSuffix(inside, "-") {
		inside = inside[:len(inside)-1]
		s.trim = true
	}
	inside = strings.TrimSpace(inside)
	if kind == "output" {
		s.pieces = append(s.pieces, piece{outputTag, inside, source})
		return nil
	}
	return s.tag(inside, source)
}

// endOfTag is where the first %} of a tag is, -1 where there is none.
func endOfTag(text string) int {
	if at := strings.Index(text[2:], "%}"); at >= 0 {
		return at + 2
	}
	return -1
}

// endOfOutput is where the }} of an output is that is not in quotes, -1 where there is none.
func endOfOutput(text string) int {
	for i := 2; i+1 < len(text); i++ {
		switch c := text[i]; {
		case c == '\'' || c == '"':
			n := quotedLen(text[i:])
			if n < 0 {
				return -1
			}
			i += n - 1
		case c == '}' && text[i+1] == '}':
			return i
		}
	}
	return -1
}

// quotedLen is the length of the quoted string that text begins with, -1 where it has no end.
func quotedLen(text string) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case text[0]:
			return i + 1
		}
	}
	return -1
}

func (s *splitter) trimBefore() {
	if n := len(s.pieces); n > 0 && s.pieces[n-1].tag == textTag {
		s.pieces[n-1].args = strings.TrimRightFunc(s.pieces[n-1].args, unicode.IsSpace)
	}
}

func (s *splitter) tag(inside, source string) error {
	name, args := tagName(inside)
	switch name {
	case "#":
		return inlineComment(inside, source)
	case "comment":
		return s.comment(source)
	case "raw":
		return s.raw(source)
	case "liquid":
		return s.lines(args)
	}
	return s.add(piece{name, args, source})
}

func (s *splitter) add(p piece) error {
	switch {
	case p.tag == "":
		return fmt.Errorf("there is no tag in %s", shortened(p.source))
	case slices.Contains(disabledTags, p.tag):
		return fmt.Errorf("tag %q is disabled", p.tag)
	case !slices.Contains(knownTags, p.tag):
		return fmt.Errorf("there is no tag %q in %s", p.tag, shortened(p.source))
	}
	s.pieces = append(s.pieces, p)
	return nil
}

// tagName divides the inside of a tag.
func tagName(inside string) (name, args string) {
	if strings.HasPrefix(inside, "#") {
		return "#", inside[1:]
	}
	end := strings.IndexFunc(inside, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if end < 0 {
		return inside, ""
	}
	return inside[:end], strings.TrimSpace(inside[end:])
}

// inlineComment checks that each line of a comment starts with #.
func inlineComment(inside, source string) error {
	for line := range strings.Lines(inside) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return fmt.Errorf("each line of an inline comment should start with # in %s", shortened(source))
		}
	}
	return nil
}

var (
	endRaw     = regexp.MustCompile(`\{%-?\s*endraw\s*-?%\}`)
	endComment = regexp.MustCompile(`\{%-?\s*endcomment\s*-?%\}`)
)

func (s *splitter) comment(source string) error {
	_, err := s.until(endComment, source)
	return err
}

func (s *splitter) raw(source string) error {
	trim := s.trim
	inside, err := s.until(endRaw, source)
	if err != nil {
		return err
	}
	after := s.trim
	s.trim = trim
	s.text(inside)
	s.trim = after
	return nil
}

// until takes everything up to an end tag, which may trim the text after it.
func (s *splitter) until(end *regexp.Regexp, source string) (string, error) {
	at := end.FindStringIndex(s.rest)
	if at == nil {
		return "", fmt.Errorf("tag %s is not closed", shortened(source))
	}
	inside, tag := s.rest[:at[0]], s.rest[at[0]:at[1]]
	s.rest = s.rest[at[1]:]
	s.trim = strings.HasSuffix(tag, "-%}")
	return inside, nil
}

// lines takes the inside of a liquid tag, in which each line is a tag.
func (s *splitter) lines(text string) error {
	comment := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		name, args := tagName(line)
		var err error
		switch {
		case line == "" || name == "#":
		case name == "comment" || name == "endcomment":
			comment = name == "comment"
		case !comment:
			err = s.add(piece{name, args, line})
		}
		if err != nil {
			return err
		}
	}
	if comment {
		return fmt.Errorf("comment in {%% liquid %%} is not closed")
	}
	return nil
}
