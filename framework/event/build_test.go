package event_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/event"
)

func TestWithout(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":1,"b":{"a":2},"c":null}`: `{"b":{"a":2}}`, `{"b":1}`: `{"b":1}`, `{"a":1}`: `{}`, `["a"]`: `["a"]`, `"a"`: `"a"`,
	} {
		assert.Equal(t, want, event.MustParse(text).Without("a", "c").JSON(), text)
	}
	v := event.MustParse(`{"a":1,"b":2}`)
	assert.Equal(t, `{"a":1,"b":2}`, v.Without().JSON())
	assert.Equal(t, event.Absent, event.Value{}.Without("a").Kind())
}
