package audiencesync

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	// rowCount is what programs that query databases print after the rows, and ruler what they print below the header.
	rowCount = regexp.MustCompile(`(?i)^\(?[\d.,]+ (rows?|records?|results?|entries)( (selected|affected|returned|exported|in set).*)?\)?\.?$`)
	ruler    = regexp.MustCompile(`^[-=+_|]{3,}$`)
	// summary is what the last row of a report begins with.
	summary = regexp.MustCompile(`(?i)^((grand|sub) ?)?(totals?|sum|count|eof|end of (file|report|data|list))\b[:.]?$`)
)

// CheckFooter returns an error if a row is a part of a report, such as "Total" or "(3 rows)", and no user. The first field that is not empty
// decides. isLast is set if no row follows.
func CheckFooter(fields []string, isLast bool) error {
	for _, field := range fields {
		if field = strings.TrimSpace(field); field == "" {
			continue
		}
		if isFooter(field, isLast) {
			return fmt.Errorf("%q looks like a part of a report, and not like a user: remove the line, or move it up if it is a user", field)
		}
		return nil
	}
	return nil
}

// isFooter is fast for identifiers.
func isFooter(field string, isLast bool) bool {
	switch first := field[0]; {
	case first == '(' || first >= '0' && first <= '9':
		return strings.Contains(field, " ") && rowCount.MatchString(field)
	case strings.IndexByte("-=+_|", first) >= 0:
		return ruler.MatchString(field)
	}
	return isLast && strings.IndexByte("GgSsTtCcEe", field[0]) >= 0 && summary.MatchString(field)
}

// checkFooter rejects a row that is a part of a report.
func (c *csvReader) checkFooter(row *csvRow) error {
	if CheckFooter(row.fields, true) == nil {
		return nil
	}
	next, err := nextLine(c.lines)
	isLast := isEnd(err)
	if next.Number > 0 {
		c.lines.Unread(next)
	}
	if err := CheckFooter(row.fields, isLast); err != nil {
		return rowErrorf(row.line, "%v", err)
	}
	return nil
}
