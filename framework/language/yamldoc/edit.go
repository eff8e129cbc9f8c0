package yamldoc

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Edit changes the text so that its value becomes to. It changes as few lines as possible, so the rest keeps its comments, order
// and formatting. Lines end as most lines of the text do. It returns an error if the text cannot be parsed.
func Edit(name string, text []byte, to event.Value) ([]byte, error) {
	ended := bytes.Count(text, []byte("\r\n"))
	if 2*ended <= bytes.Count(text, []byte("\n")) {
		return editLines(name, text, to)
	}
	edited, err := editLines(name, bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), to)
	if err != nil {
		return nil, err
	}
	if whole := bytes.ReplaceAll(edited, []byte("\n"), []byte("\r\n")); hasValue(name, whole, to) {
		return whole, nil
	}
	return edited, nil
}

// editLines is Edit for a text whose lines end with a line feed.
func editLines(name string, text []byte, to event.Value) ([]byte, error) {
	doc, err := Parse(name, text)
	if err != nil {
		return nil, err
	}
	if isSame(doc.Value(), to) {
		return text, nil
	}
	if text, err = event.WithoutBOM(text); err != nil { // positions refer to the text without the mark
		return nil, err
	}
	depths := []int{100, 6, 5, 4, 3, 2, 1}
	if at := bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")); bytes.IndexByte(at, '\r') >= 0 { // a line ends there, too
		if at = bytes.ReplaceAll(at, []byte("\r"), []byte("\n")); hasValue(name, at, doc.Value()) {
			return editLines(name, at, to)
		}
		depths = nil // positions do not refer to the lines below
	}
	// If an edit would also change another value, through an alias, or if the result does not parse as expected, retry with a
	// smaller depth, which replaces larger parts.
	for _, depth := range depths {
		e := editor{doc: doc, lines: strings.Split(string(text), "\n"), depth: depth}
		if e.editValue("", doc.Value(), to, 0) {
			if edited := e.applyEdits(); hasValue(name, edited, to) {
				return edited, nil
			}
		}
	}
	for _, whole := range [][]byte{append(leadingComments(string(text)), writeWhole(to)...), writeWhole(to)} {
		if hasValue(name, whole, to) {
			return whole, nil
		}
	}
	return append(to.AppendJSON(nil), '\n'), nil
}

// leadingComments returns the comments and blank lines at the beginning of a text.
func leadingComments(text string) []byte {
	var comments []byte
	for line := range strings.Lines(text) {
		if !isBlank(line) {
			break
		}
		comments = append(comments, strings.TrimRight(line, "\n")+"\n"...)
	}
	return comments
}

// writeWhole returns a value as the text of a document, an object in block style.
func writeWhole(v event.Value) []byte {
	if v.Kind() == event.Object {
		return appendBlock(nil, v, 0)
	}
	return []byte(strings.Join(writeLines(v, 0), "\n") + "\n")
}

func hasValue(name string, text []byte, v event.Value) bool {
	doc, err := Parse(name, text)
	return err == nil && isSame(doc.Value(), v)
}

// isSame reports whether two values have the same JSON text, including order and the spelling of numbers.
func isSame(a, b event.Value) bool { return a.JSON() == b.JSON() }

// editor collects the edits of a text.
type editor struct {
	doc   *Document
	lines []string
	depth int // values below this depth are replaced as a whole
	edits []edit
}

// edit replaces some lines.
type edit struct {
	from, to int // line indexes; to is exclusive
	lines    []string
}

// editValue edits the value at a pointer part by part. It returns false if the value must be replaced as a whole.
func (e *editor) editValue(pointer string, old, to event.Value, depth int) bool {
	if isSame(old, to) {
		return true
	}
	if depth >= e.depth || old.Kind() != to.Kind() || to.Len() == 0 || !e.isBlock(pointer, old) {
		return false
	}
	switch old.Kind() {
	case event.Object:
		return e.editObject(pointer, old, to, depth)
	case event.Array:
		return e.editArray(pointer, old, to, depth)
	}
	return false
}

// isBlock reports whether the value is in block style, with its parts on separate lines.
func (e *editor) isBlock(pointer string, v event.Value) bool {
	if v.Len() == 0 {
		return false
	}
	line, column := e.doc.Position(pointer)
	rest := textFrom(e.lines[line-1], 1, column)
	if v.Kind() == event.Object {
		return rest != "" && !strings.ContainsAny(rest[:1], "{&*!")
	}
	return strings.HasPrefix(rest, "-")
}

func (e *editor) editObject(pointer string, old, to event.Value, depth int) bool {
	_, column := e.doc.Position(pointer)
	end := 0
	for key, was := range old.Members() {
		inner := pointer + fault.PointerKey(key)
		at, ok := e.doc.keyPositions[inner]
		if !ok || at.column != column { // comes from a merge key
			return false
		}
		from, blockEnd := at.line-1, e.blockEnd(at.line-1, column-1)
		end = max(end, blockEnd)
		now := to.Get(key)
		switch {
		case now.Kind() == event.Absent && strings.TrimSpace(e.lines[from][:column-1]) != "":
			return false // the key is on the line of an item's dash
		case now.Kind() == event.Absent:
			e.edits = append(e.edits, edit{from, blockEnd, nil})
		case !e.editValue(inner, was, now, depth+1):
			e.replaceMember(inner, key, now, from, blockEnd, column-1)
		}
	}
	for key, now := range to.Members() {
		if old.Get(key).Kind() == event.Absent {
			e.edits = append(e.edits, edit{end, end, writeMember(key, now, column-1)})
		}
	}
	return true
}

