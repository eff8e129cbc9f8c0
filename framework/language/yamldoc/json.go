package yamldoc

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// checkEncoding rejects a text that is not UTF-8, with the place of the first wrong byte.
func (d *Document) checkEncoding(text []byte) error {
	for at := 0; at < len(text); {
		r, size := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && size == 1 {
			return fault.Problems{d.problemAt(text, at, fmt.Sprintf("the byte %#x is not UTF-8: save the file as UTF-8", text[at]))}
		}
		at += size
	}
	return nil
}

// checkJSON rejects a text that is not JSON if the document's name ends in .json. YAML allows more: comments, plain texts, a comma after
// the last entry.
func (d *Document) checkJSON(text []byte) error {
	if !strings.EqualFold(path.Ext(d.name), ".json") {
		return nil
	}
	_, err := event.ParseValue(text)
	var wrong *event.SyntaxError
	if !errors.As(err, &wrong) {
		return err
	}
	return fault.Problems{d.problemAt(text, wrong.Offset, "this is not JSON: "+explainJSON(text, wrong))}
}

// explainJSON says what JSON does not allow, for what YAML allows there.
func explainJSON(text []byte, wrong *event.SyntaxError) string {
	rest, before := text[min(wrong.Offset, len(text)):], bytes.TrimRight(text[:min(wrong.Offset, len(text))], " \t\r\n")
	switch {
	case len(bytes.TrimSpace(text)) == 0:
		return "the file is empty"
	case bytes.HasSuffix(before, []byte(",")) && (bytes.HasPrefix(rest, []byte("]")) || bytes.HasPrefix(rest, []byte("}"))):
		return "there is a comma after the last entry"
	case bytes.HasPrefix(rest, []byte("#")) || bytes.HasPrefix(rest, []byte("/")):
		return "it has no comments"
	case bytes.HasPrefix(rest, []byte("'")):
		return "texts and keys are written in double quotes"
	}
	return wrong.Message
}

// problemAt returns a problem at a byte of the text.
func (d *Document) problemAt(text []byte, offset int, message string) fault.Problem {
	before := text[:min(offset, len(text))]
	start := bytes.LastIndexByte(before, '\n') + 1
	return fault.Problem{File: d.name, Line: bytes.Count(before, []byte("\n")) + 1, Column: utf8.RuneCount(before[start:]) + 1, Message: message}
}
