package liquid

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/osteele/liquid/parser"
)

// piece is one tag of a template. Outputs and the text in between are represented as tags too.
type piece struct {
	tag    string
	args   string // the text after the tag's name, or the whole text of a text piece
	source string // the original source, for error messages
}

// The tag names of outputs and text.
const (
	textTag   = "text"
	outputTag = "output"
)

// disabledTags are tags that Segment does not allow.
var disabledTags = []string{"case", "for", "include", "layout", "render", "tablerow"}

// knownTags are the allowed tags, in addition to raw, comment, liquid and inline comments.
var knownTags = []string{
	"assign", "capture", "endcapture", "cycle", "decrement", "echo", "else", "elsif", "endif", "endunless", "if", "increment", "unless",
}

// start is the position that is passed to the library as the start of a template.
var start = parser.SourceLoc{Pathname: "template", LineNo: 1}

// outlineOf returns the template in the form that the library parses: one tag on a line for each piece, with the index of the piece
// as its argument. This package parses the content of the pieces itself, because the library's scanner ends an output at a }}
// inside quotes and trims printed values.
func outlineOf(pieces []piece) string {
	var b strings.Builder
	for i, p := range pieces {
		fmt.Fprintf(&b, "{%% %s %d\n%%}", p.tag, i)
	}
	return b.String()
}

// trimPosition removes the position that the library adds at both ends of an error message.
func trimPosition(message, path string, line int) string {
	message = strings.TrimPrefix(message, fmt.Sprintf("Liquid error (line %d): ", line))
	return strings.TrimSuffix(message, " in "+path)
}

// truncateSource returns source on one line, truncated.
func truncateSource(source string) string {
	const maxLen = 60
	runes := []rune(strings.Join(strings.Fields(source), " "))
	if len(runes) > maxLen {
		return string(runes[:maxLen]) + "…"
	}
	return string(runes)
}

// splitter cuts a template into pieces.
type splitter struct {
	rest   string
	pieces []piece
	trim   bool // remove white space at the start of the next text
}

// splitTemplate splits a template into pieces. It drops comments, turns raw blocks into text, and removes the white space that a
// dash trims.
func splitTemplate(text string) ([]piece, error) {
	s := &splitter{rest: text}
	for s.rest != "" {
		at := openingIndex(s.rest)
		s.addText(s.rest[:at])
		if s.rest = s.rest[at:]; s.rest == "" {
			break
		}
		if err := s.splitMarkup(); err != nil {
			return nil, err
		}
	}
	return s.pieces, nil
}

// openingIndex returns the index of the first tag or output, or the length of the text.
func openingIndex(text string) int {
	for i := range len(text) - 1 {
		if text[i] == '{' && (text[i+1] == '{' || text[i+1] == '%') {
			return i
		}
	}
	return len(text)
}

func (s *splitter) addText(text string) {
	if s.trim {
		text = strings.TrimLeftFunc(text, unicode.IsSpace)
	}
	s.trim = false
	if text != "" {
		s.pieces = append(s.pieces, piece{textTag, text, text})
	}
}

// splitMarkup splits off the tag or output at the beginning of the rest.
func (s *splitter) splitMarkup() error {
	kind, closing := "tag", endOfTag(s.rest)
	if s.rest[1] == '{' {
		kind, closing = "output", endOfOutput(s.rest)
	}
	if closing < 0 {
		return fmt.Errorf("%s %s is not closed", kind, truncateSource(s.rest))
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
	return s.addTag(inside, source)
}

// endOfTag returns the index of the first %} of a tag, or -1.
func endOfTag(text string) int {
	if at := strings.Index(text[2:], "%}"); at >= 0 {
		return at + 2
	}
	return -1
}

// endOfOutput returns the index of the first }} of an output that is not in quotes, or -1.
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

// quotedLen returns the length of the quoted string at the beginning of text, or -1 if it is not closed.
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

func (s *splitter) addTag(inside, source string) error {
	name, args := tagName(inside)
	switch name {
	case "#":
		return checkInlineComment(inside, source)
	case "comment":
		return s.skipComment(source)
	case "raw":
		return s.addRaw(source)
	case "liquid":
		return s.addLines(args)
	}
	return s.addPiece(piece{name, args, source})
}

func (s *splitter) addPiece(p piece) error {
	switch {
	case p.tag == "":
		return fmt.Errorf("missing tag name in %s", truncateSource(p.source))
	case slices.Contains(disabledTags, p.tag):
		return fmt.Errorf("tag %q is disabled", p.tag)
	case !slices.Contains(knownTags, p.tag):
		return fmt.Errorf("unknown tag %q in %s", p.tag, truncateSource(p.source))
	}
	s.pieces = append(s.pieces, p)
	return nil
}

// tagName splits the content of a tag into its name and arguments.
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

// checkInlineComment checks that every line of an inline comment starts with #.
func checkInlineComment(inside, source string) error {
	for line := range strings.Lines(inside) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return fmt.Errorf("each line of an inline comment should start with # in %s", truncateSource(source))
		}
	}
	return nil
}

var (
	endRaw     = regexp.MustCompile(`\{%-?\s*endraw\s*-?%\}`)
	endComment = regexp.MustCompile(`\{%-?\s*endcomment\s*-?%\}`)
)

func (s *splitter) skipComment(source string) error {
	_, err := s.skipUntil(endComment, source)
	return err
}

func (s *splitter) addRaw(source string) error {
	trim := s.trim
	inside, err := s.skipUntil(endRaw, source)
	if err != nil {
		return err
	}
	after := s.trim
	s.trim = trim
	s.addText(inside)
	s.trim = after
	return nil
}

// skipUntil returns the text before an end tag and skips the tag, which may trim the text after it.
func (s *splitter) skipUntil(end *regexp.Regexp, source string) (string, error) {
	at := end.FindStringIndex(s.rest)
	if at == nil {
		return "", fmt.Errorf("tag %s is not closed", truncateSource(source))
	}
	inside, tag := s.rest[:at[0]], s.rest[at[0]:at[1]]
	s.rest = s.rest[at[1]:]
	s.trim = strings.HasSuffix(tag, "-%}")
	return inside, nil
}

// addLines adds the content of a liquid tag, in which each line is a tag.
func (s *splitter) addLines(text string) error {
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
			err = s.addPiece(piece{name, args, line})
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
