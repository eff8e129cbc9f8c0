package audiencesync

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/internal/textfile"
)

// RowError says why one row of a file or a Table is unreadable. Reading can continue with the next row.
type RowError struct {
	Line   int // from 1
	Reason string
	Unit   string // what Line counts; "line" by default
	File   string // the file, if there are several
}

func (e *RowError) Error() string { return e.Place() + ": " + e.Reason }

// Place names the row, such as line 3.
func (e *RowError) Place() string {
	if e.File != "" {
		return fmt.Sprintf("%s:%d", e.File, e.Line)
	}
	return fmt.Sprintf("%s %d", cmp.Or(e.Unit, "line"), e.Line)
}

// rowErrorf returns a *RowError with a formatted reason.
func rowErrorf(line int, format string, args ...any) *RowError {
	return &RowError{Line: line, Reason: fmt.Sprintf(format, args...)}
}

// maxQuotedLines and textfile.MaxLine limit a row with line breaks in quotes.
const maxQuotedLines = 1000

// csvReader reads CSV rows. After an unreadable row, it continues with the line after the row's first line, so that a stray quote
// damages only one row.
type csvReader struct {
	lines       *textfile.Lines
	comma       string
	header      []string     // names of the columns in lower case; nil while they are being read
	columns     int          // of the header; 0 while it is being read
	identifiers map[int]bool // the columns that hold identifiers
}

// csvRow is a row that is being read.
type csvRow struct {
	fields   []string
	line     int             // number of its first line
	consumed []textfile.Line // further lines that belong to the row
	bytes    int
}

// readRow returns the fields and the line of the next row that is not blank. The error is a *RowError, io.EOF, or a read error.
func (c *csvReader) readRow() ([]string, int, error) {
	first, err := nextLine(c.lines)
	if err != nil {
		return nil, 0, err
	}
	row, err := c.parseRow(first)
	if err != nil {
		return nil, first.Number, err
	}
	if err := c.checkWidth(&row); err != nil {
		c.lines.Unread(row.consumed...)
		return nil, first.Number, err
	}
	if err := c.checkHeader(&row); err != nil {
		return nil, first.Number, err
	}
	if err := c.checkFooter(&row); err != nil {
		return nil, first.Number, err
	}
	return row.fields, row.line, nil
}

// nextLine returns the next line that is not blank. If the line is not valid text, the error is a *RowError.
func nextLine(lines *textfile.Lines) (textfile.Line, error) {
	for {
		line, err := lines.Next()
		if err != nil {
			return line, err
		}
		if line.TooLong || strings.TrimSpace(line.Text) != "" {
			return line, checkLine(line)
		}
	}
}

// checkLine returns a *RowError if the line is too long, is not UTF-8 or has NUL bytes.
func checkLine(line textfile.Line) error {
	switch {
	case line.TooLong:
		return rowErrorf(line.Number, "the line is longer than %d MB", textfile.MaxLine>>20)
	case !utf8.ValidString(line.Text):
		return rowErrorf(line.Number, "the line is not valid UTF-8: save the file as UTF-8, or name its encoding, such as --encoding windows-1252 or shift-jis")
	case strings.Contains(line.Text, "\x00"):
		return rowErrorf(line.Number, "the line has a NUL byte: the file is damaged, or in another encoding, such as --encoding utf-16le")
	}
	return nil
}

// parseRow splits a row into its fields. On failure, it unreads the lines after the first.
func (c *csvReader) parseRow(first textfile.Line) (csvRow, error) {
	row := csvRow{line: first.Number, bytes: len(first.Text)}
	rest, more := first.Text, true
	for more {
		var field string
		if inner, quoted := strings.CutPrefix(rest, `"`); quoted {
			var err error
			if field, rest, err = c.readQuoted(&row, inner); err != nil {
				c.lines.Unread(row.consumed...)
				return csvRow{line: first.Number}, err
			}
			rest, more = strings.CutPrefix(rest, c.comma)
		} else {
			field, rest, more = strings.Cut(rest, c.comma)
			if strings.Contains(field, `"`) {
				at := row.line + len(row.consumed)
				c.lines.Unread(row.consumed...)
				return csvRow{line: first.Number}, rowErrorf(at, "column %d %s", len(row.fields)+1, strayQuoteReason(field))
			}
		}
		row.fields = append(row.fields, field)
	}
	return row, nil
}

// strayQuoteReason says what is wrong with a field that has a quote inside.
func strayQuoteReason(field string) string {
	if errors.Is(CheckIdentifier(CleanIdentifier(field)), errFormula) {
		return errFormula.Error()
	}
	return `has a quote (") inside: put the whole field in quotes and write the quote twice`
}

