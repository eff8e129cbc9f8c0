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

// textFilters returns the filters that work on the text of a value.
func textFilters() []filterEntry {
	return []filterEntry{
		{"append", "text", "the text followed by another", `"a" | append: "b"`, requireArg(textArgsFilter(func(s string, a args) (string, error) { return s + a.textArg(0, ""), nil }))},
		{"capitalize", "", "the first letter in upper case, the others in lower case", `"ANA LIMA" | capitalize`, textFilter(capitalize)},
		{"downcase", "", "the text in lower case", `"Ana" | downcase`, textFilter(lowerCase)},
		{"lstrip", "[characters]", "the text without white space, or certain characters, at its start", `"xxa" | lstrip: "x"`, textArgsFilter(trimFilter(strings.TrimLeftFunc))},
		{"normalize_whitespace", "", "the text with one space for each run of white space", `"a   b" | normalize_whitespace`, textFilter(func(s string) string { return spaces.ReplaceAllString(s, " ") })},
		{"number_of_words", "[mode]", "the number of words; `cjk` counts Chinese, Japanese and Korean characters, `auto` only if there are any", `"a b c" | number_of_words`, countWords},
		{"prepend", "text", "another text followed by the text", `"a" | prepend: "b"`, requireArg(textArgsFilter(func(s string, a args) (string, error) { return a.textArg(0, "") + s, nil }))},
		{"remove", "text", "the text without each occurrence of another", `"a-b-c" | remove: "-"`, textArgsFilter(func(s string, a args) (string, error) { return replaceAll(s, a.textArg(0, ""), "") })},
		{"remove_first", "text", "the text without the first occurrence of another", `"a-b-c" | remove_first: "-"`, textArgsFilter(func(s string, a args) (string, error) { return strings.Replace(s, a.textArg(0, ""), "", 1), nil })},
		{"remove_last", "text", "the text without the last occurrence of another", `"a-b-c" | remove_last: "-"`, textArgsFilter(func(s string, a args) (string, error) { return replaceLast(s, a.textArg(0, ""), ""), nil })},
		{"replace", "text, [by]", "the text with each occurrence of another replaced", `"a-b-c" | replace: "-", "+"`, textArgsFilter(func(s string, a args) (string, error) { return replaceAll(s, a.textArg(0, ""), a.textArg(1, "")) })},
		{"replace_first", "text, [by]", "the text with the first occurrence of another replaced", `"a-b-c" | replace_first: "-", "+"`, textArgsFilter(func(s string, a args) (string, error) {
			return strings.Replace(s, a.textArg(0, ""), a.textArg(1, ""), 1), nil
		})},
		{"replace_last", "text, [by]", "the text with the last occurrence of another replaced", `"a-b-c" | replace_last: "-", "+"`, textArgsFilter(func(s string, a args) (string, error) { return replaceLast(s, a.textArg(0, ""), a.textArg(1, "")), nil })},
		{"rstrip", "[characters]", "the text without white space, or certain characters, at its end", `"axx" | rstrip: "x"`, textArgsFilter(trimFilter(strings.TrimRightFunc))},
		{"slugify", "[mode]", "the text in a form for URLs; the modes are `raw`, `default`, `pretty`, `ascii`, `latin` and `none`", `"Ana & Bob" | slugify`, textArgsFilter(slugify)},
		{"squish", "", "the text with one space for each run of white space, and none at its ends", `" a   b " | squish`, textFilter(func(s string) string { return strings.Join(strings.Fields(s), " ") })},
		{"strip", "[characters]", "the text without white space, or certain characters, at its ends", `" a " | strip`, textArgsFilter(trimFilter(strings.TrimFunc))},
		{"strip_html", "", "the text without HTML tags, comments, scripts and styles", `"<b>a</b>" | strip_html`, textFilter(stripHTML)},
		{"strip_newlines", "", "the text without line breaks", `"a\nb" | strip_newlines`, textFilter(func(s string) string { return newlines.ReplaceAllString(s, "") })},
		{"truncate", "[length, [ending]]", "the text of at most 50 characters or another number, which include the ending `...`", `"abcdefgh" | truncate: 6`, truncateText},
		{"truncatewords", "[number, [ending]]", "the first 15 words or another number, with the ending `...`", `"a b c d" | truncatewords: 2`, textArgsFilter(truncateWords)},
		{"upcase", "", "the text in upper case", `"Straße" | upcase`, textFilter(func(s string) string { return cases.Upper(language.Und).String(s) })},
	}
}

var (
	newlines = regexp.MustCompile(`\r?\n`)
	spaces   = regexp.MustCompile(`\s+`)
	cjk      = regexp.MustCompile(`[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}]`)
)

func lowerCase(s string) string { return cases.Lower(language.Und).String(s) }

func capitalize(s string) string {
	_, n := utf8.DecodeRuneInString(s)
	return cases.Upper(language.Und).String(s[:n]) + lowerCase(s[n:])
}

