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

// TestMembersCanBeLeft checks that a loop over members may end before the last one, however the object was made.
func TestMembersCanBeLeft(t *testing.T) {
	for _, v := range []event.Value{
		event.MustParse(`{"a":1,"b":2}`),
		event.NewObject([]event.Member{{Key: "a", Value: event.NewString("1")}, {Key: "b", Value: event.NewString("2")}}),
	} {
		var seen []string
		for key := range v.Members() {
			seen = append(seen, key)
			break
		}
		assert.Equal(t, []string{"a"}, seen)
	}
}
