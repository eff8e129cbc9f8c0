package fieldschema

import (
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/reference"
)

// formatEntry is an entry of the table of formats.
type formatEntry struct {
	name    string
	summary string // what a text should be, for the reference and for errors
	example string
	accepts func(string) bool
}

// formats lists the string formats. They follow ajv-formats. It is read-only.
var formats = []formatEntry{
	{"email", "an email address", "ann@example.com", event.IsEmail},
	{"uri", "a URI such as https://example.com", "https://example.com/", isURI},
	{"uri-reference", "a URI reference", "https://example.com/", isURIReference},
	{"ipv4", "an IPv4 address", "192.0.2.1", isIPv4},
	{"ipv6", "an IPv6 address", "2001:db8::1", isIPv6},
	{"hostname", "a host name", "example.com", isHostname},
	{"uuid", "a UUID", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", isUUID},
	{"date", "a date such as 2026-01-02", "2026-01-02", isDate},
	{"time", "a time such as 03:04:05Z", "03:04:05Z", isTime},
	{"date-time", "a date and time such as 2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z", isDateTime},
	{dateLike, "a date such as 2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z", isDateLike},
	{"text", "any text", "", isAnything},
	{"password", "any text, which is never displayed", "", isAnything},
}

// FormatExample returns a text in a format, or "" if the format is unknown or accepts any text.
func FormatExample(name string) string {
	if f := findFormat(name); f != nil {
		return f.example
	}
	return ""
}

// findFormat returns the entry of a format, or nil.
func findFormat(name string) *formatEntry {
	for i := range formats {
		if formats[i].name == name {
			return &formats[i]
		}
	}
	return nil
}

// Formats lists the formats of texts, each with an example of such a text.
func Formats() []reference.Entry {
	list := make([]reference.Entry, len(formats))
	for i, f := range formats {
		list[i] = reference.Entry{Name: f.name, Summary: f.summary, Example: f.example}
	}
	return list
}

func formatNames() []string {
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = f.name
	}
	return names
}

func isAnything(string) bool { return true }

func isIPv4(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is4()
}

func isIPv6(s string) bool {
	a, err := netip.ParseAddr(s)
	return err == nil && a.Is6() && a.Zone() == ""
}

func isHostname(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if len(label) > 63 || !event.IsDomainLabel(label) {
			return false
		}
	}
	return true
}

// isURI accepts absolute URIs: a scheme, followed by a valid URI reference.
func isURI(s string) bool {
	scheme, _, ok := strings.Cut(s, ":")
	if !ok || scheme == "" || !event.IsAlphanumeric(rune(scheme[0])) || scheme[0] <= '9' {
		return false
	}
	if strings.ContainsFunc(scheme, func(r rune) bool { return !event.IsAlphanumeric(r) && !strings.ContainsRune("+-.", r) }) {
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
		if !event.IsAlphanumeric(c) && !strings.ContainsRune("-._~:/?#[]@!$&'()*+,;=%", c) {
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

// twoDigits returns the number of two digits, or -1 if s, which has two bytes, is something else.
func twoDigits(s string) int {
	if s[0]-'0' > 9 || s[1]-'0' > 9 {
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