// replaceMember replaces a member. If its old and new values are scalars on one line, the rest of the line, such as a comment,
// stays.
func (e *editor) replaceMember(pointer, key string, to event.Value, from, blockEnd, indent int) {
	line := e.lines[from]
	at, known := e.doc.valuePositions[pointer]
	if known && at.line-1 == from && blockEnd == from+1 && to.Kind() != event.Object && to.Kind() != event.Array {
		old, text := textFrom(line, 1, at.column), writeLines(to, 0)
		if length := scalarLength(old); length > 0 && len(text) == 1 {
			e.edits = append(e.edits, edit{from, blockEnd, []string{line[:len(line)-len(old)] + text[0] + old[length:]}})
			return
		}
	}
	lines := writeMember(key, to, indent)
	lines[0] = line[:indent] + lines[0][indent:]
	e.edits = append(e.edits, edit{from, blockEnd, lines})
}

// scalarLength returns the length of the scalar at the beginning of rest, or 0 if it cannot be determined.
func scalarLength(rest string) int {
	if rest == "" {
		return 0
	}
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

func (e *editor) editArray(pointer string, old, to event.Value, depth int) bool {
	line, column := e.doc.Position(pointer)
	indent := column - 1
	items := make([]edit, old.Len()) // the lines of each item
	for i := range items {
		from := e.itemLine(line-1, indent, i)
		if from < 0 {
			return false
		}
		items[i] = edit{from: from, to: e.blockEnd(from, indent)}
	}
	begin := 0
	for begin < old.Len() && begin < to.Len() && isSame(old.Index(begin), to.Index(begin)) {
		begin++
	}
	oldEnd, toEnd := old.Len(), to.Len()
	for oldEnd > begin && toEnd > begin && isSame(old.Index(oldEnd-1), to.Index(toEnd-1)) {
		oldEnd, toEnd = oldEnd-1, toEnd-1
	}
	both := min(oldEnd, toEnd)
	for i := begin; i < both; i++ {
		if !e.editValue(fmt.Sprintf("%s/%d", pointer, i), old.Index(i), to.Index(i), depth+1) {
			e.edits = append(e.edits, edit{items[i].from, items[i].to, writeItem(to.Index(i), indent)})
		}
	}
	for i := both; i < oldEnd; i++ {
		e.edits = append(e.edits, edit{items[i].from, items[i].to, nil})
	}
	at := items[0].from
	if both > 0 {
		at = items[both-1].to
	}
	for i := both; i < toEnd; i++ {
		e.edits = append(e.edits, edit{at, at, writeItem(to.Index(i), indent)})
	}
	return true
}

// itemLine returns the line of the n-th item of a block sequence that starts at a line, or -1 if there is none.
func (e *editor) itemLine(line, indent, n int) int {
	for ; line < len(e.lines); line = e.blockEnd(line, indent) {
		for line < len(e.lines) && isBlank(e.lines[line]) {
			line++
		}
		if line >= len(e.lines) || !isItemStart(e.lines[line], indent) && n > 0 {
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

func isItemStart(line string, indent int) bool {
	return indentOf(line) <= indent && len(line) > indent && line[indent] == '-' && (len(line) == indent+1 || line[indent+1] == ' ')
}

// blockEnd returns the line after the last line of a block that starts at a line with an indent. Trailing blank lines and comments
// do not belong to the block.
func (e *editor) blockEnd(from, indent int) int {
	end := from + 1
	opensSequence := strings.HasSuffix(strings.TrimRight(withoutComment(e.lines[from]), " \t\r"), ":") && !isItemStart(e.lines[from], indent)
	for i := from + 1; i < len(e.lines); i++ {
		line := e.lines[i]
		deeper := indentOf(line) > indent || opensSequence && indentOf(line) == indent && isItemStart(line, indent)
		switch {
		case strings.TrimSpace(line) == "":
		case deeper:
			end = i + 1
		case isBlank(line):
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

// isBlank reports whether a line is empty or a comment.
func isBlank(line string) bool {
	text := strings.TrimSpace(line)
	return text == "" || text[0] == '#'
}

func indentOf(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }

// apply returns the text with all edits applied, or nil if edits overlap.
func (e *editor) applyEdits() []byte {
	slices.SortStableFunc(e.edits, func(a, b edit) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
	var out []string
	at := 0
	for _, change := range e.edits {
		if change.from < at {
			return nil // edits overlap
		}
		out = append(append(out, e.lines[at:change.from]...), change.lines...)
		at = change.to
	}
	out = append(out, e.lines[at:]...)
	return []byte(strings.TrimRight(strings.Join(out, "\n"), "\n") + "\n")
}

// writeItem returns the lines of a value as an item of a sequence.
func writeItem(v event.Value, indent int) []string {
	lines := writeLines(v, indent+2)
	lines[0] = strings.Repeat(" ", indent) + "- " + strings.TrimLeft(lines[0], " ")
	return lines
}

// writeLines returns a value as lines of YAML with an indent.
func writeLines(v event.Value, indent int) []string {
	text := Write(v)
	if bare := []byte(v.Str()); v.IsString() && hasValue("", bare, v) {
		text = bare
	} else if !hasValue("", text, v) {
		text = v.AppendJSON(nil)
	}
	return indentLines(text, indent)
}

// writeMember returns a key and its value as lines of a mapping in block style with an indent.
func writeMember(key string, v event.Value, indent int) []string {
	member := event.NewObject([]event.Member{{Key: key, Value: v}})
	text := appendBlock(nil, member, 0)
	if !hasValue("", text, member) {
		text = append(append(event.AppendString(nil, key), ": "...), v.JSON()...)
	}
	return indentLines(text, indent)
}

// indentLines returns the lines of a text with an indent.
func indentLines(text []byte, indent int) []string {
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	margin := strings.Repeat(" ", indent)
	for i, line := range lines {
		if line != "" {
			lines[i] = margin + line
		}
	}
	return lines
}
