package delivery

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestKeyParkedAgainWhileReadStaysParked(t *testing.T) {
	part := []*DeadLetter{{Key: "user"}}
	newPartition := func() *partition {
		return &partition{parkedKeys: map[string]string{"k": kindEvicted}, spilledKeys: map[string]string{"k": "user"}, generations: map[string]int{"k": 2}}
	}
	p := newPartition()
	p.notePortionRead("k", 2, part, false)
	assert.Empty(t, p.parkedKeys, "all of its letters were read")
	assert.Empty(t, p.spilledKeys)

	p = newPartition()
	p.notePortionRead("k", 2, part, true)
	assert.Equal(t, kindEvicted, p.parkedKeys["k"], "there are more letters")

	p = newPartition()
	p.parkedKeys["k"] = kindHeld
	delete(p.spilledKeys, "k")
	p.generations["k"]++
	p.notePortionRead("k", 2, part, false)
	assert.Equal(t, kindHeld, p.parkedKeys["k"], "a letter may have been written after the read")
	p.notePortionRead("k", 2, part, true)
	assert.NotContains(t, p.spilledKeys, "k", "a held key does not go on by itself")
}
