package audience

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// Identity is the column that holds an identity as the ledger has it, such as external_id:u1.
const Identity = "identity"

// maxLine bounds a line of NDJSON in bytes.
const maxLine = 1 << 20

// Rows reads users from a file: CSV with a line of column names, or NDJSON, an object a line. Which of the two it is shows in
// its first character.
type Rows struct {
	csv     *csv.Reader
	columns map[string]int // of a CSV file, by lower-case name
	lines   *bufio.Scanner
	line    int
	record  []string
	object  event.Value
	renamed map[string]string // identifier -> column
}

// NewRows opens a file of users. renamed says which columns hold the identifiers, where they are not called so.
func NewRows(r io.Reader, identifiers []string, renamed map[string]string) (*Rows, error) {
	input := bufio.NewReaderSize(r, 1<<16)
	if mark, _ := input.Peek(3); string(mark) == "\xef\xbb\xbf" {
		_, _ = input.Discard(3)
	}
	rows := &Rows{renamed: renamed}
	if first, _ := input.Peek(1); string(first) == "{" {
		rows.lines = bufio.NewScanner(input)
		rows.lines.Buffer(make([]byte, 0, 1<<16), maxLine)
		return rows, nil
	}
	rows.csv = csv.NewReader(input)
	rows.csv.ReuseRecord, rows.csv.FieldsPerRecord = true, -1
	names, err := rows.csv.Read()
	if err != nil {
		return nil, fmt.Errorf("the file should begin with a line of column names such as %s: %w", strings.Join(identifiers, ","), err)
	}
	rows.columns = map[string]int{}
	for i, name := range names {
		rows.columns[strings.ToLower(strings.TrimSpace(name))] = i
	}
	for _, id := range append([]string{Identity}, identifiers...) {
		if _, ok := rows.columns[strings.ToLower(rows.column(id))]; ok {
			return rows, nil
		}
	}
	return nil, fmt.Errorf("no column names a user: the file has %s; there should be one of %s (or --column %s=NAME)",
		strings.Join(names, ", "), strings.Join(identifiers, ", "), identifiers[0])
}

// column is the name of the column of an identifier. In CSV its case does not matter.
func (r *Rows) column(identifier string) string {
	if name, ok := r.renamed[identifier]; ok {
		return name
	}
	return identifier
}

// Next reads a row; the error is io.EOF at the end. A row that cannot be read is one without values.
func (r *Rows) Next() error {
	r.record, r.object = nil, event.Value{}
	if r.csv != nil {
		record, err := r.csv.Read()
		var wrong *csv.ParseError
		if err != nil && !errors.As(err, &wrong) {
			return err
		}
		if err != nil {
			r.line = wrong.StartLine
			return nil
		}
		r.line, _ = r.csv.FieldPos(0)
		r.record = record
		return nil
	}
	for r.lines.Scan() {
		r.line++
		if text := strings.TrimSpace(r.lines.Text()); text != "" {
			r.object, _ = event.ParseValue([]byte(text))
			return nil
		}
	}
	if err := r.lines.Err(); err != nil {
		return fmt.Errorf("line %d: %w", r.line+1, err)
	}
	return io.EOF
}

// Line is the number of the row's line, from 1.
func (r *Rows) Line() int { return r.line }

// Value is the row's value of an identifier, without white space around it; "" where it has none.
func (r *Rows) Value(identifier string) string {
	if r.csv == nil {
		return strings.TrimSpace(r.object.Get(r.column(identifier)).Text())
	}
	if at, ok := r.columns[strings.ToLower(r.column(identifier))]; ok && at < len(r.record) {
		return strings.TrimSpace(r.record[at])
	}
	return ""
}
