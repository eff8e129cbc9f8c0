package liquid

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/landfall-dev/landfall/framework/fault"
)

// piece is a text, an output or a tag of a template.
type piece struct {
	tag    string // the name of a tag, or one of the kinds below
	args   string // what follows a tag's name, the content of an output, or a text
	source string // the original source, for error messages
	offset int    // of the source in the template
}

// The kinds of pieces that are not tags. No tag has such a name.
const (
	textPiece   = "text "
	outputPiece = "output "
)

// truncateSource returns source on one line, truncated.
func truncateSource(source string) string {
	return fault.Shorten(strings.Join(strings.Fields(source), " "), 60)
}

// splitter cuts a template into pieces.
type splitter struct {
	text   string
	rest   string // the part of text that is not split yet
	tags   map[string]*tag
	pieces []piece
	trim   bool // remove white space at the start of the next text
}

// splitTemplate splits a template into pieces. It drops comments, turns raw blocks into text, and removes the white space that a
// dash trims.
func splitTemplate(text string, tags map[string]*tag) ([]piece, error) {
	s := &splitter{text: text, rest: text, tags: tags}
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

var (
	errTagNotClosed    = errors.New("the tag is not closed")
	errOutputNotClosed = errors.New("the output is not closed")
)

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
		s.pieces = append(s.pieces, piece{tag: textPiece, args: text})
	}
}

// splitMarkup splits off the tag or output at the beginning of the rest.
func (s *splitter) splitMarkup() error {
	p, closing, unclosed := piece{offset: len(s.text) - len(s.rest)}, endOfTag(s.rest), errTagNotClosed
	isOutput := s.rest[1] == '{'
	if isOutput {
		p.tag, closing, unclosed = outputPiece, endOfOutput(s.rest), errOutputNotClosed
	}
	if closing < 0 {
		p.source = s.rest
		return p.errorAt(s.text, unclosed)
	}
	p.source = s.rest[:closing+2]
	s.rest = s.rest[closing+2:]
	inside := p.source[2:closing]
	if strings.HasPrefix(inside, "-") {
		inside = inside[1:]
		s.trimBefore()
	}
	if strings.HasSuffix(inside, "-") {
		inside = inside[:len(inside)-1]
		s.trim = true
	}
	p.args = strings.TrimSpace(inside)
	if isOutput {
		s.pieces = append(s.pieces, p)
		return nil
	}
	p.tag, p.args = tagName(p.args)
	return s.addTag(p)
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
	if n := len(s.pieces); n > 0 && s.pieces[n-1].tag == textPiece {
		s.pieces[n-1].args = strings.TrimRightFunc(s.pieces[n-1].args, unicode.IsSpace)
	}
}

// addTag adds a tag, or runs it if it concerns how the template is split.
func (s *splitter) addTag(p piece) error {
	t, err := s.tags[p.tag], error(nil)
	switch {
	case p.tag == "":
		err = errors.New("missing tag name")
	case t == nil:
		err = fmt.Errorf("unknown tag %q%s", p.tag, fault.DidYouMean(p.tag, slices.Sorted(maps.Keys(s.tags))))
	case t.disabled:
		err = fmt.Errorf("tag %q is disabled", p.tag)
	case t.split != nil:
		err = t.split(s, p)
	default:
		s.pieces = append(s.pieces, p)
	}
	return p.errorAt(s.text, err)
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

// skipInlineComment checks that every line of an inline comment starts with #.
func skipInlineComment(_ *splitter, p piece) error {
	for line := range strings.Lines("#" + p.args) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return errors.New("each line of an inline comment should start with #")
		}
	}
	return nil
}

var (
	endRaw     = regexp.MustCompile(`\{%-?\s*endraw\s*-?%\}`)
	endComment = regexp.MustCompile(`\{%-?\s*endcomment\s*-?%\}`)
)

func skipComment(s *splitter, _ piece) error {
	_, err := s.skipUntil(endComment)
	return err
}

func addRaw(s *splitter, _ piece) error {
	trim := s.trim
	inside, err := s.skipUntil(endRaw)
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
func (s *splitter) skipUntil(end *regexp.Regexp) (string, error) {
	at := end.FindStringIndex(s.rest)
	if at == nil {
		return "", errTagNotClosed
	}
	inside, tag := s.rest[:at[0]], s.rest[at[0]:at[1]]
	s.rest = s.rest[at[1]:]
	s.trim = strings.HasSuffix(tag, "-%}")
	return inside, nil
}

// addLines adds the content of a liquid tag, in which each line is a tag.
func addLines(s *splitter, p piece) error {
	comment, offset := false, p.offset+strings.LastIndex(p.source, p.args)
	for line := range strings.Lines(p.args) {
		text := strings.TrimSpace(line)
		inner := piece{source: text, offset: offset + strings.Index(line, text)}
		offset += len(line)
		inner.tag, inner.args = tagName(text)
		switch {
		case text == "" || inner.tag == "#":
		case inner.tag == "comment" || inner.tag == "endcomment":
			comment = inner.tag == "comment"
		case comment:
		case s.tags[inner.tag] != nil && s.tags[inner.tag].split != nil:
			return inner.errorAt(s.text, fmt.Errorf("tag %q is not allowed in {%% liquid %%}", inner.tag))
		default:
			if err := s.addTag(inner); err != nil {
				return err
			}
		}
	}
	if comment {
		return errors.New("a comment is not closed")
	}
	return nil
}
