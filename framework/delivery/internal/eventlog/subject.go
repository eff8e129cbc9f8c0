package eventlog

import "strings"

// MatchesSubject reports whether a subject matches a filter.
func MatchesSubject(filter, subject string) bool {
	for {
		want, moreFilter, filterGoesOn := strings.Cut(filter, ".")
		token, moreSubject, subjectGoesOn := strings.Cut(subject, ".")
		switch {
		case want == ">":
			return true
		case want != "*" && want != token, filterGoesOn != subjectGoesOn:
			return false
		case !filterGoesOn:
			return true
		}
		filter, subject = moreFilter, moreSubject
	}
}

// MatchesAny reports whether a subject matches one of several filters.
func MatchesAny(filters []string, subject string) bool {
	for _, f := range filters {
		if MatchesSubject(f, subject) {
			return true
		}
	}
	return false
}
