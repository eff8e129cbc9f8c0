package delivery

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestKeyParkedAgainWhileReadStaysParked(t *testing.T) {
	part := []*DeadLetter{{Key: "user"}}
	spilled := func() (k parkedKeys, generation int) {
		assert.Equal(t, kindEvicted, k.spill("k", "user"))
		return k, k.generation("k")
	}
	k, generation := spilled()
	k.notePortion("k", generation, part, false)
	assert.Empty(t, k.kind("k"), "all of its letters were read")
	assert.Empty(t, k.spilledKeys())

	k, generation = spilled()
	k.notePortion("k", generation, part, true)
	assert.Equal(t, kindEvicted, k.kind("k"), "there are more letters")

	k, generation = spilled()
	k.park("k", kindHeld)
	k.notePortion("k", generation, part, false)
	assert.Equal(t, kindHeld, k.kind("k"), "a letter may have been written after the read")
	k.notePortion("k", generation, part, true)
	assert.False(t, k.isSpilled("k"), "a held key does not go on by itself")

	k, generation = spilled()
	k.unpark("k")
	k.notePortion("k", generation, part, true)
	assert.Empty(t, k.keys, "it was resumed meanwhile")
}

func TestResumedLettersDoNotOvertake(t *testing.T) {
	resumed := func(generation int) *task { return &task{resumed: true, letter: &DeadLetter{generation: generation}} }
	var k parkedKeys
	assert.True(t, k.mayPass("k", &task{}))
	k.park("k", kindEvicted)
	first := k.generation("k")
	assert.False(t, k.mayPass("k", &task{}), "an event of the log")
	assert.False(t, k.mayPass("k", &task{letter: &DeadLetter{generation: first}}), "a replayed letter")
	assert.True(t, k.mayPass("k", resumed(first)))
	k.spill("k", "user")
	assert.False(t, k.mayPass("k", resumed(first)), "later ones were parked")
	assert.True(t, k.mayPass("k", resumed(k.generation("k"))))

	k.unpark("k")
	assert.True(t, k.mayPass("k", resumed(first)))
	k.park("k", kindEvicted)
	assert.False(t, k.mayPass("k", resumed(first)), "generations do not begin again")
}

func TestStoredKeysAreAddedToThoseParkedSince(t *testing.T) {
	var k parkedKeys
	k.park("held", kindHeld)
	k.spill("spilled", "user")
	k.load(map[string]string{"held": kindEvicted, "spilled": kindHeld, "stored": kindEvicted})
	assert.True(t, k.loaded)
	assert.Equal(t, kindHeld, k.kind("held"))
	assert.Equal(t, kindHeld, k.kind("spilled"))
	assert.Equal(t, []string{"stored"}, k.evicted(5))
	assert.Empty(t, k.evicted(0))
	assert.Equal(t, kindHeld, k.spill("held", "user"), "a held key stays held")
}

func TestPortionsAreRequestedOnce(t *testing.T) {
	var k parkedKeys
	assert.False(t, k.requestPortion("k"))
	k.park("k", kindEvicted)
	assert.False(t, k.requestPortion("k"), "its letters come back at once")
	k.spill("k", "user")
	assert.True(t, k.requestPortion("k"))
	assert.False(t, k.requestPortion("k"))
	k.portionNotRequested("k")
	assert.True(t, k.requestPortion("k"))
	assert.Equal(t, []string{"user"}, k.spilledKeys())
	assert.Empty(t, k.evicted(5))
}

// Events without an ordering key share one key, whose ordering key is "".
func TestEventsWithoutOrderingKeyAreSpilled(t *testing.T) {
	var k parkedKeys
	k.spill("k", "")
	assert.True(t, k.isSpilled("k"))
	assert.Empty(t, k.evicted(5), "its letters come back in portions")
	assert.True(t, k.requestPortion("k"))
	k.notePortion("k", k.generation("k"), []*DeadLetter{{}}, true)
	assert.Equal(t, []string{""}, k.spilledKeys())
}