// readQuoted reads the rest of a quoted field, and returns the text after its closing quote.
func (c *csvReader) readQuoted(row *csvRow, rest string) (field, after string, err error) {
	var value strings.Builder
	opened, before := row.line+len(row.consumed), len(row.consumed)
	for {
		text, tail, found := strings.Cut(rest, `"`)
		value.WriteString(text)
		switch {
		case !found:
			line, reason := c.readContinuation(row, before)
			if reason != "" {
				return "", "", rowErrorf(opened, `the quote (") that column %d begins with is not closed: %s. Close it, or write it twice inside quotes`, len(row.fields)+1, reason)
			}
			value.WriteByte('\n')
			rest = line
		case strings.HasPrefix(tail, `"`):
			value.WriteByte('"')
			rest = tail[1:]
		case tail == "" || strings.HasPrefix(tail, c.comma):
			return value.String(), tail, c.checkSpan(row, opened, before, value.String())
		case len(row.consumed) > before:
			return "", "", rowErrorf(opened, `the quote (") that column %d begins with is not closed before the next one in line %d. Close it, or write it twice inside quotes`,
				len(row.fields)+1, row.line+len(row.consumed))
		default:
			return "", "", rowErrorf(opened, `column %d has text after its closing quote ("): write a quote inside quotes twice`, len(row.fields)+1)
		}
	}
}

// readContinuation adds the next line to the row, or returns the reason why it cannot.
func (c *csvReader) readContinuation(row *csvRow, before int) (text, reason string) {
	line, err := c.lines.Next()
	if err != nil {
		return "", "the file ends"
	}
	row.consumed = append(row.consumed, line)
	row.bytes += len(line.Text) + 1
	switch {
	case checkLine(line) != nil:
		return "", fmt.Sprintf("line %d cannot be read", line.Number)
	case row.bytes > textfile.MaxLine:
		return "", fmt.Sprintf("the field is longer than %d MB", textfile.MaxLine>>20)
	case len(row.consumed)-before > maxQuotedLines:
		return "", fmt.Sprintf("the field has more than %d lines", maxQuotedLines)
	}
	return line.Text, ""
}

// checkSpan rejects a quoted field with line breaks if it is an identifier, or if its lines look like separate rows.
func (c *csvReader) checkSpan(row *csvRow, opened, before int, value string) error {
	consumed := row.consumed[before:]
	if len(consumed) == 0 {
		return nil
	}
	last := consumed[len(consumed)-1].Number
	if c.columns == 1 || c.identifiers[len(row.fields)] {
		return rowErrorf(opened, `the quote (") that column %d begins with closes only in line %d, and an identifier cannot contain line breaks: remove the quote or close it`, len(row.fields)+1, last)
	}
	for _, line := range consumed {
		if c.columns == 0 || strings.Count(line.Text, c.comma)+1 != c.columns {
			return nil
		}
	}
	return rowErrorf(opened, `the quote (") that column %d begins with closes only in line %d, and each line in between looks like a separate row: remove the quote or close it`,
		len(row.fields)+1, last)
}

// checkWidth rejects a row with more or fewer fields than the header. It ignores empty fields at the end, which spreadsheets leave.
func (c *csvReader) checkWidth(row *csvRow) error {
	n := len(row.fields)
	for n > c.columns && c.columns > 0 && strings.TrimSpace(row.fields[n-1]) == "" {
		n--
	}
	row.fields = row.fields[:n]
	if c.columns > 0 && n != c.columns {
		return rowErrorf(row.line, "the row has %s and the header has %s", fault.Count(n, "column"), fault.Count(c.columns, "column"))
	}
	return nil
}

// checkHeader rejects a row that is a header again, as in a file joined from several. If its columns have another order, the error is a
// *HeaderError, because the rows below cannot be read.
func (c *csvReader) checkHeader(row *csvRow) error {
	for at := range c.identifiers {
		if at >= len(row.fields) || !slices.Contains(c.header, plainColumn(row.fields[at])) {
			continue
		}
		switch {
		case plainColumn(row.fields[at]) == c.header[at]:
			return rowErrorf(row.line, "the line repeats the name of the column %s, so it is a header and not a user: remove it", CleanIdentifier(row.fields[at]))
		case !slices.ContainsFunc(row.fields, func(field string) bool { return !slices.Contains(c.header, plainColumn(field)) }):
			return &HeaderError{fmt.Sprintf("line %d is another header, with the columns in another order, so the rows below it cannot be read: give the joined files one by one", row.line)}
		}
	}
	return nil
}

// isEnd reports whether err is io.EOF.
func isEnd(err error) bool { return errors.Is(err, io.EOF) }
