package event

import "strings"

// IsEmail reports whether a text has the form of an e-mail address: dotted atoms before the @ and a domain of at least two labels
// after it.
func IsEmail(s string) bool {
	local, domain, ok := strings.Cut(s, "@")
	if !ok || !strings.Contains(domain, ".") {
		return false
	}
	for atom := range strings.SplitSeq(local, ".") {
		if atom == "" || strings.ContainsFunc(atom, func(r rune) bool { return !IsAlphanumeric(r) && !strings.ContainsRune("!#$%&'*+/=?^_`{|}~-", r) }) {
			return false
		}
	}
	for label := range strings.SplitSeq(domain, ".") {
		if !IsDomainLabel(label) {
			return false
		}
	}
	return true
}

// IsDomainLabel reports whether a text can be one label of a domain name: letters, digits and inner hyphens.
func IsDomainLabel(s string) bool {
	if s == "" || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return !IsAlphanumeric(r) && r != '-' })
}

// IsAlphanumeric reports whether r is a letter or a digit of ASCII.
func IsAlphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}
