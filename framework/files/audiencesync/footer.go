package audiencesync

import (
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

// FooterOf returns the field that shows that a row is a part of a report, such as "Total" or "(3 rows)", and no user; "" if the row can be a
// user. isLast says that no row follows.
func FooterOf(fields []string, isLast bool) string {
	for _, field := range fields {
		if field = strings.TrimSpace(field); field == "" {
			continue
		}
		if isFooter(field, isLast) {
			return field
		}
		return "" // the first field that is not empty decides
	}
	return ""
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
	if FooterOf(row.fields, true) == "" {
		return nil
	}
	next, err := nextLine(c.lines)
	isLast := isEnd(err)
	if next.Number > 0 {
		c.lines.Unread(next)
	}
	if text := FooterOf(row.fields, isLast); text != "" {
		return rowErrorf(row.line, "%q looks like a part of a report, and not like a user: remove the line, or move it up if it is a user", text)
	}
	return nil
}
