package yamldoc

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Edit is text changed so that it says to. As little of it is written anew as can be: what stays has its comments, its order and
// its form. A text that cannot be read is an error.
func Edit(name string, text []byte, to event.Value) ([]byte, error) {
	doc, err := Parse(name, text)
	if err != nil {
		return nil, err
	}
	if same(doc.Value(), to) {
		return text, nil
	}
	if text, err = event.WithoutBOM(text); err != nil { // places are those of the text without it
		return nil, err
	}
	// Where a change would be seen elsewhere, through an alias, or is not understood, more is written anew.
	for _, depth := range []int{100, 6, 5, 4, 3, 2, 1} {
		e := editor{doc: doc, lines: strings.Split(string(text), "\n"), depth: depth}
		if e.value("", doc.Value(), to, 0) && !e.failed {
			if edited := e.apply(); says(name, edited, to) {
				return edited, nil
			}
		}
	}
	if whole := []byte(strings.Join(written(to, 0), "\n") + "\n"); says(name, whole, to) {
		return whole, nil
	}
	return append(to.AppendJSON(nil), '\n'), nil
}

func says(name string, text []byte, v event.Value) bool {
	doc, err := Parse(name, text)
	return err == nil && same(doc.Value(), v)
}

// same tells whether two values are the same in every way that a text shows, their order included.
func same(a, b event.Value) bool { return a.JSON() == b.JSON() }

// editor gathers the changes of a text.
type editor struct {
	doc    *Document
	lines  []string
	depth  int // values that lie deeper are written anew as a whole
	edits  []edit
	failed bool
}

// edit puts other lines in the place of some.
type edit struct {
	from, to int // indexes of lines, to is behind the last
	lines    []string
}

// value changes the value at a pointer where that can be done by its parts; false where it has to be written anew.
func (e *editor) value(pointer string, old, to event.Value, depth int) bool {
	if same(old, to) {
		return true
	}
	if depth >= e.depth || old.Kind() != to.Kind() || to.Len() == 0 || !e.isBlock(pointer, old) {
		return false
	}
	switch old.Kind() {
	case event.Object:
		return e.object(pointer, old, to, depth)
	case event.Array:
		return e.array(pointer, old, to, depth)
	}
	return false
}

// isBlock tells whether the parts of a value stand on lines of their own.
func (e *editor) isBlock(pointer string, v event.Value) bool {
	if v.Len() == 0 {
		return false
	}
	line, column := e.doc.Place(pointer)
	if line > len(e.lines) || column > len(e.lines[line-1]) {
		return false
	}
	switch rest := e.lines[line-1][column-1:]; v.Kind() {
	case event.Object:
		return !strings.ContainsAny(rest[:1], "{&*!")
	case event.Array:
		return rest[0] == '-'
	}
	return false
}

func (e *editor) object(pointer string, old, to event.Value, depth int) bool {
	_, column := e.doc.Place(pointer)
	end := 0
	for key, was := range old.Members() {
		inner := pointer + fault.PointerKey(key)
		at, ok := e.doc.keys[inner]
		if !ok || at.column != column { // merged from elsewhere
			return false
		}
		from, behind := at.line-1, e.blockEnd(at.line-1, column-1)
		end = max(end, behind)
		now := to.Get(key)
		switch {
		case now.Kind() == event.Absent && strings.TrimSpace(e.lines[from][:column-1]) != "":
			return false // it stands behind the dash of an item
		case now.Kind() == event.Absent:
			e.edits = append(e.edits, edit{from, behind, nil})
		case !e.value(inner, was, now, depth+1):
			e.replace(inner, key, now, from, behind, column-1)
		}
	}
	for key, now := range to.Members() {
		if old.Get(key).Kind() == event.Absent {
			member := event.NewObject([]event.Member{{Key: key, Value: now}})
			e.edits = append(e.edits, edit{end, end, written(member, column-1)})
		}
	}
	return true
}

// replace writes a member anew. A scalar on one line leaves what stands behind it.
func (e *editor) replace(pointer, key string, to event.Value, from, behind, indent int) {
	line := e.lines[from]
	at, known := e.doc.values[pointer]
	if known && at.line-1 == from && behind == from+1 && at.column <= len(line) && to.Kind() != event.Object && to.Kind() != event.Array {
		text := written(to, 0)
		if length := scalarLength(line[at.column-1:]); length > 0 && len(text) == 1 {
			e.edits = append(e.edits, edit{from, behind, []string{line[:at.column-1] + text[0] + line[at.column-1+length:]}})
			return
		}
	}
	lines := written(event.NewObject([]event.Member{{Key: key, Value: to}}), indent)
	lines[0] = line[:indent] + lines[0][indent:]
	e.edits = append(e.edits, edit{from, behind, lines})
}

