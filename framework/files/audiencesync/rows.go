package audiencesync

import (
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/internal/textfile"
)

// Identity is the name of the column with ledger identities, such as external_id:u1.
const Identity = "identity"

// Options configures how a file or a query of users is read.
type Options struct {
	Identifiers []string          // names of the columns that identify a user
	Columns     map[string]string // identifier -> column name, for columns with another name in the file
	Encoding    string            // such as utf-16 or windows-1252; UTF-8 by default
	Only        RowFilter         // which rows are used; all by default
	Properties  Properties        // other columns that are sent as properties of a change; none by default
	Reserved    []string          // columns with another purpose: they are no properties unless Properties names them
	Removed     string            // a column that is true in the rows of users who leave
	AllowIDs    bool              // accept a file with one column and no header; its values are of the first identifier
	At          time.Time         // of a Table: when its rows were valid; by default when it is synchronized
	Source      string            // of a Table: identifies the source and its query, to notice that the types of its columns change
}

// RowFilter selects the rows that have a value in a column, such as those of one of several audiences.
type RowFilter struct{ Column, Value string }

// Rows reads users from a file: CSV with a header line, or NDJSON with one object per line. It detects the format, gzip and zstd compression, and
// the CSV delimiter: comma, semicolon, tab or bar. [TableRows] reads them from a [Table]. It is not safe for concurrent use.
type Rows struct {
	identifiers []string
	renamed     map[string]string // identifier -> column
	words       sourceWords
	at          time.Time      // when the rows were valid; zero for a file
	shape       *columnShape   // nil for a file
	records     recordReader   // nil if the file is NDJSON
	columns     map[string]int // by identifier; unless the file is NDJSON
	lines       *textfile.Lines
	line        int
	record      []string
	object      event.Value
	warnings    rowWarnings
	ended       bool // the file is truncated, and the error was returned
	inputs      inputs
	only        RowFilter
	onlyAt      int // the column of only; unless the file is NDJSON
	properties  rowProperties
}

// sourceWords names a source and its rows in messages.
type sourceWords struct{ source, row string }

// fileWords returns the words for a file.
func fileWords() sourceWords { return sourceWords{"the file", "line"} }

// other returns the source unless it is a file.
func (w sourceWords) other() string {
	if w == fileWords() {
		return ""
	}
	return w.source
}

// recordReader reads the rows of a source whose columns are known in advance.
type recordReader interface {
	// readRow returns the fields and the number of the next row. The error is a *RowError if only this row is unreadable, and io.EOF after
	// the last row.
	readRow() ([]string, int, error)
}

// NewRows is OpenRows for a UTF-8 file. renamed maps identifiers to column names that differ.
func NewRows(r io.Reader, identifiers []string, renamed map[string]string) (*Rows, error) {
	return OpenRows(r, Options{Identifiers: identifiers, Columns: renamed})
}

// OpenRows reads the header of a file of users. The error is a *HeaderError if no column identifies users.
func OpenRows(r io.Reader, o Options) (*Rows, error) {
	text, err := textfile.Open(r, o.Encoding)
	if err != nil {
		return nil, err
	}
	rows := &Rows{identifiers: o.Identifiers, renamed: o.Columns, words: fileWords(), only: o.Only, properties: propertiesOfRows(o), lines: textfile.NewLines(text)}
	first, err := nextLine(rows.lines)
	switch {
	case isEnd(err):
		return nil, &HeaderError{"the file is empty: it should start with a header line such as " + strings.Join(o.Identifiers, ",")}
	case err != nil && strings.HasPrefix(strings.TrimSpace(first.Text), "{"): // an NDJSON row
	case err != nil:
		return nil, headerProblem(err)
	}
	switch text := strings.TrimSpace(first.Text); {
	case strings.HasPrefix(text, "{"):
		rows.lines.Unread(first)
		return rows, nil
	case strings.HasPrefix(text, "["):
		return nil, &HeaderError{"the file contains a JSON array: it should be NDJSON with one object per line, or CSV"}
	}
	return rows, rows.openCSV(rows.lines, first, o)
}

// columnName returns the column of an identifier. In CSV, its case does not matter.
func (r *Rows) columnName(identifier string) string {
	if name, ok := r.renamed[identifier]; ok {
		return name
	}
	return identifier
}

// nextOfFile is Next for the current file.
func (r *Rows) nextOfFile() error {
	r.record, r.object = nil, event.Value{}
	var err error
	if r.records != nil {
		r.record, r.line, err = r.records.readRow()
	} else {
		err = r.nextObject()
	}
	var truncated *textfile.TruncatedError
	if errors.As(err, &truncated) {
		if r.ended {
			return io.EOF
		}
		r.ended = true
		err = rowErrorf(r.lines.Number()+1, "%v: this line and those after it are missing", truncated)
	}
	var bad *RowError
	if errors.As(err, &bad) {
		r.line, bad.Unit, bad.File = bad.Line, r.words.row, r.inputs.current
		return bad
	}
	if err == nil {
		err = r.checkValues()
	}
	if err != nil {
		r.record, r.object = nil, event.Value{}
	}
	return err
}

