package ingest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/server/ingest"
)

// TestDeletionsOfSourcesThatErase checks that such events request erasures and are not stored, and that the client retries if that fails.
func TestDeletionsOfSourcesThatErase(t *testing.T) {
	s, failing := &sink{}, false
	var erased []string
	h := handler(s, func(c *ingest.Config) {
		c.Sources[0].Erases = true
		c.Erase = func(_ context.Context, source string, events []event.Value) error {
			if failing {
				return errors.New("the state does not answer")
			}
			for _, e := range events {
				erased = append(erased, source+" "+e.Get("userId").Str())
			}
			return nil
		}
	})
	assert.Equal(t, 200, post(h, "/v1/delete", `{"userId":"u1"}`).Code)
	assert.Equal(t, 200, post(h, "/v1/batch", `{"batch":[{"type":"delete","userId":"u2"},{"type":"track","event":"A","userId":"u3"},{"type":"delete","anonymousId":"a4"}]}`).Code)
	assert.Equal(t, []string{"web u1", "web u2", "web "}, erased)
	assert.Len(t, s.events, 1)
	assert.Equal(t, 400, post(h, "/v1/delete", `{}`).Code, "nobody is named")
	failing = true
	assert.Equal(t, 503, post(h, "/v1/batch", `{"batch":[{"type":"delete","userId":"u2"},{"type":"track","event":"A","userId":"u3"}]}`).Code)
	assert.Len(t, s.events, 1, "nothing is stored")
}
