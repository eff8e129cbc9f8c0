package fault

import "strings"

// ShownURL returns the text of a URL that may not parse, for a message: without its query, and without what is before its host. The
// text may have no scheme, and a password in it may have characters that should be escaped.
func ShownURL(text string) string {
	text, query, hasQuery := strings.Cut(text, "?")
	scheme, rest, hasScheme := strings.Cut(text, "//")
	if scheme += "//"; !hasScheme {
		scheme, rest = "", text
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		rest = "…" + rest[at:]
	} else if strings.Contains(rest, ":") && strings.Contains(query, "@") { // the query may be the end of a password
		rest = "…"
	}
	if hasQuery {
		rest += "?…"
	}
	return scheme + rest
}
