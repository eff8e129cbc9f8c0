package sqlsource

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"golang.org/x/oauth2"

	"github.com/landfall-dev/landfall/framework/fault"
)

// TestStatementsOfAQuery checks where a query ends: semicolons in texts, names and comments end nothing.
func TestStatementsOfAQuery(t *testing.T) {
	for query, c := range map[string]struct {
		without string
		several bool
	}{
		"SELECT 1":                     {"SELECT 1", false},
		"SELECT 1;":                    {"SELECT 1", false},
		"SELECT 1 ; -- all; of them":   {"SELECT 1 ", false},
		"SELECT 1; /* a; b */ ;\n":     {"SELECT 1", false},
		"SELECT ';', \"a;b\", [c;d];":  {"SELECT ';', \"a;b\", [c;d]", false},
		"SELECT 'it''s;'; SELECT 2;":   {"SELECT 'it''s;'; SELECT 2", true},
		"SELECT 1; DELETE FROM users":  {"SELECT 1; DELETE FROM users", true},
		"; DELETE FROM users":          {"; DELETE FROM users", true},
		";":                            {"", false},
		"SELECT /* a; b */ 1":          {"SELECT /* a; b */ 1", false},
		"SELECT /* it's */ 1; -- '":    {"SELECT /* it's */ 1", false},
		"SELECT 1 -- a; b\n; SELECT 2": {"SELECT 1 -- a; b\n; SELECT 2", true},
		"SELECT 'open; DELETE":         {"SELECT 'open; DELETE", false},
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

// TestTokenErrors checks that Google's refusal of a key is final, and that a service which is down is not taken for one.
func TestTokenErrors(t *testing.T) {
	refusal := func(status int) error {
		return &oauth2.RetrieveError{Response: &http.Response{StatusCode: status}, Body: []byte("a part of the key")}
	}
	for _, status := range []int{429, 500, 503} {
		err := tokenError(refusal(status))
		assert.True(t, fault.As(err).Retry, status)
		assert.EqualError(t, err, "the service of tokens is not available")
	}
	for _, err := range []error{refusal(400), refusal(401), errors.New("a part of the key")} {
		assert.Equal(t, errNoToken, tokenError(err))
	}
	lost := &fault.Error{Code: fault.CodeLogin, Retry: true, Message: "connection refused"}
	assert.Equal(t, error(lost), tokenError(lost))
}
