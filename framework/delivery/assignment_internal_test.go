package delivery

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// settleAssignments applies the assignments of all instances until they do not change, and returns how many partitions have moved.
func settleAssignments(t *testing.T, m *membership) (moves int) {
	for range 20 {
		m.loads, m.even = map[string]int{}, 0
		m.addLoads()
		moved := 0
		for instance, owners := range m.owners {
			for n, member := range m.assignPartitions(instance, owners) {
				if owners[n] != member {
					owners[n] = member
					moved++
				}
			}
		}
		if moved == 0 {
			return moves
		}
		moves += moved
	}
	require.Fail(t, "the assignments change without end")
	return 0
}

// The shares of each instance differ by one at most, and those of all instances together are within 10 % of even, although one
// member owned all of them before.
func TestSharesOverInstances(t *testing.T) {
	for _, c := range []struct{ instances, partitions, members int }{{50, 16, 3}, {50, 16, 5}, {1, 1024, 100}, {3, 16, 20}, {200, 16, 10}, {1, 1, 2}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			m := &membership{stable: true, members: []string{"a"}, owners: map[string][]string{}}
			for i := range c.instances {
				m.owners[fmt.Sprintf("instance%d", i)] = make([]string, c.partitions)
			}
			settleAssignments(t, m)
			for i := 1; i < c.members; i++ {
				m.members = append(m.members, fmt.Sprintf("b%03d", i))
			}
			settleAssignments(t, m)
			total, even := map[string]int{}, float64(c.instances*c.partitions)/float64(c.members)
			for _, owners := range m.owners {
				counts := countOwned(owners, m.members)
				for _, name := range m.members {
					assert.InDelta(t, float64(c.partitions)/float64(c.members), counts[name], 0.99)
					total[name] += counts[name]
				}
			}
			if c.partitions >= c.members || c.instances > 100 {
				for name, n := range total {
					assert.InDelta(t, even, n, max(even/10, 1), name)
				}
			}
			assert.Zero(t, settleAssignments(t, m))
		})
	}
}

// If processes join or stop, no more partitions move than needed. The assignment of earlier versions moves nearly all of them.
func TestMovesOfBothAssignments(t *testing.T) {
	const partitions = 1024
	names := func(n int) (list []string) {
		for i := range n {
			list = append(list, shortHash(fmt.Sprint(i)))
		}
		slices.Sort(list)
		return list
	}
	for _, c := range []struct{ before, after, needed int }{{50, 100, 512}, {99, 100, 10}, {100, 99, 11}, {100, 90, 110}} {
		m := &membership{stable: true, members: names(c.before), owners: map[string][]string{"i": make([]string, partitions)}}
		settleAssignments(t, m)
		before := m.members
		m.members = names(c.after)
		moves, earlier := settleAssignments(t, m), 0
		for n := range partitions {
			if assignedMember("i", n, before) != assignedMember("i", n, m.members) {
				earlier++
			}
		}
		t.Logf("from %d to %d processes: %d of %d partitions move, with the assignment of earlier versions %d", c.before, c.after, moves, partitions, earlier)
		assert.LessOrEqual(t, moves, c.needed)
		assert.Greater(t, earlier, partitions*8/10)
	}
}

// Leases that have expired go to members that have been there long enough to know. The partitions beyond their share then go to
// newcomers.
func TestExpiredPartitionsGoToSeniors(t *testing.T) {
	m := &membership{stable: true, members: []string{"a", "b"}, newcomers: map[string]bool{"b": true}, owners: map[string][]string{"i": {"a", "a", "dead", "!", "", "!"}}}
	assert.Equal(t, []string{"a", "a", "a", "a", "b", "a"}, m.assignPartitions("i", m.owners["i"]))
	m.owners["i"] = []string{"a", "a", "a", "a", "b", "a"}
	assert.Equal(t, []string{"a", "a", "a", "b", "b", "b"}, m.assignPartitions("i", m.owners["i"]))
	m.newcomers["a"] = true // without any other member, newcomers take what has expired
	assert.Equal(t, []string{"a", "a", "b", "b"}, m.assignPartitions("i", []string{"a", "!", "!", "!"}))
}

// The owner is read from an encoded checkpoint without decoding it, and by decoding it if it looks unusual.
func TestOwnerOf(t *testing.T) {
	for _, owner := range []string{"", "local", "host=2Ename-ABC", `a"b\\c`} {
		assert.Equal(t, owner, ownerOf(checkpoint{Owner: owner, Low: 3}.toMessage("s", 0).Data))
	}
	assert.Equal(t, "x", ownerOf([]byte(`{"low":3,"owner":"x"}`)))
	assert.Empty(t, ownerOf([]byte("not JSON")))
}