// nextObject reads an NDJSON row.
func (r *Rows) nextObject() error {
	line, err := nextLine(r.lines)
	if err != nil {
		return err
	}
	r.line = line.Number
	text := strings.TrimSpace(line.Text)
	object, err := event.ParseValue([]byte(text))
	var wrong *event.SyntaxError
	switch {
	case errors.As(err, &wrong) && wrong.Offset >= len(text):
		return rowErrorf(r.line, "the line is an incomplete JSON object (%s): the file may be truncated", wrong.Message)
	case errors.As(err, &wrong):
		return rowErrorf(r.line, "the line is not valid JSON at byte %d: %s", wrong.Offset+1, wrong.Message)
	case err != nil:
		return rowErrorf(r.line, "the line is not valid JSON")
	case object.Kind() != event.Object:
		return rowErrorf(r.line, "the line is %s: it should be a JSON object such as {\"%s\": \"…\"}", object.Kind().WithArticle(), r.columnName(r.identifiers[0]))
	}
	r.object = object
	return r.checkMembers()
}

// checkMembers rejects an object without an identifier, or with an identifier that is not a string or a number.
func (r *Rows) checkMembers() error {
	found := false
	for _, id := range r.identifierNames() {
		switch v := r.object.Get(r.columnName(id)); v.Kind() {
		case event.Absent:
		case event.String, event.Number, event.Null:
			found = true
		default:
			return rowErrorf(r.line, "%s should be a string or a number", r.columnName(id))
		}
	}
	var names []string
	for name := range r.object.Members() {
		if !r.isKnown(name) && name != r.only.Column && !sameColumn(name, r.properties.removed) && !r.properties.isOther(name) && !r.properties.wanted.includes(name) {
			names = append(names, name)
		}
	}
	if !found {
		return rowErrorf(r.line, "%s", strings.Replace(strings.Replace(r.noColumn(names), "no column identifies", "no member of the object identifies", 1), "the file has", "it has", 1))
	}
	r.addIgnored(names...)
	return nil
}

// isSelected reports whether the current row has the value of the filter.
func (r *Rows) isSelected() bool {
	switch {
	case r.only.Column == "":
		return true
	case r.records == nil:
		return CleanIdentifier(r.object.Get(r.only.Column).Text()) == r.only.Value
	}
	return CleanIdentifier(r.record[r.onlyAt]) == r.only.Value
}

// isKnown reports whether a column contains an identifier.
func (r *Rows) isKnown(column string) bool {
	for _, id := range r.identifierNames() {
		if column == r.columnName(id) {
			return true
		}
	}
	return false
}

// isIdentifier is isKnown for a column whose case may differ.
func (r *Rows) isIdentifier(column string) bool {
	return slices.ContainsFunc(r.identifierNames(), func(id string) bool { return sameColumn(column, r.columnName(id)) })
}

// checkValues rejects damaged identifiers and counts suspicious ones.
func (r *Rows) checkValues() error {
	for _, id := range r.identifierNames() {
		raw := r.rawValue(id)
		value := CleanIdentifier(raw)
		if value == "" {
			continue
		}
		switch err := CheckIdentifier(value); {
		case errors.Is(err, errLost) && r.shape != nil:
			return r.rowErrorf("%s is not valid text in UTF-8, or %v", r.columnName(id), err)
		case errors.Is(err, errLost):
			return r.rowErrorf("%s %v: export the file again as UTF-8, or name its encoding with --encoding", r.columnName(id), err)
		case err != nil:
			return r.rowErrorf("%s %v", r.columnName(id), err)
		}
		if len(raw) != len(value) {
			r.warnings.addWarning(warnSpaces, r.place())
		}
		switch {
		case spreadsheetDamage(value):
			r.warnings.addWarning(warnSpreadsheet, r.place())
		case isMissingValue(value):
			r.warnings.addWarning(warnMissing, r.place())
		}
	}
	return nil
}

// rowErrorf returns a *RowError of the current row.
func (r *Rows) rowErrorf(format string, args ...any) *RowError {
	e := rowErrorf(r.line, format, args...)
	e.Unit, e.File = r.words.row, r.inputs.current
	return e
}

// place names the current row.
func (r *Rows) place() string { return r.rowErrorf("").Place() }

// Line returns the number of the row's first line, or of the row of a Table, from 1.
func (r *Rows) Line() int { return r.line }

// Value returns the row's value of an identifier, without surrounding white space and invisible characters; "" if the row has none.
func (r *Rows) Value(identifier string) string { return CleanIdentifier(r.rawValue(identifier)) }

// rawValue returns the row's value of an identifier as it is in the file.
func (r *Rows) rawValue(identifier string) string {
	if r.records == nil {
		return r.object.Get(r.columnName(identifier)).Text()
	}
	if at, ok := r.columns[identifier]; ok && at < len(r.record) {
		return r.record[at]
	}
	return ""
}
