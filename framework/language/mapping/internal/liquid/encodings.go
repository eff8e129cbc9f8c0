package liquid

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"iter"
	"net/url"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// encodingFilters returns the filters that encode and decode values: HTML, URLs, base64, JSON and hashes.
func encodingFilters() []filterEntry {
	return []filterEntry{
		{"base64_decode", "", "the text that base64 encodes", `"YWI=" | base64_decode`, textArgsFilter(base64Decode)},
		{"base64_encode", "", "the text in base64", `"ab" | base64_encode`, textFilter(func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) })},
		{"cgi_escape", "", "the text as `url_encode` writes it, with `! * ' ( )` encoded, too", `"a b!" | cgi_escape`, textFilter(func(s string) string { return percentEncode(s, "-_.~ ", true) })},
		{"escape", "", "the text with `& < > \" '` as HTML entities", `"a<b" | escape`, textFilter(escapeHTML)},
		{"escape_once", "", "the same, without escaping entities again", `"1 &lt; 2 & 3" | escape_once`, textFilter(func(s string) string { return escapeHTML(unescapeHTML(s)) })},
		{"hmac_sha256", "key", "the HMAC of the text with SHA-256, in hexadecimal", `"a" | hmac_sha256: "key" | truncate: 12`, textArgsFilter(hmacSHA256)},
		{"inspect", "[spaces]", "the same as `json`", `"a" | inspect`, toJSON},
		{"json", "[spaces]", "the value as JSON, indented by a number of spaces", `"a" | json`, toJSON},
		{"jsonify", "[spaces]", "the same as `json`", `"a" | jsonify`, toJSON},
		{"raw", "", "the value itself", `"a<b" | raw`, func(v event.Value, _ args) (event.Value, error) { return v, nil }},
		{"sha256", "", "the SHA-256 hash of the text, in hexadecimal", `"a" | sha256 | truncate: 12`, textFilter(func(s string) string {
			sum := sha256.Sum256([]byte(s))
			return hex.EncodeToString(sum[:])
		})},
		{"uri_escape", "", "the text with characters encoded that a URI may not contain", `"a b?c=é" | uri_escape`, textFilter(func(s string) string { return percentEncode(s, "-_.!~*'();/?:@&=+$,#[]", false) })},
		{"url_decode", "", "the text that a URL encodes", `"a+b%26c" | url_decode`, textArgsFilter(urlDecode)},
		{"url_encode", "", "the text as a part of a URL", `"a b&c" | url_encode`, textFilter(func(s string) string { return percentEncode(s, "-_.!~*'() ", true) })},
		{"xml_escape", "", "the same as `escape`", `"a<b" | xml_escape`, textFilter(escapeHTML)},
	}
}

func hmacSHA256(s string, a args) (string, error) {
	mac := hmac.New(sha256.New, []byte(a.textArg(0, "")))
	mac.Write([]byte(s))
	return hex.EncodeToString(mac.Sum(nil)), nil
}

func escapeHTML(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;").Replace(s)
}

func unescapeHTML(s string) string {
	return strings.NewReplacer("&amp;", "&", "&lt;", "<", "&gt;", ">", "&#34;", `"`, "&#39;", "'").Replace(s)
}

// percentEncode encodes the bytes of s as %XX, except letters, digits and the characters of keep. If plus is true, a space becomes
// a plus.
func percentEncode(s, keep string, plus bool) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c == ' ' && plus:
			b.WriteByte('+')
		case c|0x20-'a' < 26 || c-'0' < 10 || strings.IndexByte(keep, c) >= 0:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

func urlDecode(s string, _ args) (string, error) {
	decoded, err := url.QueryUnescape(s)
	if err != nil {
		return "", errors.New("needs URL-encoded text")
	}
	return strings.ToValidUTF8(decoded, "\uFFFD"), nil
}

// base64Decode ignores white space. Padding may be missing.
func base64Decode(s string, _ args) (string, error) {
	s = strings.Join(strings.Fields(s), "")
	if len(s)%4 == 0 {
		s = strings.TrimSuffix(strings.TrimSuffix(s, "="), "=")
	}
	raw, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		return "", errors.New("needs base64 text")
	}
	return strings.ToValidUTF8(string(raw), "\uFFFD"), nil
}

// toJSON works like JSON.stringify. The argument is the number of spaces for indentation, or its text; at most 10 characters count.
func toJSON(v event.Value, a args) (event.Value, error) {
	if v.Kind() == event.Absent {
		return v, nil
	}
	step := ""
	switch indent := a.at(0); indent.Kind() {
	case event.Number:
		step = strings.Repeat(" ", min(max(a.intArg(0, 0), 0), 10))
	case event.String:
		characters := []rune(indent.Str())
		step = string(characters[:min(len(characters), 10)])
	}
	if step == "" {
		return event.NewString(v.Stringify()), nil
	}
	var b strings.Builder
	err := writeIndented(&b, v, "\n", step)
	return event.NewString(b.String()), err
}

// writeIndented writes v as indented JSON. newline is the text that starts a line at the current depth.
func writeIndented(b *strings.Builder, v event.Value, newline, step string) error {
	if b.Len() > MaxText {
		return errTooLong
	}
	if v.Len() == 0 {
		b.WriteString(v.Stringify())
		return nil
	}
	open, closing, separator := "[", "]", ""
	if v.Kind() == event.Object {
		open, closing = "{", "}"
	}
	b.WriteString(open)
	for key, inner := range jsonParts(v) {
		b.WriteString(separator + newline + step + key)
		if err := writeIndented(b, inner, newline+step, step); err != nil {
			return err
		}
		separator = ","
	}
	b.WriteString(newline + closing)
	return nil
}

// jsonParts iterates over the items of a list, or the members of an object with their keys in JSON notation.
func jsonParts(v event.Value) iter.Seq2[string, event.Value] {
	return func(yield func(string, event.Value) bool) {
		for _, item := range v.Items() {
			if !yield("", item) {
				return
			}
		}
		for key, member := range v.Members() {
			if !yield(string(event.AppendString(nil, key))+": ", member) {
				return
			}
		}
	}
}
