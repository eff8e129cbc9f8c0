package fieldschema_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
)

// formatTexts lists, for each format, texts that it accepts and texts that it refuses.
var formatTexts = map[string]struct{ accepted, refused []string }{
	"email": {
		accepted: []string{"ann@example.com", "a.b+c_d'e@sub.example.co", "A9!#$%&*/=?^`{|}~-@x1.y2"},
		refused:  []string{"ann", "ann@", "@example.com", "ann@example", "a..b@example.com", ".a@example.com", "a.@example.com", "a b@example.com", "a@exa mple.com", "a@b@example.com", "a@.com", "a@example.", "a@-x.com", "a@x-.com", "ä@example.com", "a@ex_ample.com"},
	},
	"uri": {
		accepted: []string{"https://example.com", "urn:isbn:12", "a+b-c.1:x", "mailto:ann@example.com", "https://example.com/a%20b?c=d#e", "http://[::1]:80/"},
		refused:  []string{"example.com", "/path", "", ":x", "1a:x", "a b:x", "a_b:x", "-a:x", "+a:x", "https://a b", "https://a/%2", "https://a/%zz", "https://a/%2g", "https://a/%g2", "https://a/?x=%2g", "https://a/?x=%g2", "https://a/?x=%2", "https://a/\"", "https://a#b#c", "http://[::1/"},
	},
	"uri-reference": {
		accepted: []string{"/path?x=1#y", "a/b", "//host/x", "#", "?q", "%41%fF%Aa%09", "https://example.com"},
		refused:  []string{"a b", "%", "%4", "a%zz", "a^b", "a{b}", "a\\b", "ä", "x#y#z", "a%4", "%4G"},
	},
	"ipv4": {accepted: []string{"192.0.2.1", "255.255.255.255"}, refused: []string{"256.0.0.1", "1.2.3", "::1", "::ffff:192.0.2.1", "x"}},
	"ipv6": {accepted: []string{"::1", "2001:db8::1", "::ffff:192.0.2.1"}, refused: []string{"192.0.2.1", "fe80::1%eth0", "1::2::3", "x"}},
	"hostname": {
		accepted: []string{"example.com", "example.com.", "localhost", "1.2", "a-b.c", strings.Repeat("a", 63) + ".x", strings.Repeat("a.", 126) + "a"},
		refused:  []string{".", "a..b", ".a", "-a.b", "a-.b", "a_b", "a b", strings.Repeat("a", 64) + ".x", strings.Repeat("a.", 126) + "aa", "ä.com", "example.com.."},
	},
	"uuid": {
		accepted: []string{"6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6BA7B810-9DAD-11D1-80B4-00C04FD430C8", "urn:uuid:6ba7b810-9dad-11d1-80b4-00c04fd430c8", "URN:UUID:6ba7b810-9dad-11d1-80b4-00c04fd430c8"},
		refused: []string{"6ba7b8109dad-11d1-80b4-00c04fd430c8-", "6ba7b810-9dad-11d1-80b4-00c04fd430c", "6ba7b810-9dad-11d1-80b4-00c04fd430c88", "6ba7b810-9dad-11d1-80b4-00c04fd430cg", "6ba7b810-9dad-11d1-80b4-00c04fd430c:", "6ba7b810-9dad-11d1-80b4-00c04fd430c/", "6ba7b810-9dad-11d1-80b4-00c04fd430c@", "urn:uuid:", "urn:guid:6ba7b810-9dad-11d1-80b4-00c04fd430c8",
			"6ba7b81009dad-11d1-80b4-00c04fd430c8", "6ba7b810-9dad011d1-80b4-00c04fd430c8", "6ba7b810-9dad-11d1080b4-00c04fd430c8", "6ba7b810-9dad-11d1-80b4000c04fd430c8", "6-a7b810-9dad-11d1-80b4-00c04fd430c8"},
	},
	"date": {accepted: []string{"2026-01-02", "2024-02-29"}, refused: []string{"2026-02-29", "2026-13-01", "2026-1-2", "26-01-02", "2026-01-02T", "2026/01/02"}},
	"time": {
		accepted: []string{"00:00:00", "23:59:59Z", "23:59:60Z", "03:04:05.678z", "03:04:05+01", "03:04:05-0100", "03:04:05.1+01:00"},
		refused: []string{"24:00:00", "00:60:00", "00:00:60", "22:59:60", "23:58:60", "23:59:61", "3:04:05", "03:04", "03-04:05", "03:04-05", "a3:04:05", "03:0b:05", "03:04:c5", "03:04:5c", "03:04:05.", "03:04:05.Z", "03:04:05 Z", "03:04:05x",
			"03:04:05+", "03:04:05+1", "03:04:05+zz", "03:04:05+0z", "03:04:05+01:", "03:04:05+01:0", "03:04:05+01:zz", "03:04:05+01:000", "03:04:05*01:00"},
	},
	"date-time": {
		accepted: []string{"2026-01-02T03:04:05Z", "2026-01-02t03:04:05z", "2026-01-02 03:04:05+01:00", "2026-01-02\t03:04:05.123Z"},
		refused:  []string{"2026-01-02T03:04:05", "2026-01-02", "2026-01-02T", "2026-01-02x03:04:05Z", "2026-13-02T03:04:05Z", "2026-01-02T25:04:05Z", "2026-01-02T03:04:05.5"},
	},
	"date-like": {accepted: []string{"2026-01-02", "2026-01-02T03:04:05Z", "January 2, 2026"}, refused: []string{"soon", "2026-13-01"}},
	"text":      {accepted: []string{"any thing", " "}},
	"password":  {accepted: []string{"any thing", " "}},
}

// TestFormats checks which texts each format accepts, in both checks that a schema has.
func TestFormats(t *testing.T) {
	for _, f := range fieldschema.Formats() {
		s := compile(t, fmt.Sprintf(`{"v":{"type":"string","format":%q}}`, f.Name))
		lists, listed := formatTexts[f.Name]
		assert.True(t, listed, "the format %s has no texts", f.Name)
		if f.Example != "" {
			lists.accepted = append(lists.accepted, f.Example)
		}
		for _, text := range lists.accepted {
			payload := event.NewObject([]event.Member{{Key: "v", Value: event.NewString(text)}})
			assert.NoError(t, s.Validate(payload), "%s", f.Name)
		}
		for _, text := range lists.refused {
			payload := event.NewObject([]event.Member{{Key: "v", Value: event.NewString(text)}})
			assert.Error(t, s.Validate(payload), "%s accepts %q", f.Name, text)
		}
	}
}
