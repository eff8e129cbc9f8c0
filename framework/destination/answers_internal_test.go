package destination

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestRememberedAnswersAreBounded checks how many answers are kept, how large they are, and which make room for others.
func TestRememberedAnswersAreBounded(t *testing.T) {
	a, now := newAnswers(), time.Unix(1000, 0)
	a.add("largest", &Response{raw: make([]byte, maxAnswerBytes)}, now, time.Hour)
	a.add("larger", &Response{raw: make([]byte, maxAnswerBytes+1)}, now, time.Hour)
	assert.NotNil(t, a.find("largest", now))
	assert.Nil(t, a.find("larger", now))

	for i := range maxAnswers - 2 {
		a.add(fmt.Sprint("short ", i), &Response{}, now, time.Minute)
	}
	a.add("long", &Response{}, now, time.Hour)
	assert.Len(t, a.byKey, maxAnswers)
	later := now.Add(time.Minute + 1)
	a.add("next", &Response{}, later, time.Hour)
	assert.Len(t, a.byKey, 3, "those whose time is over make room")
	for _, kept := range []string{"largest", "long", "next"} {
		assert.NotNil(t, a.find(kept, later), kept)
	}

	for i := range maxAnswers {
		a.add(fmt.Sprint("another ", i), &Response{}, later, time.Hour)
		assert.NotNil(t, a.find(fmt.Sprint("another ", i), later), "the latest is kept")
	}
	assert.Len(t, a.byKey, maxAnswers)
}

func TestRememberedAnswersEnd(t *testing.T) {
	a, now := newAnswers(), time.Unix(1000, 0)
	first, second := &Response{Status: 200}, &Response{Status: 201}
	a.add("a", first, now, time.Minute)
	a.add("b", second, now, time.Minute)
	assert.Same(t, first, a.find("a", now.Add(time.Minute)))
	assert.Nil(t, a.find("a", now.Add(time.Minute+1)))
	assert.Nil(t, a.find("c", now))
	a.forget([]string{"a", "c"})
	assert.Nil(t, a.find("a", now))
	assert.Same(t, second, a.find("b", now))

	a = nil // a client without a definition
	a.add("a", first, now, time.Minute)
	a.forget([]string{"a"})
	assert.Nil(t, a.find("a", now))
}
