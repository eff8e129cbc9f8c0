package server

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestWhenAConfigIsLoadedAgain checks that a config is loaded when it has changed, and, so that the server reports it, when it stays missing or
// empty for longer than while it is replaced.
func TestWhenAConfigIsLoadedAgain(t *testing.T) {
	s, began := configSight{last: "a"}, time.Unix(1e9, 0)
	for _, step := range []struct {
		at          time.Duration
		readable    bool
		fingerprint string
		want        bool
	}{
		{0, true, "a", false},
		{1, true, "b", true},
		{2, true, "b", false},
		{3, false, "", false},
		{12, false, "", false},
		{12, true, "b", false}, // it was replaced by the same
		{13, false, "", false},
		{22, false, "", false},
		{23, false, "", true},
		{60, false, "", false}, // it is reported once
		{61, true, "b", true},
		{62, false, "", false},
		{63, true, "c", true},
	} {
		assert.Equal(t, step.want, s.look(step.readable, step.fingerprint, began.Add(step.at*time.Second)), "%+v", step)
	}
}
