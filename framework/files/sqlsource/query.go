package sqlsource

import (
	"regexp"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/fault"
)

// queryWords are the words that a query that reads begins with.
func queryWords() []string { return []string{"SELECT", "WITH", "VALUES", "TABLE"} }

// checkQuery rejects a text that is no query. What a query may do is limited by its transaction, not by this check.
func checkQuery(query string) error {
	rest := skipComments(query)
	if strings.TrimRight(rest, "; \t\r\n") == "" {
		return &OptionError{"the query is empty"}
	}
	word := strings.ToUpper(rest[:len(rest)-len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"))])
	if word != "" && !slices.Contains(queryWords(), word) {
		return &OptionError{"the query begins with " + fault.Shorten(word, 20) + ": it should only read, and begin with one of " + strings.Join(queryWords(), ", ")}
	}
	return nil
}

// skipComments returns a query without the comments, white space and parentheses that it begins with.
func skipComments(query string) string {
	for {
		query = strings.TrimLeft(query, " \t\r\n(\ufeff")
		switch {
		case strings.HasPrefix(query, "--"), strings.HasPrefix(query, "#"):
			_, query, _ = strings.Cut(query, "\n")
		case strings.HasPrefix(query, "/*"):
			_, query, _ = strings.Cut(query[2:], "*/")
		default:
			return query
		}
	}
}

var quoted = regexp.MustCompile(`"[^"]*"|'[^']*'|\([^()]*\)=\([^()]*\)|\([^()]*=[^()]*\)`)

// withoutValues returns a message of a database without the values that it quotes, which may be personal data.
func withoutValues(message string) string { return quoted.ReplaceAllString(message, "…") }

// unfitTypes returns the types whose values cannot identify users, by their lower-case names, with what to write in the query instead.
func unfitTypes() map[string]string {
	const (
		float  = "its values are not exact; select an integer, numeric or text column, or CAST(… AS decimal(38))"
		binary = "its values are bytes; select them as text, such as with encode(…, 'hex') in PostgreSQL or HEX(…) in MySQL"
		moment = "it is a time; CAST it to text if it does identify users"
		other  = "CAST it to text, or select a part of it"
	)
	return map[string]string{
		"float4": float, "float8": float, "float": float, "double": float, "real": float, "unsigned float": float, "unsigned double": float,
		"bytea": binary, "varbyte": binary, "binary": binary, "varbinary": binary, "blob": binary, "tinyblob": binary, "mediumblob": binary, "longblob": binary, "bit": other, "varbit": other,
		"date": moment, "time": moment, "timetz": moment, "timestamp": moment, "timestamptz": moment, "datetime": moment, "interval": moment, "year": moment,
		"bool": other, "boolean": other, "json": other, "jsonb": other, "super": other, "xml": other, "geometry": other, "record": other,
	}
}

// unfitReason says why values of a type cannot identify users; "" if they can.
func unfitReason(typeName string) string {
	typeName = strings.ToLower(typeName)
	if strings.HasPrefix(typeName, "_") {
		return "it is an array; select its elements with unnest(…)"
	}
	return unfitTypes()[typeName]
}

// hasSeveralStatements reports whether a query of SQLite has something after the semicolon that ends its first statement.
func hasSeveralStatements(query string) bool {
	at := nextSemicolon(query, 0)
	return at >= 0 && !isBlank(query[at+1:])
}

// withoutSemicolon returns a query without the semicolon that ends it, and without the comments behind that.
func withoutSemicolon(query string) string {
	for at := nextSemicolon(query, 0); at >= 0; at = nextSemicolon(query, at+1) {
		if isBlank(query[at+1:]) {
			return query[:at]
		}
	}
	return query
}

// isBlank reports whether the end of a query has only comments, white space and semicolons.
func isBlank(end string) bool { return strings.Trim(skipComments(end), "; \t\r\n") == "" }

// nextSemicolon returns the place of the next semicolon that is in no text, name or comment; -1 if there is none.
func nextSemicolon(query string, from int) int {
	for i := from; i < len(query); i++ {
		closing := ""
		switch rest := query[i:]; {
		case rest[0] == ';':
			return i
		case rest[0] == '\'', rest[0] == '"', rest[0] == '`':
			closing = rest[:1]
		case rest[0] == '[':
			closing = "]"
		case strings.HasPrefix(rest, "--"):
			closing = "\n"
		case strings.HasPrefix(rest, "/*"):
			i, closing = i+1, "*/"
		default:
			continue
		}
		at := strings.Index(query[i+1:], closing)
		if at < 0 {
			return -1
		}
		i += at + len(closing)
	}
	return -1
}
