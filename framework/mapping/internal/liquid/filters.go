package liquid

import (
	"encoding/base64"
	"errors"
	"html"
	"math"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// filters are those of liquidjs that Segment leaves on. Arguments that are left out are nil.
func filters() map[string]any {
	return map[string]any{
		"abs": func(v any) any { return exact(math.Abs(num(v))) }, "ceil": func(v any) any { return exact(math.Ceil(num(v))) },
		"floor": func(v any) any { return exact(math.Floor(num(v))) }, "round": round,
		"plus": func(a, b any) any { return exact(num(a) + num(b)) }, "minus": func(a, b any) any { return exact(num(a) - num(b)) },
		"times": func(a, b any) any { return exact(num(a) * num(b)) }, "divided_by": divide,
		"modulo":     func(a, b any) any { return exact(math.Mod(num(a), num(b))) },
		"at_least":   func(a, b any) any { return exact(math.Max(num(a), num(b))) },
		"at_most":    func(a, b any) any { return exact(math.Min(num(a), num(b))) },
		"to_integer": func(v any) any { return exact(math.Trunc(num(v))) },

		"append":     func(a, b any) (string, error) { return bounded(text(a) + text(b)) },
		"prepend":    func(a, b any) (string, error) { return bounded(text(b) + text(a)) },
		"capitalize": capitalize, "default": fallback,
		"downcase":             func(v any) string { return cases.Lower(language.Und).String(text(v)) },
		"upcase":               func(v any) string { return cases.Upper(language.Und).String(text(v)) },
		"escape":               func(v any) (string, error) { return bounded(escape(text(v))) },
		"escape_once":          func(v any) (string, error) { return bounded(escape(html.UnescapeString(text(v)))) },
		"xml_escape":           func(v any) (string, error) { return bounded(escape(text(v))) },
		"strip":                func(v any) string { return strings.TrimSpace(text(v)) },
		"lstrip":               func(v any) string { return strings.TrimLeftFunc(text(v), unicode.IsSpace) },
		"rstrip":               func(v any) string { return strings.TrimRightFunc(text(v), unicode.IsSpace) },
		"strip_html":           func(v any) string { return markup.ReplaceAllString(text(v), "") },
		"strip_newlines":       func(v any) string { return newlines.ReplaceAllString(text(v), "") },
		"normalize_whitespace": func(v any) string { return spaces.ReplaceAllString(text(v), " ") },
		"number_of_words":      func(v any) int { return len(strings.Fields(text(v))) },
		"remove":               func(v, old any) string { return strings.ReplaceAll(text(v), text(old), "") },
		"remove_first":         func(v, old any) string { return strings.Replace(text(v), text(old), "", 1) },
		"remove_last":          func(v, old any) string { return replaceLast(text(v), text(old), "") },
		"replace":              replaceAll,
		"replace_first": func(v, old, with any) (string, error) {
			return bounded(strings.Replace(text(v), text(old), text(with), 1))
		},
		"replace_last": func(v, old, with any) (string, error) { return bounded(replaceLast(text(v), text(old), text(with))) },
		"slugify":      slugify, "truncate": truncate, "truncatewords": truncateWords, "split": split, "slice": slice,
		"url_encode": func(v any) (string, error) { return bounded(url.QueryEscape(text(v))) },
		"url_decode": urlDecode, "cgi_escape": func(v any) (string, error) { return bounded(url.QueryEscape(text(v))) },
		"uri_escape":    func(v any) (string, error) { return bounded((&url.URL{Path: text(v)}).EscapedPath()) },
		"base64_encode": func(v any) (string, error) { return bounded(base64.StdEncoding.EncodeToString([]byte(text(v)))) },
		"base64_decode": base64Decode,

		"first": func(v any) any { return edge(v, true) }, "last": func(v any) any { return edge(v, false) },
		"size": size, "join": join, "compact": compact, "sum": sum, "where": where,
		"push": push, "unshift": unshift, "pop": func(v any) []any { l := list(v); return l[:max(len(l)-1, 0)] },
		"shift": func(v any) []any { l := list(v); return l[min(1, len(l)):] },

		"json": toJSON, "jsonify": toJSON, "inspect": toJSON, "raw": func(v any) any { return v },
		"date": date, "date_to_string": func(v any) string { return date(v, "%d %b %Y") },
		"date_to_xmlschema": func(v any) string { return date(v, "%Y-%m-%dT%H:%M:%S%:z") },
	}
}

var (
	markup   = regexp.MustCompile(`(?s)<script.*?</script>|<!--.*?-->|<style.*?</style>|<.*?>`)
	newlines = regexp.MustCompile(`\r?\n`)
	spaces   = regexp.MustCompile(`\s+`)
	noWord   = regexp.MustCompile(`[^\p{L}\p{N}]+`)
)

// bounded is a text, or an error where it is too long.
func bounded(s string) (string, error) {
	if len(s) > MaxText {
		return "", errTooLong
	}
	return s, nil
}

func round(v, places any) any {
	scale := math.Pow(10, math.Trunc(num(places)))
	return exact(math.Floor(num(v)*scale+0.5) / scale)
}

func divide(a, b any) (any, error) {
	divisor := num(b)
	if divisor == 0 {
		return nil, errors.New("cannot divide by zero")
	}
	quotient := num(a) / divisor
	if isWhole(a) && isWhole(b) {
		quotient = math.Floor(quotient)
	}
	return exact(quotient), nil
}

func isWhole(v any) bool {
	switch v.(type) {
	case int, int64:
		return true
	}
	return false
}

func capitalize(v any) string {
	s := text(v)
	_, n := utf8.DecodeRuneInString(s)
	return strings.ToUpper(s[:n]) + strings.ToLower(s[n:])
}

// fallback is v, or another value where v is nothing, false or empty.
func fallback(v, other any) any {
	switch v := v.(type) {
	case nil:
		return other
	case bool:
		if !v {
			return other
		}
	case string:
		if v == "" {
			return other
		}
	case []any:
		if len(v) == 0 {
			return other
		}
	}
	return v
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;").Replace(s)
}

// replaceAll checks the size before it makes the text.
func replaceAll(v, old, with any) (string, error) {
	s, from, to := text(v), text(old), text(with)
	if grown := len(s) + strings.Count(s, from)*max(len(to)-len(from), 0); grown > MaxText {
		return "", errTooLong
	}
	return strings.ReplaceAll(s, from, to), nil
}

func replaceLast(s, old, with string) string {
	at := strings.LastIndex(s, old)
	if at < 0 {
		return s
	}
	return s[:at] + with + s[at+len(old):]
}

func slugify(v any) string {
	return strings.ToLower(strings.Trim(noWord.ReplaceAllString(text(v), "-"), "-"))
}

func truncate(v, length, ellipsis any) string {
	most, dots := 50, "..."
	if length != nil {
		most = int(num(length))
	}
	if ellipsis != nil {
		dots = text(ellipsis)
	}
	runes := []rune(text(v))
	if len(runes) <= most {
		return string(runes)
	}
	return string(runes[:max(most-utf8.RuneCountInString(dots), 0)]) + dots
}

func truncateWords(v, count, ellipsis any) string {
	most, dots := 15, "..."
	if count != nil {
		most = max(int(num(count)), 1)
	}
	if ellipsis != nil {
		dots = text(ellipsis)
	}
	words := strings.Fields(text(v))
	kept := strings.Join(words[:min(most, len(words))], " ")
	if len(words) >= most { // also where nothing is cut off, as liquidjs has it
		kept += dots
	}
	return kept
}

func split(v, separator any) []any {
	parts := strings.Split(text(v), text(separator))
	for len(parts) > 0 && parts[len(parts)-1] == "" {
		parts = parts[:len(parts)-1]
	}
	return list(parts)
}

func slice(v, start, length any) any {
	n := 1
	if length != nil {
		n = max(int(num(length)), 0)
	}
	bounds := func(size int) (int, int) {
		from := int(num(start))
		if from < 0 {
			from += size
		}
		from = min(max(from, 0), size)
		return from, min(from+n, size)
	}
	if items, ok := v.([]any); ok {
		from, to := bounds(len(items))
		return items[from:to]
	}
	runes := []rune(text(v))
	from, to := bounds(len(runes))
	return string(runes[from:to])
}

func urlDecode(v any) string {
	s, err := url.QueryUnescape(text(v))
	if err != nil {
		return text(v)
	}
	return s
}

func base64Decode(v any) string {
	raw, err := base64.StdEncoding.DecodeString(text(v))
	if err != nil {
		return ""
	}
	return strings.ToValidUTF8(string(raw), "\uFFFD")
}
