package yamldoc

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// EditScalars is Edit for a value that differs from the text's in texts and numbers only. It replaces these in place, so that nothing
// else changes, not even within {} and []. If that is not possible, it does what Edit does.
func EditScalars(name string, text []byte, to event.Value) ([]byte, error) {
	doc, err := Parse(name, text)
	if err != nil {
		return nil, err
	}
	e := scalarEditor{doc: doc, lines: strings.SplitAfter(string(text), "\n")}
	if e.compare("", doc.Value(), to) {
		if edited := e.apply(); hasValue(name, edited, to) {
			return edited, nil
		}
	}
	return Edit(name, text, to)
}

// scalarEditor collects the scalars to replace.
type scalarEditor struct {
	doc   *Document
	lines []string // with their line breaks
	edits []scalarEdit
}

// scalarEdit replaces a part of a line.
type scalarEdit struct {
	line, from, length int
	text               string
}

// compare adds an edit for each scalar that differs. It returns false if something else differs, or a scalar is not found.
func (e *scalarEditor) compare(pointer string, old, to event.Value) bool {
	switch {
	case isSame(old, to):
		return true
	case old.Kind() == event.Object && to.Kind() == event.Object && old.Len() == to.Len():
		for key, m := range old.Members() {
			if !e.compare(pointer+fault.PointerKey(key), m, to.Get(key)) {
				return false
			}
		}
		return true
	case old.Kind() == event.Array && to.Kind() == event.Array && old.Len() == to.Len():
		for i, item := range old.Items() {
			if !e.compare(pointer+"/"+strconv.Itoa(i), item, to.Index(i)) {
				return false
			}
		}
		return true
	}
	return e.addScalar(pointer, old, to)
}

// addScalar adds the edit of one scalar.
func (e *scalarEditor) addScalar(pointer string, old, to event.Value) bool {
	isScalar := func(v event.Value) bool { return v.Kind() == event.String || v.Kind() == event.Number }
	line, column := e.doc.Position(pointer)
	if !isScalar(old) || !isScalar(to) || line > len(e.lines) {
		return false
	}
	write := func(v event.Value) string { return strings.TrimSuffix(string(Write(v)), "\n") }
	from := 0
	for i := range e.lines[line-1] {
		if column--; column == 0 {
			from = i
			break
		}
	}
	if strings.HasPrefix(strings.TrimSpace(e.lines[0]), "{") { // JSON
		write = event.Value.JSON
	}
	rest, length, written := e.lines[line-1][from:], len(old.Text()), write(to)
	switch {
	case strings.HasPrefix(rest, `"`), strings.HasPrefix(rest, "'"):
		length = scalarLength(rest)
	case !strings.HasPrefix(rest, old.Text()):
		return false
	}
	e.edits = append(e.edits, scalarEdit{line - 1, from, length, written})
	return length > 0
}

// apply returns the text with the edits.
func (e *scalarEditor) apply() []byte {
	slices.SortFunc(e.edits, func(a, b scalarEdit) int { return cmp.Or(cmp.Compare(b.line, a.line), cmp.Compare(b.from, a.from)) })
	for _, edit := range e.edits {
		line := e.lines[edit.line]
		e.lines[edit.line] = line[:edit.from] + edit.text + line[edit.from+edit.length:]
	}
	return []byte(strings.Join(e.lines, ""))
}
