package dispatch

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestChains compares the chains of an owner with lists, while random tasks are appended, popped and cut. Keys have hashes of their own, share
// them, or all have the same.
func TestChains(t *testing.T) {
	for name, hash := range map[string]func(string) uint64{
		"own":    nil,
		"shared": func(key string) uint64 { return uint64(len(key)) },
		"equal":  func(string) uint64 { return 7 },
	} {
		t.Run(name, func(t *testing.T) {
			d := New[string](Config{}, failing{})
			if hash == nil {
				hash = d.hash
			}
			o := &Owner[string]{dispatcher: d, chains: chainTable[string]{hash: hash}}
			random, want := rand.New(rand.NewPCG(1, 2)), map[string][]*Task[string]{}
			for range 5000 {
				key := fmt.Sprint("k", random.IntN(200))
				list := want[key]
				switch n := random.IntN(8); {
				case n < 4 || len(list) == 0:
					added := &Task[string]{Key: key, Bytes: 1 + random.IntN(9)}
					assert.Equal(t, len(list) == 0, o.appendToChain(added), key)
					want[key] = append(list, added)
				case n < 6:
					o.popFromChain(list[0])
					want[key] = list[1:]
				case n == 6:
					assert.True(t, slices.Equal(list[1:], o.cutChain(list[0], true)), key)
					want[key] = list[:1]
				default:
					assert.True(t, slices.Equal(list, o.cutChain(list[0], false)), key)
					want[key] = nil
				}
				requireChain(t, o, key, want[key])
			}
			keys := 0
			for first := range o.chains.all() {
				requireChain(t, o, first.Key, want[first.Key])
				keys++
			}
			assert.Equal(t, keys, o.chains.n)
			for key, list := range want {
				requireChain(t, o, key, list)
				keys -= min(len(list), 1)
			}
			assert.Zero(t, keys)
		})
	}
}

// requireChain checks what an owner knows of a key.
func requireChain(t *testing.T, o *Owner[string], key string, want []*Task[string]) {
	first := o.chains.find(key, o.chains.hash(key))
	require.Equal(t, len(want), o.WaitingLocked(key), key)
	var list []*Task[string]
	bytes := 0
	for task := first; task != nil; task = task.next {
		list, bytes = append(list, task), bytes+task.Bytes
	}
	require.True(t, slices.Equal(want, list), key)
	if first != nil {
		require.Equal(t, chain[string]{last: want[len(want)-1], n: len(want), bytes: bytes}, first.chain, key)
	}
}
