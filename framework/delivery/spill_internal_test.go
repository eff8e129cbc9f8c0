package delivery

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
)

func TestAllReceived(t *testing.T) {
	info := func(name string, pending, delivered uint64) *jetstream.ConsumerInfo {
		return &jetstream.ConsumerInfo{Name: name, NumPending: pending, Delivered: jetstream.SequenceInfo{Consumer: delivered}}
	}
	last := &jetstream.MsgMetadata{Consumer: "a", Sequence: jetstream.SequencePair{Consumer: 7}}
	for _, c := range []struct {
		name string
		info *jetstream.ConsumerInfo
		last *jetstream.MsgMetadata
		want bool
	}{
		{"all received", info("a", 0, 7), last, true},
		{"some are pending", info("a", 3, 7), last, false},
		{"some are on their way", info("a", 0, 9), last, false},
		{"the first one is on its way", info("a", 0, 1), nil, false},
		{"everything was deleted", info("a", 0, 0), nil, true},
		{"a replaced consumer has nothing", info("b", 0, 0), last, true},
		{"a replaced consumer's first one is on its way", info("b", 0, 1), last, false},
	} {
		assert.Equal(t, c.want, allReceived(c.info, c.last), c.name)
	}
}

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
