package identifier

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Finder finds identifiers in texts such as the bodies of requests: as they are, in JSON, in a URL, and their SHA-256. It takes time
// proportional to a text, whatever the number of identifiers. A nil Finder finds nothing.
type Finder struct {
	words   map[string][]pattern // by the first word of the pattern, in lower case
	without []pattern            // patterns without a word
}

// pattern is a text to find.
type pattern struct {
	id   string
	text string
	at   int  // where its first word begins
	fold bool // its case does not matter
}

// NewFinder returns the Finder of some identifiers.
func NewFinder(ids []string) *Finder {
	f := &Finder{words: map[string][]pattern{}}
	for _, id := range ids {
		if id = strings.TrimSpace(id); id == "" {
			continue
		}
		normal := id
		if IsEmail(id) {
			normal = strings.ToLower(id)
		}
		sum := sha256.Sum256([]byte(normal))
		known := map[string]bool{}
		for _, text := range []string{id, inJSON(id), inJSON(inJSON(id)), url.QueryEscape(id), url.PathEscape(id), hex.EncodeToString(sum[:])} {
			if !known[text] {
				known[text] = true
				f.add(pattern{id: id, text: text, fold: IsEmail(id)})
			}
		}
	}
	return f
}

// inJSON returns a text as it is inside a string of JSON.
func inJSON(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		return text
	}
	return string(quoted[1 : len(quoted)-1])
}

func (f *Finder) add(p pattern) {
	p.at = strings.IndexFunc(p.text, isWordRune)
	if p.at < 0 {
		f.without = append(f.without, p)
		return
	}
	word := strings.ToLower(firstWord(p.text[p.at:]))
	f.words[word] = append(f.words[word], p)
}

// isWordRune reports whether a rune is part of a word. Identifiers are found only if no word continues beyond their ends.
func isWordRune(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// firstWord returns the word that a text begins with.
func firstWord(text string) string {
	if end := strings.IndexFunc(text, func(r rune) bool { return !isWordRune(r) }); end >= 0 {
		return text[:end]
	}
	return text
}

// In reports whether a text has one of the identifiers.
func (f *Finder) In(text string) bool {
	_, ok := f.Find(text)
	return ok
}

// Find returns one of the identifiers that a text has; false if it has none.
func (f *Finder) Find(text string) (id string, ok bool) {
	if f == nil {
		return "", false
	}
	for _, p := range f.without {
		if strings.Contains(text, p.text) {
			return p.id, true
		}
	}
	if len(f.words) == 0 {
		return "", false
	}
	for at := 0; at < len(text); {
		r, size := utf8.DecodeRuneInString(text[at:])
		if !isWordRune(r) {
			at += size
			continue
		}
		word := firstWord(text[at:])
		id, ok := f.beginsAt(text, at, word)
		if !ok && at > 0 && text[at-1] == '\\' { // n is no letter in \n
			id, ok = f.beginsAt(text, at+size, word[size:])
		}
		if ok {
			return id, true
		}
		at += len(word)
	}
	return "", false
}

// beginsAt returns the identifier of the pattern that has its first word at a place of a text.
func (f *Finder) beginsAt(text string, at int, word string) (id string, ok bool) {
	for _, p := range f.words[strings.ToLower(word)] {
		begin, end := at-p.at, at-p.at+len(p.text)
		if begin < 0 || end > len(text) {
			continue
		}
		if part := text[begin:end]; part != p.text && !(p.fold && strings.EqualFold(part, p.text)) {
			continue
		}
		if p.endsAt(text, begin, end) {
			return p.id, true
		}
	}
	return "", false
}

// endsAt reports whether the identifier that a text has from begin to end is not a part of a longer one.
func (p *pattern) endsAt(text string, begin, end int) bool {
	if r, size := utf8.DecodeRuneInString(text[end:]); size > 0 && r != utf8.RuneError && isWordRune(r) {
		return false
	}
	return p.fold || !(begin > 0 && isJoint(text[begin-1])) && !(end < len(text) && isJoint(text[end]))
}

// isJoint reports whether a character joins the words of an identifier.
func isJoint(c byte) bool { return c == '-' || c == '_' }
