package audiencesync

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/internal/textfile"
)

// csvDelimiters returns the supported delimiters, the most common one first.
func csvDelimiters() []string { return []string{",", ";", "\t", "|"} }

// HeaderError means that a file cannot be used at all, usually because no column contains an identifier.
type HeaderError struct{ Reason string }

func (e *HeaderError) Error() string { return e.Reason }

// openCSV detects the delimiter and reads the header. first is the first line that is not blank.
func (r *Rows) openCSV(lines *textfile.Lines, first textfile.Line, o Options) error {
	candidates := csvDelimiters()
	if comma, ok := declaredDelimiter(first.Text); ok {
		candidates = []string{comma}
		var err error
		if first, err = nextLine(lines); err != nil {
			return headerProblem(err)
		}
	}
	best, header, err := r.chooseDelimiter(lines, first, candidates)
	if err != nil {
		return headerProblem(err)
	}
	for range strings.Count(strings.Join(header, ""), "\n") { // skip the further lines of a header with line breaks
		_, _ = lines.Next()
	}
	if o.AllowIDs && !r.hasIdentifier(header) && !strings.ContainsAny(first.Text, ",;\t") && !slices.ContainsFunc(header, r.looksLikeHeader) {
		lines.Unread(first)
		header, best = o.Identifiers[:1], &csvReader{lines: lines, comma: ","}
	}
	r.records = best
	header = withoutEmptyEnd(header)
	err = r.useHeader(header)
	best.columns, best.identifiers = len(header), map[int]bool{}
	for _, name := range header {
		best.header = append(best.header, plainColumn(name))
	}
	for _, at := range r.columns {
		best.identifiers[at] = true
	}
	return err
}

// chooseDelimiter returns a reader with the first delimiter that separates an identifier in the header, otherwise with the one that makes the most columns,
// and the header. Further lines of the header stay unread.
func (r *Rows) chooseDelimiter(lines *textfile.Lines, first textfile.Line, candidates []string) (best *csvReader, header []string, err error) {
	var parseErrs error
	for _, comma := range candidates {
		reader := &csvReader{lines: lines, comma: comma}
		row, err := reader.parseRow(first)
		if err != nil {
			parseErrs = errors.Join(parseErrs, err)
			continue
		}
		lines.Unread(row.consumed...)
		if r.hasIdentifier(row.fields) {
			return reader, row.fields, nil
		}
		if len(row.fields) > len(header) {
			best, header = reader, row.fields
		}
	}
	if best == nil {
		return nil, nil, parseErrs
	}
	return best, header, nil
}

// headerProblem converts an error in the first line to a *HeaderError.
func headerProblem(err error) error {
	var row *RowError
	if errors.As(err, &row) {
		return &HeaderError{row.Error()}
	}
	if isEnd(err) {
		return &HeaderError{"the file has no header line"}
	}
	return err
}

// declaredDelimiter returns the delimiter from a first line such as sep=; which Excel writes.
func declaredDelimiter(line string) (string, bool) {
	line = strings.Trim(line, `" `)
	if len(line) < len("sep=")+1 || !strings.EqualFold(line[:4], "sep=") || !slices.Contains(csvDelimiters(), line[4:5]) {
		return "", false
	}
	return line[4:5], strings.Trim(line[5:], line[4:5]) == ""
}

// hasIdentifier reports whether a header has an identifier column.
func (r *Rows) hasIdentifier(header []string) bool {
	return slices.ContainsFunc(header, func(name string) bool {
		return slices.ContainsFunc(r.identifierNames(), func(id string) bool { return sameColumn(name, r.columnName(id)) })
	})
}

// identifierNames returns every identifier that a column can contain.
func (r *Rows) identifierNames() []string { return append([]string{Identity}, r.identifiers...) }

// sameColumn reports whether two column names are equal, ignoring case, and white space and invisible characters around them.
func sameColumn(a, b string) bool { return plainColumn(a) == plainColumn(b) }

// plainColumn returns a column name in lower case, without white space and invisible characters around it.
func plainColumn(name string) string { return strings.ToLower(CleanIdentifier(name)) }

// withoutEmptyEnd returns a header without the empty columns that spreadsheets leave at its end.
func withoutEmptyEnd(header []string) []string {
	for len(header) > 1 && strings.TrimSpace(header[len(header)-1]) == "" {
		header = header[:len(header)-1]
	}
	return header
}

