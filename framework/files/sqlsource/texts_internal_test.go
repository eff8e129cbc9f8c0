package sqlsource

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestStatementsOfAQuery checks where a query ends: semicolons in texts, names and comments end nothing.
func TestStatementsOfAQuery(t *testing.T) {
	for query, c := range map[string]struct {
		without string
		several bool
	}{
		"SELECT 1":                    {"SELECT 1", false},
		"SELECT 1;":                   {"SELECT 1", false},
		"SELECT 1 ; -- all; of them":  {"SELECT 1 ", false},
		"SELECT 1; /* a; b */ ;\n":    {"SELECT 1", false},
		"SELECT ';', \"a;b\", [c;d];": {"SELECT ';', \"a;b\", [c;d]", false},
		"SELECT 'it''s;'; SELECT 2;":  {"SELECT 'it''s;'; SELECT 2", true},
		"SELECT 1; DELETE FROM users": {"SELECT 1; DELETE FROM users", true},
		"; DELETE FROM users":         {"; DELETE FROM users", true},
		";":                           {"", false},
		"SELECT 'open; DELETE":        {"SELECT 'open; DELETE", false},
	} {
		assert.Equal(t, c.without, withoutSemicolon(query), query)
		assert.Equal(t, c.several, hasSeveralStatements(query), query)
	}
}

func TestSecondsSince1970(t *testing.T) {
	for text, want := range map[string]time.Time{
		"1767323045": time.Unix(1767323045, 0), "1767323045.5": time.Unix(1767323045, 5e8), "1767323045.123456789": time.Unix(1767323045, 123456789), "1767323045.": time.Unix(1767323045, 0),
	} {
		at, err := parseEpoch(text)
		assert.NoError(t, err, text)
		assert.Equal(t, want.UTC(), at, text)
	}
	for _, text := range []string{"", "soon", "1.x", ".5", "1767323045.12e1"} {
		_, err := parseEpoch(text)
		assert.Error(t, err, text)
	}
}
