package audiencesync

import (
	"errors"
	"io"
	"strings"
	"unicode"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/files/textfile"
)

// Identity is the column that holds an identity as the ledger has it, such as external_id:u1.
const Identity = "identity"

// Options says how a file of users is read.
type Options struct {
	Identifiers []string          // the names of the columns that name a user
	Columns     map[string]string // identifier -> column, for those that have another name in the file
	Encoding    string            // of textfile.Encodings; UTF-8 by default
	AllowIDs    bool              // a file without a header that has one column holds values of the first identifier
}

// Rows reads users from a file: CSV with a header line, or NDJSON, an object a line. The first character decides which. CSV may be
// delimited by commas, semicolons, tabs or bars, and either may be compressed with gzip.
type Rows struct {
	identifiers []string
	renamed     map[string]string // identifier -> column
	csv         *csvReader        // nil if the file is NDJSON
	columns     map[string]int    // of a CSV file, by identifier
	lines       *textfile.Lines
	line        int
	record      []string
	object      event.Value
	notes       notes
	ended       bool // the file has been cut off
}

// NewRows is OpenRows for a file in UTF-8. renamed has the columns of identifiers that have another name in the file.
func NewRows(r io.Reader, identifiers []string, renamed map[string]string) (*Rows, error) {
	return OpenRows(r, Options{Identifiers: identifiers, Columns: renamed})
}

// OpenRows opens a file of users. The error is a *HeaderError if no column names users.
func OpenRows(r io.Reader, o Options) (*Rows, error) {
	text, err := textfile.Open(r, o.Encoding)
	if err != nil {
		return nil, err
	}
	rows := &Rows{identifiers: o.Identifiers, renamed: o.Columns, lines: textfile.NewLines(text)}
	first, err := nextLine(rows.lines)
	switch {
	case isEnd(err):
		return nil, &HeaderError{"the file is empty: it should begin with a line of column names such as " + strings.Join(o.Identifiers, ",")}
	case err != nil && first.Number > 0 && strings.HasPrefix(strings.TrimSpace(first.Text), "{"): // a row of NDJSON
	case err != nil:
		return nil, headerProblem(err)
	}
	switch text := strings.TrimSpace(first.Text); {
	case strings.HasPrefix(text, "{"):
		rows.lines.Unread(first)
		return rows, nil
	case strings.HasPrefix(text, "["):
		return nil, &HeaderError{"the file begins with a JSON array: it should be NDJSON, an object a line, or CSV"}
	}
	return rows, rows.openCSV(rows.lines, first, o)
}

// column is the name of the column of an identifier. In CSV its case does not matter.
func (r *Rows) column(identifier string) string {
	if name, ok := r.renamed[identifier]; ok {
		return name
	}
	return identifier
}

// Next reads a row. The error is a *RowError if the row cannot be read, after which the next one can be; io.EOF at the end; and any
// other error if the rest of the file cannot be read.
func (r *Rows) Next() error {
	r.record, r.object = nil, event.Value{}
	var err error
	if r.csv != nil {
		r.record, r.line, err = r.csv.next()
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
		r.line = bad.Line
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

// nextObject reads a row of NDJSON.
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
	case errors.As(err, &wrong) && (line.Open || wrong.Offset >= len(text)):
		return rowErrorf(r.line, "the line is not a whole JSON object (%s): the file may have been cut off", wrong.Message)
	case errors.As(err, &wrong):
		return rowErrorf(r.line, "the line is not valid JSON at byte %d: %s", wrong.Offset+1, wrong.Message)
	case err != nil:
		return rowErrorf(r.line, "the line is not valid JSON")
	case object.Kind() != event.Object:
		return rowErrorf(r.line, "the line is %s: it should be a JSON object such as {\"%s\": \"…\"}", object.Kind().WithArticle(), r.column(r.identifiers[0]))
	}
	r.object = object
	return r.checkMembers()
}

// checkMembers refuses an object without any identifier, or with one that is no text.
func (r *Rows) checkMembers() error {
	found := false
	for _, id := range r.known() {
		switch v := r.object.Get(r.column(id)); v.Kind() {
		case event.Absent:
		case event.String, event.Number, event.Null:
			found = true
		default:
			return rowErrorf(r.line, "%s should be a string or a number", r.column(id))
		}
	}
	var names []string
	for name := range r.object.Members() {
		if !r.isKnown(name) {
			names = append(names, name)
		}
	}
	if !found {
		return &RowError{r.line, strings.Replace(strings.Replace(r.noColumn(names), "no column names", "no member of the object names", 1), "the file has", "it has", 1)}
	}
	r.ignore(names...)
	return nil
}

func (r *Rows) isKnown(column string) bool {
	for _, id := range r.known() {
		if column == r.column(id) {
			return true
		}
	}
	return false
}

// checkValues refuses identifiers that have been damaged, and notes those that look as if they were.
func (r *Rows) checkValues() error {
	for _, id := range r.known() {
		raw := r.rawValue(id)
		value := strings.TrimSpace(raw)
		switch {
		case value == "":
			continue
		case strings.ContainsFunc(value, unicode.IsControl):
			return rowErrorf(r.line, "%s has a control character or a line break", r.column(id))
		case strings.ContainsRune(value, unicode.ReplacementChar):
			return rowErrorf(r.line, "%s has the character U+FFFD, which stands for one that was lost when the file was converted: export it again as UTF-8, or name its encoding with --encoding", r.column(id))
		}
		if len(raw) != len(value) {
			r.notes.add(noteSpaces, r.line)
		}
		if spreadsheetDamage(value) {
			r.notes.add(noteSpreadsheet, r.line)
		}
	}
	return nil
}

// Line is the number of the row's first line, from 1.
func (r *Rows) Line() int { return r.line }

// Value is the row's value of an identifier, without white space around it; "" if it has none.
func (r *Rows) Value(identifier string) string { return strings.TrimSpace(r.rawValue(identifier)) }

func (r *Rows) rawValue(identifier string) string {
	if r.csv == nil {
		return r.object.Get(r.column(identifier)).Text()
	}
	if at, ok := r.columns[identifier]; ok && at < len(r.record) {
		return r.record[at]
	}
	return ""
}
