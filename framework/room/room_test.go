package room_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/room"
)

func TestRoomIsClearAndLargeEnough(t *testing.T) {
	var r room.Of[string]
	for _, n := range []int{3, 1, 3, 0, 7, 2} {
		s := r.Take(n)
		assert.Equal(t, make([]string, n), s)
		for i := range s {
			s[i] = "used"
		}
		r.Give(s)
	}
}
