package audiencesync

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/landfall-dev/landfall/framework/files/textfile"
)

// RowError says why one row of a file cannot be read. The rows after it can.
type RowError struct {
	Line   int // from 1
	Reason string
}

func (e *RowError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

func rowErrorf(line int, format string, args ...any) *RowError {
	return &RowError{line, fmt.Sprintf(format, args...)}
}

// maxQuotedLines and textfile.MaxLine bound a row with line breaks in quotes.
const maxQuotedLines = 1000

// csvReader reads rows of CSV. After a row that cannot be read it continues with the line below the row's first, so that a stray
// quote costs one row, however much it seems to take in.
type csvReader struct {
	lines       *textfile.Lines
	comma       string
	columns     int          // of the header; 0 while it is being read
	identifiers map[int]bool // the columns that hold identifiers
}

// csvRow is a row while it is read.
type csvRow struct {
	fields []string
	line   int             // where it begins
	taken  []textfile.Line // the lines after its first
	bytes  int
}

// next returns the fields of the next row that is not blank, and its line. The error is a *RowError, io.EOF, or that of the file.
func (c *csvReader) next() ([]string, int, error) {
	first, err := nextLine(c.lines)
	if err != nil {
		return nil, 0, err
	}
	row, err := c.parse(first)
	if err != nil {
		return nil, first.Number, err
	}
	if err := c.checkWidth(&row); err != nil {
		c.lines.Unread(row.taken...)
		return nil, first.Number, err
	}
	return row.fields, row.line, nil
}

// nextLine returns the next line that is not blank. The error of a line that cannot be text is a *RowError.
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

// checkLine returns the *RowError of a line that is too long, is not UTF-8 or has NUL bytes, and otherwise nil.
func checkLine(line textfile.Line) error {
	switch {
	case line.TooLong:
		return rowErrorf(line.Number, "the line is longer than %d MB", textfile.MaxLine>>20)
	case !utf8.ValidString(line.Text):
		return rowErrorf(line.Number, "the line is not valid UTF-8: save the file as UTF-8, or name its encoding, such as --encoding windows-1252")
	case strings.Contains(line.Text, "\x00"):
		return rowErrorf(line.Number, "the line has a NUL byte: the file is damaged, or in another encoding, such as --encoding utf-16le")
	}
	return nil
}

// parse splits a row into its fields. If it fails, the lines after the first are unread.
func (c *csvReader) parse(first textfile.Line) (csvRow, error) {
	row := csvRow{line: first.Number, bytes: len(first.Text)}
	rest, more := first.Text, true
	for more {
		var field string
		if inner, quoted := strings.CutPrefix(rest, `"`); quoted {
			var err error
			if field, rest, err = c.quoted(&row, inner); err != nil {
				c.lines.Unread(row.taken...)
				return csvRow{line: first.Number}, err
			}
			rest, more = strings.CutPrefix(rest, c.comma)
		} else {
			field, rest, more = strings.Cut(rest, c.comma)
			if strings.Contains(field, `"`) {
				at := row.line + len(row.taken)
				c.lines.Unread(row.taken...)
				return csvRow{line: first.Number}, rowErrorf(at, `column %d has a quote (") inside: put the whole field in quotes and write the quote twice`, len(row.fields)+1)
			}
		}
		row.fields = append(row.fields, field)
	}
	return row, nil
}

// quoted reads a field in quotes whose opening quote has been read, and returns what follows its closing quote.
func (c *csvReader) quoted(row *csvRow, rest string) (field, after string, err error) {
	var value strings.Builder
	opened, before := row.line+len(row.taken), len(row.taken)
	for {
		text, tail, found := strings.Cut(rest, `"`)
		value.WriteString(text)
		switch {
		case !found:
			line, reason := c.continued(row, before)
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
		case len(row.taken) > before:
			return "", "", rowErrorf(opened, `the quote (") that column %d begins with is not closed before the next one in line %d. Close it, or write it twice inside quotes`,
				len(row.fields)+1, row.line+len(row.taken))
		default:
			return "", "", rowErrorf(opened, `column %d has text after its closing quote ("): write a quote inside quotes twice`, len(row.fields)+1)
		}
	}
}

// continued takes the next line into a row. Otherwise it says why it cannot.
func (c *csvReader) continued(row *csvRow, before int) (text, reason string) {
	line, err := c.lines.Next()
	if err != nil {
		return "", "the file ends before"
	}
	row.taken = append(row.taken, line)
	row.bytes += len(line.Text) + 1
	switch {
	case checkLine(line) != nil:
		return "", fmt.Sprintf("line %d cannot be read", line.Number)
	case row.bytes > textfile.MaxLine:
		return "", fmt.Sprintf("it takes in more than %d MB", textfile.MaxLine>>20)
	case len(row.taken)-before > maxQuotedLines:
		return "", fmt.Sprintf("it takes in more than %d lines", maxQuotedLines)
	}
	return line.Text, ""
}

// checkSpan refuses a field with line breaks that is an identifier or that seems to have swallowed rows.
func (c *csvReader) checkSpan(row *csvRow, opened, before int, value string) error {
	taken := row.taken[before:]
	if len(taken) == 0 {
		return nil
	}
	last := taken[len(taken)-1].Number
	if c.columns == 1 || c.identifiers[len(row.fields)] {
		return rowErrorf(opened, `the quote (") that column %d begins with closes only in line %d, and an identifier has no line breaks: remove the quote or close it`, len(row.fields)+1, last)
	}
	for _, line := range taken {
		if c.columns == 0 || strings.Count(line.Text, c.comma)+1 != c.columns {
			return nil
		}
	}
	return rowErrorf(opened, `the quote (") that column %d begins with closes only in line %d, and each line after it up to there looks like a row of its own: remove the quote or close it`,
		len(row.fields)+1, last)
}

// checkWidth refuses a row with more or fewer fields than the header. Empty fields at the end, as spreadsheets leave them, do not
// count.
func (c *csvReader) checkWidth(row *csvRow) error {
	n := len(row.fields)
	for n > c.columns && c.columns > 0 && strings.TrimSpace(row.fields[n-1]) == "" {
		n--
	}
	row.fields = row.fields[:n]
	if c.columns > 0 && n != c.columns {
		return rowErrorf(row.line, "the row has %s and the header has %s", count(n, "column"), count(c.columns, "column"))
	}
	return nil
}

// count is a number with its noun, such as "1 column" and "2 columns".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// isEnd reports whether an error is the end of the file.
func isEnd(err error) bool { return errors.Is(err, io.EOF) }
