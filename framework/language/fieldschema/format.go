package fieldschema

import (
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
)

// formats returns the checks of the string formats. They follow ajv-formats.
func formats() map[string]func(string) bool {
	anything := func(string) bool { return true }
	return map[string]func(string) bool{
		"email": isEmail, "uri": isURI, "uri-reference": isURIReference, "ipv4": isIPv4, "ipv6": isIPv6,
		"hostname": isHostname, "uuid": isUUID, "date": isDate, "time": isTime, "date-time": isDateTime,
		"text": anything, "password": anything, dateLike: isDateLike,
	}
}

func formatNames() []string { return slices.Sorted(maps.Keys(formats())) }

func isIPv4(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is4()
}

func isIPv6(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is6() && a.Zone() == ""
}

// isEmail requires dotted atoms before the @ and a domain of at least two labels after it.
func isEmail(s string) bool {
	local, domain, ok := strings.Cut(s, "@")
	if !ok || !strings.Contains(domain, ".") {
		return false
	}
	for atom := range strings.SplitSeq(local, ".") {
		if atom == "" || strings.ContainsFunc(atom, func(r rune) bool { return !isAlphanumeric(r) && !strings.ContainsRune("!#$%&'*+/=?^_`{|}~-", r) }) {
			return false
		}
	}
	for label := range strings.SplitSeq(domain, ".") {
		if !isLabel(label) {
			return false
		}
	}
	return true
}

func isAlphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

// isLabel accepts letters, digits and inner hyphens.
func isLabel(s string) bool {
	if s == "" || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return !isAlphanumeric(r) && r != '-' })
}

func isHostname(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if len(label) > 63 || !isLabel(label) {
			return false
		}
	}
	return true
}

// isURI accepts absolute URIs: a scheme, followed by a valid URI reference.
func isURI(s string) bool {
	scheme, _, ok := strings.Cut(s, ":")
	if !ok || scheme == "" || !isAlphanumeric(rune(scheme[0])) || scheme[0] <= '9' {
		return false
	}
	if strings.ContainsFunc(scheme, func(r rune) bool { return !isAlphanumeric(r) && !strings.ContainsRune("+-.", r) }) {
		return false
	}
	return isURIReference(s)
}

// isURIReference accepts the characters that RFC 3986 allows in a URI, absolute or relative.
func isURIReference(s string) bool {
	for i := 0; i < len(s); i++ {
		c := rune(s[i])
		if c == '%' && !(i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2])) {
			return false
		}
		if !isAlphanumeric(c) && !strings.ContainsRune("-._~:/?#[]@!$&'()*+,;=%", c) {
			return false
		}
	}
	u, err := url.Parse(s)
	return err == nil && !strings.Contains(u.Fragment, "#")
}

func isHex(c byte) bool {
	return c-'0' <= 9 || c|0x20 >= 'a' && c|0x20 <= 'f'
}

func isUUID(s string) bool {
	if len(s) > 9 && strings.EqualFold(s[:9], "urn:uuid:") {
		s = s[9:]
	}
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		if hyphen := i == 8 || i == 13 || i == 18 || i == 23; hyphen != (s[i] == '-') || !hyphen && !isHex(s[i]) {
			return false
		}
	}
	return true
}

func isDate(s string) bool {
	_, err := time.Parse(time.DateOnly, s)
	return err == nil && len(s) == len(time.DateOnly)
}

// isTime accepts hh:mm:ss with an optional fraction and an optional zone.
func isTime(s string) bool { _, ok := parseTimeOfDay(s); return ok }

// parseTimeOfDay checks a time of day. zoned reports whether it has a zone.
func parseTimeOfDay(s string) (zoned, ok bool) {
	if len(s) < 8 || s[2] != ':' || s[5] != ':' {
		return false, false
	}
	hour, minute, second := twoDigits(s[0:2]), twoDigits(s[3:5]), twoDigits(s[6:8])
	leap := hour == 23 && minute == 59 && second == 60
	if hour < 0 || minute < 0 || second < 0 || !leap && (hour > 23 || minute > 59 || second > 59) {
		return false, false
	}
	rest := s[8:]
	if strings.HasPrefix(rest, ".") {
		digits := len(rest[1:]) - len(strings.TrimLeft(rest[1:], "0123456789"))
		if digits == 0 {
			return false, false
		}
		rest = rest[1+digits:]
	}
	return rest != "", rest == "" || isZone(rest)
}

func isZone(s string) bool {
	if s == "Z" || s == "z" {
		return true
	}
	if len(s) < 3 || s[0] != '+' && s[0] != '-' || twoDigits(s[1:3]) < 0 {
		return false
	}
	minutes := strings.TrimPrefix(s[3:], ":")
	return s[3:] == "" || len(minutes) == 2 && twoDigits(minutes) >= 0
}

func twoDigits(s string) int {
	if len(s) != 2 || s[0]-'0' > 9 || s[1]-'0' > 9 {
		return -1
	}
	return int(s[0]-'0')*10 + int(s[1]-'0')
}

// isDateTime accepts a date, then T or white space, then a time with a zone.
func isDateTime(s string) bool {
	if len(s) < 11 || !strings.ContainsRune("Tt \t\n", rune(s[10])) || !isDate(s[:10]) {
		return false
	}
	zoned, ok := parseTimeOfDay(s[11:])
	return ok && zoned
}

// dateLike is the format of a datetime: a string or a number that event.ReadTime accepts.
const dateLike = "date-like"

func isDateLike(s string) bool { _, ok := event.ParseTime(s); return ok }

func isTimeValue(v event.Value) bool { _, err := event.ReadTime(v); return err == nil }