// scalarLength is how much of a line a scalar takes that begins it; 0 where that is not clear.
func scalarLength(rest string) int {
	switch rest[0] {
	case '"':
		for i := 1; i < len(rest); i++ {
			if rest[i] == '\\' {
				i++
			} else if rest[i] == '"' {
				return i + 1
			}
		}
		return 0
	case '\'':
		for i := 1; i < len(rest); i++ {
			if rest[i] != '\'' {
				continue
			}
			if i+1 < len(rest) && rest[i+1] == '\'' {
				i++
				continue
			}
			return i + 1
		}
		return 0
	case '{', '[', '|', '>', '&', '*', '!':
		return 0
	}
	if at := strings.Index(rest, " #"); at >= 0 {
		rest = rest[:at]
	}
	return len(strings.TrimRight(rest, " \t\r"))
}

func (e *editor) array(pointer string, old, to event.Value, depth int) bool {
	line, column := e.doc.Place(pointer)
	indent := column - 1
	items := make([]edit, old.Len()) // their lines
	for i := range items {
		from := e.dash(line-1, indent, i)
		if from < 0 {
			return false
		}
		items[i] = edit{from: from, to: e.blockEnd(from, indent)}
	}
	begin := 0
	for begin < old.Len() && begin < to.Len() && same(old.Index(begin), to.Index(begin)) {
		begin++
	}
	oldEnd, toEnd := old.Len(), to.Len()
	for oldEnd > begin && toEnd > begin && same(old.Index(oldEnd-1), to.Index(toEnd-1)) {
		oldEnd, toEnd = oldEnd-1, toEnd-1
	}
	both := min(oldEnd, toEnd)
	for i := begin; i < both; i++ {
		if !e.value(fmt.Sprintf("%s/%d", pointer, i), old.Index(i), to.Index(i), depth+1) {
			e.edits = append(e.edits, edit{items[i].from, items[i].to, item(to.Index(i), indent)})
		}
	}
	for i := both; i < oldEnd; i++ {
		e.edits = append(e.edits, edit{items[i].from, items[i].to, nil})
	}
	at := items[len(items)-1].to
	if both > 0 && both < len(items) {
		at = items[both-1].to
	} else if both == 0 {
		at = items[0].from
	}
	for i := both; i < toEnd; i++ {
		e.edits = append(e.edits, edit{at, at, item(to.Index(i), indent)})
	}
	return true
}

// dash is the line of the n-th item of a block sequence whose first one is at a line; -1 where there is none.
func (e *editor) dash(line, indent, n int) int {
	for ; line < len(e.lines); line = e.blockEnd(line, indent) {
		for line < len(e.lines) && isBare(e.lines[line]) {
			line++
		}
		if line >= len(e.lines) || !isDash(e.lines[line], indent) && n > 0 {
			return -1
		}
		if n == 0 {
			if len(e.lines[line]) <= indent || e.lines[line][indent] != '-' {
				return -1
			}
			return line
		}
		n--
	}
	return -1
}

func isDash(line string, indent int) bool {
	return indentOf(line) <= indent && len(line) > indent && line[indent] == '-' && (len(line) == indent+1 || line[indent+1] == ' ')
}

// blockEnd is the line behind a block that begins at a line and an indent: its last one that is not bare.
func (e *editor) blockEnd(from, indent int) int {
	end := from + 1
	opensSequence := strings.HasSuffix(strings.TrimRight(withoutComment(e.lines[from]), " \t\r"), ":") && !isDash(e.lines[from], indent)
	for i := from + 1; i < len(e.lines); i++ {
		line := e.lines[i]
		deeper := indentOf(line) > indent || opensSequence && indentOf(line) == indent && isDash(line, indent)
		switch {
		case strings.TrimSpace(line) == "":
		case deeper:
			end = i + 1
		case isBare(line):
		default:
			return end
		}
	}
	return end
}

func withoutComment(line string) string {
	if at := strings.Index(line, " #"); at >= 0 {
		return line[:at]
	}
	return line
}

// isBare tells whether a line is empty or a comment.
func isBare(line string) bool {
	text := strings.TrimSpace(line)
	return text == "" || text[0] == '#'
}

func indentOf(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// apply makes the changes.
func (e *editor) apply() []byte {
	slices.SortStableFunc(e.edits, func(a, b edit) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
	var out []string
	at := 0
	for _, change := range e.edits {
		if change.from < at {
			return nil // they are in each other's way
		}
		out = append(append(out, e.lines[at:change.from]...), change.lines...)
		at = change.to
	}
	out = append(out, e.lines[at:]...)
	return []byte(strings.TrimRight(strings.Join(out, "\n"), "\n") + "\n")
}

// item is a value as an item of a sequence.
func item(v event.Value, indent int) []string {
	lines := written(v, indent+2)
	lines[0] = strings.Repeat(" ", indent) + "- " + strings.TrimLeft(lines[0], " ")
	return lines
}

// written is a value as lines of YAML with an indent.
func written(v event.Value, indent int) []string {
	text := Write(v)
	if bare := []byte(v.Str()); v.IsString() && says("", bare, v) {
		text = bare
	} else if !says("", text, v) {
		text = v.AppendJSON(nil)
	}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	margin := strings.Repeat(" ", indent)
	for i, line := range lines {
		if line != "" {
			lines[i] = margin + line
		}
	}
	return lines
}
