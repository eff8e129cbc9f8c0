package httpx

import (
	"slices"
	"strings"
	"unicode"
)

// secretWords make a name the name of a secret wherever they occur, as in password_confirmation.
var secretWords = []string{
	"password", "passwd", "passphrase", "passcode", "pwd", "secret", "credential", "jwt",
}

// secretEndings are the ends of names of secrets, compared without separators: auth_token, authToken and X-Auth-Token all end
// in token.
var secretEndings = []string{
	"password", "passwd", "passphrase", "secret", "token", "apikey", "privatekey", "secretkey", "accesskey", "writekey", "signingkey",
	"authkey", "appkey", "masterkey", "encryptionkey", "subscriptionkey", "partnerapikey", "signature", "authorization", "cookie", "bearer", "sessionid",
}

// harmlessTokens are names that end in token but are positions in a list.
var harmlessTokens = []string{"pagetoken", "nexttoken", "synctoken", "continuationtoken", "cursortoken"}

// IsSecretName reports whether name usually names a secret in headers, queries, bodies or settings. Spelling does not matter:
// auth_token, authToken, X-Auth-Token and AUTH.TOKEN are equal. All code that hides secrets by name uses this function.
func IsSecretName(name string) bool {
	words := nameWords(name)
	singular := strings.TrimSuffix(strings.Join(words, ""), "s")
	for _, harmless := range harmlessTokens {
		if strings.HasSuffix(singular, harmless) {
			return false
		}
	}
	for _, ending := range secretEndings {
		if strings.HasSuffix(singular, ending) {
			return true
		}
	}
	return slices.ContainsFunc(words, func(word string) bool {
		return slices.Contains(secretWords, word) || slices.Contains(secretWords, strings.TrimSuffix(word, "s"))
	})
}

// nameWords splits a name into lower-case words: at everything but letters, and before a capital after a small letter. Digits
// separate words and are dropped, as in X-Hub-Signature-256.
func nameWords(name string) []string {
	var words []string
	var word strings.Builder
	end := func() {
		if word.Len() > 0 {
			words = append(words, word.String())
			word.Reset()
		}
	}
	before := rune(0)
	for _, r := range name {
		if !unicode.IsLetter(r) || unicode.IsUpper(r) && unicode.IsLower(before) {
			end()
		}
		if unicode.IsLetter(r) {
			word.WriteRune(unicode.ToLower(r))
		}
		before = r
	}
	end()
	return words
}
