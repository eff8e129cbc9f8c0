package liquid

import (
	"math"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"

	"github.com/landfall-dev/landfall/framework/event"
)

// textFilters work on the text of a value.
func textFilters() map[string]filter {
	return map[string]filter{
		"append":   needed(ofTextArgs(func(s string, a args) (string, error) { return s + a.text(0, ""), nil })),
		"prepend":  needed(ofTextArgs(func(s string, a args) (string, error) { return a.text(0, "") + s, nil })),
		"upcase":   ofText(func(s string) string { return cases.Upper(language.Und).String(s) }),
		"downcase": ofText(lower), "capitalize": ofText(capitalize),
		"strip":  ofTextArgs(trim(strings.TrimFunc)),
		"lstrip": ofTextArgs(trim(strings.TrimLeftFunc)), "rstrip": ofTextArgs(trim(strings.TrimRightFunc)),
		"strip_newlines":       ofText(func(s string) string { return newlines.ReplaceAllString(s, "") }),
		"normalize_whitespace": ofText(func(s string) string { return spaces.ReplaceAllString(s, " ") }),
		"squish":               ofText(func(s string) string { return strings.Join(strings.Fields(s), " ") }),
		"strip_html":           ofText(stripHTML),
		"number_of_words":      countWords,
		"remove":               ofTextArgs(func(s string, a args) (string, error) { return replaceAll(s, a.text(0, ""), "") }),
		"remove_first":         ofTextArgs(func(s string, a args) (string, error) { return strings.Replace(s, a.text(0, ""), "", 1), nil }),
		"remove_last":          ofTextArgs(func(s string, a args) (string, error) { return replaceLast(s, a.text(0, ""), ""), nil }),
		"replace":              ofTextArgs(func(s string, a args) (string, error) { return replaceAll(s, a.text(0, ""), a.text(1, "")) }),
		"replace_first": ofTextArgs(func(s string, a args) (string, error) {
			return strings.Replace(s, a.text(0, ""), a.text(1, ""), 1), nil
		}),
		"replace_last": ofTextArgs(func(s string, a args) (string, error) { return replaceLast(s, a.text(0, ""), a.text(1, "")), nil }),
		"truncate":     ofTextArgs(truncate), "truncatewords": ofTextArgs(truncateWords), "slugify": ofTextArgs(slugify),
	}
}

var (
	newlines = regexp.MustCompile(`\r?\n`)
	spaces   = regexp.MustCompile(`\s+`)
	cjk      = regexp.MustCompile(`[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}]`)
)

func lower(s string) string { return cases.Lower(language.Und).String(s) }

func capitalize(s string) string {
	_, n := utf8.DecodeRuneInString(s)
	return cases.Upper(language.Und).String(s[:n]) + lower(s[n:])
}

// trim takes away white space, or the characters of the argument.
func trim(cut func(string, func(rune) bool) string) func(string, args) (string, error) {
	return func(s string, a args) (string, error) {
		characters := a.text(0, "")
		if characters == "" {
			return cut(s, unicode.IsSpace), nil
		}
		set := map[rune]bool{}
		for _, r := range characters {
			set[r] = true
		}
		return cut(s, func(r rune) bool { return set[r] }), nil
	}
}

// replaceAll knows the size before it makes the text.
func replaceAll(s, old, with string) (string, error) {
	if old == "" {
		characters := strings.Split(s, "")
		if len(s)+len(characters)*len(with) > MaxText {
			return "", errTooLong
		}
		return strings.Join(characters, with), nil
	}
	if grown := len(s) + strings.Count(s, old)*(len(with)-len(old)); grown > MaxText {
		return "", errTooLong
	}
	return strings.ReplaceAll(s, old, with), nil
}

func replaceLast(s, old, with string) string {
	at := strings.LastIndex(s, old)
	if at < 0 {
		return s
	}
	return s[:at] + with + s[at+len(old):]
}

// markup are the parts that strip_html takes away, each with its end, in the order they are tried.
var markup = [][2]string{{"<script", "</script>"}, {"<style", "</style>"}, {"<!--", "-->"}, {"<", ">"}}

func stripHTML(s string) string {
	var b strings.Builder
	closed := map[string]bool{}
	for _, m := range markup {
		closed[m[0]] = true
	}
	for {
		at := strings.IndexByte(s, '<')
		if at < 0 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:at])
		s = s[at:]
		size := 0
		for _, m := range markup {
			if size > 0 || !closed[m[0]] || !strings.HasPrefix(s, m[0]) {
				continue
			}
			if end := strings.Index(s[len(m[0]):], m[1]); end >= 0 {
				size = len(m[0]) + end + len(m[1])
			} else {
				closed[m[0]] = false // there is no end further on either
			}
		}
		if size == 0 {
			b.WriteString(s)
			return b.String()
		}
		s = s[size:]
	}
}

// countWords counts what white space divides; by mode cjk each Chinese, Japanese or Korean character counts by itself.
func countWords(v event.Value, a args) (event.Value, error) {
	s := text(v)
	mode := a.text(0, "")
	n := len(strings.Fields(s))
	if characters := len(cjk.FindAllStringIndex(s, -1)); mode == "cjk" || mode == "auto" && characters > 0 {
		n = characters + len(strings.Fields(cjk.ReplaceAllString(s, " ")))
	}
	return event.NewInt(int64(n)), nil
}

// truncate cuts a text to a number of characters, the dots included.
func truncate(s string, a args) (string, error) {
	most, dots := a.whole(0, 50), a.text(1, "...")
	characters := []rune(s)
	if len(characters) <= most || s == "" {
		return s, nil
	}
	return string(characters[:max(most-utf8.RuneCountInString(dots), 0)]) + dots, nil
}

// truncateWords keeps the first words. The dots are there even if the last of them is the last of all. If
// their number is no number, nothing is kept.
func truncateWords(s string, a args) (string, error) {
	if a.has(0) && math.IsNaN(loose(a.at(0))) {
		return "", nil
	}
	most := max(a.whole(0, 15), 1)
	words := spaces.Split(strings.TrimLeftFunc(s, unicode.IsSpace), -1)
	if len(words) < most {
		return strings.Join(words, " "), nil
	}
	return strings.Join(words[:most], " ") + a.text(1, "..."), nil
}

var slugModes = map[string]*regexp.Regexp{
	"raw":     spaces,
	"default": regexp.MustCompile(`[^\p{M}\p{L}\p{Nd}]+`),
	"pretty":  regexp.MustCompile(`[^\p{M}\p{L}\p{Nd}._~!$&'()+,;=@]+`),
	"ascii":   regexp.MustCompile(`[^A-Za-z0-9]+`),
	"latin":   regexp.MustCompile(`[^A-Za-z0-9]+`),
}

// slugify makes a text fit for addresses.
func slugify(s string, a args) (string, error) {
	mode := a.text(0, "default")
	if mode == "latin" {
		s = strings.Map(func(r rune) rune {
			if unicode.Is(unicode.Mn, r) {
				return -1
			}
			return r
		}, norm.NFD.String(s))
	}
	if others := slugModes[mode]; others != nil {
		s = strings.TrimSuffix(strings.TrimPrefix(others.ReplaceAllString(s, "-"), "-"), "-")
	}
	if truthy(a.at(1)) {
		return s, nil
	}
	return lower(s), nil
}