// trimFilter removes white space, or the characters of the argument.
func trimFilter(cut func(string, func(rune) bool) string) func(string, args) (string, error) {
	return func(s string, a args) (string, error) {
		if !a.isSet(0) {
			return cut(s, unicode.IsSpace), nil
		}
		set := map[rune]bool{}
		for _, r := range printText(a.at(0)) {
			set[r] = true
		}
		return cut(s, func(r rune) bool { return set[r] }), nil
	}
}

// replaceAll checks the size of the result before building it.
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

// htmlMarkup lists the beginnings and ends of what strip_html removes, in the order in which they are tried.
var htmlMarkup = [][2]string{{"<script", "</script>"}, {"<style", "</style>"}, {"<!--", "-->"}, {"<", ">"}}

func stripHTML(s string) string {
	var b strings.Builder
	closed := map[string]bool{}
	for _, m := range htmlMarkup {
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
		for _, m := range htmlMarkup {
			if size > 0 || !closed[m[0]] || !strings.HasPrefix(s, m[0]) {
				continue
			}
			if end := strings.Index(s[len(m[0]):], m[1]); end >= 0 {
				size = len(m[0]) + end + len(m[1])
			} else {
				closed[m[0]] = false // no later occurrence is closed either
			}
		}
		if size == 0 {
			b.WriteString(s)
			return b.String()
		}
		s = s[size:]
	}
}

// countWords counts words separated by white space. In mode cjk each Chinese, Japanese or Korean character counts as a word.
func countWords(v event.Value, a args) (event.Value, error) {
	s := printText(v)
	mode := a.textArg(0, "")
	n := len(strings.Fields(s))
	if characters := len(cjk.FindAllStringIndex(s, -1)); mode == "cjk" || mode == "auto" && characters > 0 {
		n = characters + len(strings.Fields(cjk.ReplaceAllString(s, " ")))
	}
	return event.NewInt(int64(n)), nil
}

// truncateText truncates a text to a number of characters, including the dots. A value that is not longer stays as it is.
func truncateText(v event.Value, a args) (event.Value, error) {
	maxLen, dots := a.countArg(0, 50), a.textArg(1, "...")
	characters := []rune(printText(v))
	if len(characters) <= max(maxLen, 0) {
		return v, nil
	}
	return event.NewString(string(characters[:max(maxLen-utf8.RuneCountInString(dots), 0)]) + dots), nil
}

// truncateWords keeps the first words. As in liquidjs, it adds the dots even if the text has exactly as many words, and returns ""
// if the number of words is not a number.
func truncateWords(s string, a args) (string, error) {
	if a.hasArg(0) && math.IsNaN(jsNumber(a.at(0))) {
		return "", nil
	}
	words := spaces.Split(strings.TrimLeftFunc(s, unicode.IsSpace), -1)
	limit := a.numberArg(0, 15)
	if limit <= 0 {
		limit = 1
	}
	kept := strings.Join(words[:int(min(limit, float64(len(words))))], " ")
	if float64(len(words)) < limit {
		return kept, nil
	}
	return kept + a.textArg(1, "..."), nil
}

// slugModes have the characters that a slug keeps.
var slugModes = map[string]func(rune) bool{
	"raw":     func(r rune) bool { return !strings.ContainsRune("\t\n\f\r ", r) },
	"default": isWordPart,
	"pretty":  func(r rune) bool { return isWordPart(r) || strings.ContainsRune("._~!$&'()+,;=@", r) },
	"ascii":   isASCIIWordPart,
	"latin":   isASCIIWordPart,
}

func isWordPart(r rune) bool { return unicode.In(r, unicode.M, unicode.L, unicode.Nd) }

func isASCIIWordPart(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
}

// joinKept replaces each run of characters that are not kept by a hyphen. It takes much less time than a regular expression.
func joinKept(s string, isKept func(rune) bool) string {
	var b strings.Builder
	isOther := func(r rune) bool { return !isKept(r) }
	for {
		end := strings.IndexFunc(s, isOther)
		if end < 0 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:end])
		b.WriteByte('-')
		s = strings.TrimLeftFunc(s[end:], isOther)
	}
}

// slugify converts a text to a form that is suitable for URLs.
func slugify(s string, a args) (string, error) {
	mode := a.textArg(0, "default")
	if mode == "latin" {
		s = strings.Map(func(r rune) rune {
			if unicode.Is(unicode.Mn, r) {
				return -1
			}
			return r
		}, norm.NFD.String(s))
	}
	if isKept := slugModes[mode]; isKept != nil {
		s = strings.TrimSuffix(strings.TrimPrefix(joinKept(s, isKept), "-"), "-")
	}
	if isTruthy(a.at(1)) {
		return s, nil
	}
	return lowerCase(s), nil
}
