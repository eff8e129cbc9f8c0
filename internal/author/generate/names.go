package generate

import (
	"go/token"
	"strings"
	"unicode"
)

// TypeName returns a key as the first part of the name of a Go type.
func TypeName(key string) string { return goName(key) }

// initialisms returns the words that Go writes in capitals throughout.
func initialisms() []string {
	return strings.Fields("ACL AMQP API ASCII CPU CSS DB DNS EOF GID GUID HTML HTTP HTTPS ID IP JSON QPS RAM RPC RTP SIP SLA SMTP SQL SSH " +
		"TCP TLS TS TTL UDP UI UID URI URL UTF8 UUID VM XML XMPP XSRF XSS")
}

// goName returns a key as the name of a Go field, which is exported: userId and user_id are UserID.
func goName(key string) string {
	var b strings.Builder
	for _, word := range wordsOf(key) {
		b.WriteString(goWord(word))
	}
	if name := b.String(); token.IsExported(name) {
		return name
	}
	return "F" + b.String()
}

// goWord returns a word as part of a Go name: an initialism, its plural or one with a number in capitals, any other word with its
// first letter in capitals.
func goWord(word string) string {
	base := strings.TrimRightFunc(word, unicode.IsDigit)
	digits := word[len(base):]
	for _, known := range initialisms() {
		if strings.EqualFold(word, known) {
			return known
		}
	}
	for _, known := range initialisms() {
		switch {
		case strings.EqualFold(base, known):
			return known + digits
		case strings.EqualFold(word, known+"s"):
			return known + "s"
		}
	}
	letters := []rune(word)
	letters[0] = unicode.ToUpper(letters[0])
	return string(letters)
}

// wordsOf splits a key into words at characters other than letters and digits, and before capitals. Consecutive capitals are one word,
// except the last if it begins another word: APIKey is API and Key, userIDs is user and IDs.
func wordsOf(key string) []string {
	var words []string
	for _, part := range strings.FieldsFunc(key, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		letters := []rune(part)
		from := 0
		for i := 1; i < len(letters); i++ {
			if unicode.IsUpper(letters[i]) && (!unicode.IsUpper(letters[i-1]) || beginsWord(letters[i:])) {
				words = append(words, string(letters[from:i]))
				from = i
			}
		}
		words = append(words, string(letters[from:]))
	}
	return words
}

// beginsWord reports whether a capital after capitals begins a word, since small letters follow it. A single s is a plural.
func beginsWord(letters []rune) bool {
	if len(letters) < 2 || !unicode.IsLower(letters[1]) {
		return false
	}
	plural := letters[1] == 's' && (len(letters) == 2 || unicode.IsUpper(letters[2]) || unicode.IsDigit(letters[2]))
	return !plural
}
