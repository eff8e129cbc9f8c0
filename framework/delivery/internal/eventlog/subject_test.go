package eventlog

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestMatchesSubject(t *testing.T) {
	for _, c := range []struct {
		filter, subject string
		want            bool
	}{
		{"a.b", "a.b", true}, {"a.b", "a.c", false}, {"a.b", "a", false}, {"a", "a.b", false}, {"a.*", "a.b", true}, {"a.*", "a", false}, {"a.*", "a.b.c", false},
		{"*.b", "a.b", true}, {"a.*.c", "a.x.c", true}, {"a.*.c", "a.x.d", false}, {">", "a", true}, {">", "a.b.c", true}, {"a.>", "a.b.c", true}, {"a.>", "a", false}, {"a.>", "b.c", false},
	} {
		assert.Equal(t, c.want, MatchesSubject(c.filter, c.subject), "%s %s", c.filter, c.subject)
	}
	assert.True(t, MatchesAny([]string{"x", "a.>"}, "a.b"))
	assert.False(t, MatchesAny(nil, "a.b"))
}