// useHeader finds the identifier columns, and rejects a header without any.
func (r *Rows) useHeader(header []string) error {
	r.columns, r.onlyAt = map[string]int{}, -1
	var ignored []string
	for i, name := range header {
		used := false
		if r.only.Column != "" && sameColumn(name, r.only.Column) {
			r.onlyAt, used = i, true
		}
		for _, id := range r.identifierNames() {
			if !sameColumn(name, r.columnName(id)) {
				continue
			}
			if before, ok := r.columns[id]; ok {
				return &HeaderError{fmt.Sprintf("the column %s occurs twice, as columns %d and %d: remove one of them", strings.TrimSpace(name), before+1, i+1)}
			}
			r.columns[id], used = i, true
		}
		isProperty, err := r.useProperty(i, name)
		if err != nil {
			return err
		}
		if !used && !isProperty && !sameColumn(name, r.properties.removed) && !r.properties.isOther(name) {
			ignored = append(ignored, name)
		}
	}
	for _, id := range r.identifiers {
		if name, ok := r.renamed[id]; ok && !slices.ContainsFunc(header, func(h string) bool { return sameColumn(h, name) }) {
			return &HeaderError{fmt.Sprintf("%s has no column %q for %s%s: it has %s", r.words.source, name, id, fault.DidYouMean(name, header), showNames(header))}
		}
	}
	switch {
	case len(r.columns) == 0:
		return &HeaderError{r.noColumn(header)}
	case r.only.Column != "" && r.onlyAt < 0:
		return &HeaderError{fmt.Sprintf("%s has no column %q with audiences%s: it has %s", r.words.source, r.only.Column, fault.DidYouMean(r.only.Column, header), showNames(header))}
	}
	r.addIgnored(ignored...)
	return r.checkPropertyNames(header)
}

// noColumn returns the reason for rejecting a header without an identifier column.
func (r *Rows) noColumn(header []string) string {
	hint := ""
	for _, name := range header {
		if near := fault.Nearest(plainColumn(name), r.identifiers); near != "" {
			hint = fmt.Sprintf(" (did you mean %q?)", near)
			break
		}
	}
	return fmt.Sprintf("no column identifies users: %s has %s; it needs one of %s%s, or use --column %s=NAME to name the column",
		r.words.source, showNames(header), strings.Join(r.identifiers, ", "), hint, r.identifiers[0])
}

// maxNames and maxName limit the column names in messages.
const (
	maxNames = 10
	maxName  = 40
)

// showNames lists column names for a message. It hides e-mail addresses, because the first line of a file without a header is data.
func showNames(header []string) string {
	if len(header) == 0 {
		return "none"
	}
	var shown []string
	for i, name := range header {
		if i == maxNames {
			shown = append(shown, "…")
			break
		}
		name = strings.ToValidUTF8(CleanIdentifier(name), "?")
		switch {
		case strings.Contains(name, "@"):
			name = "an e-mail address"
		case name == "":
			name = `""`
		}
		shown = append(shown, fault.Shorten(name, maxName))
	}
	return strings.Join(shown, ", ")
}

// looksLikeHeader reports whether a field of the first line is a column name rather than an identifier.
func (r *Rows) looksLikeHeader(field string) bool { return IsColumnName(field, r.identifierNames()) }

// IsColumnName reports whether a text is the name of a column with identifiers of users rather than an identifier. identifiers are names of
// a destination's identifiers.
func IsColumnName(field string, identifiers []string) bool {
	plain := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' {
			return c
		}
		return -1
	}, strings.ToLower(field))
	if strings.ContainsAny(field, "0123456789") {
		return false
	}
	for _, id := range identifiers {
		if strings.ReplaceAll(id, "_", "") == plain || fault.Nearest(plainColumn(field), []string{id}) != "" {
			return true
		}
	}
	return slices.Contains([]string{
		"id", "ids", "user", "users", "userid", "userids", "uid", "uuid", "guid", "email", "emails", "emailaddress", "mail", "phone", "phonenumber", "name",
		"username", "login", "customer", "customerid", "customerno", "customernumber", "clientid", "contactid", "memberid", "profileid", "accountid",
		"personid", "subscriberid", "anonymousid", "externalid", "externaluserid", "brazeid", "deviceid", "alias", "aliasname", "useralias", "key", "identifier", "identity",
	}, plain)
}
