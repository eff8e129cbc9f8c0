package delivery

import (
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"
)

// membership is the members and the owners of all partitions, as this process sees them.
type membership struct {
	members   []string            // alive, sorted
	newcomers map[string]bool     // members for less than a lease, which cannot know yet which leases have expired
	stable    bool                // every member assigns with assignPartitions; processes of earlier versions do not
	owners    map[string][]string // by partition, for each instance by its token
	loads     map[string]int      // how many partitions each member keeps at most, over all instances
	even      float64             // the mean of loads if they were even
}

// Values in owners for partitions without a live owner.
const (
	ownerReleased = ""  // any member can acquire the partition
	ownerExpired  = "!" // members can acquire it once they have not seen its checkpoint change for a lease
)

// membership returns the current members, of which self is always one, and the owners of the partitions of all instances. Heartbeats
// that were old already when this process started do not count. For them it relies on the clock of the log, which is harmless: shares
// may be wrong until the next heartbeats, but a lease is never taken before it has expired.
func (l *leases) membership(self string, partitions int) membership {
	m := membership{stable: true, newcomers: map[string]bool{}, owners: map[string][]string{}, loads: map[string]int{}}
	l.mu.Lock()
	for subject, s := range l.latest {
		if name, ok := strings.CutPrefix(subject, "proc."); ok {
			if s.loadedAt.IsZero() || l.newest.Sub(s.loadedAt) < l.lease {
				m.addHeartbeat(name, s, l.lease)
			}
			continue
		}
		instance, number, _ := strings.Cut(strings.TrimPrefix(subject, "book."), ".")
		if n, err := strconv.Atoi(number); err == nil && n >= 0 && n < partitions {
			if m.owners[instance] == nil {
				m.owners[instance] = make([]string, partitions)
			}
			m.owners[instance][n] = ownerOf(s.data)
			if m.owners[instance][n] != ownerReleased && time.Since(s.changedAt) >= l.lease {
				m.owners[instance][n] = ownerExpired
			}
		}
	}
	l.mu.Unlock()
	if !slices.Contains(m.members, self) {
		m.members = append(m.members, self)
	}
	slices.Sort(m.members)
	m.addLoads()
	return m
}

// addHeartbeat adds a member if its last heartbeat says that it is alive.
func (m *membership) addHeartbeat(name string, s latestMessage, lease time.Duration) {
	if !s.isAlive(lease) {
		return
	}
	m.members = append(m.members, name)
	m.stable = m.stable && s.header[assignmentHeader] == assignmentStable
	if time.Since(s.since) < lease {
		m.newcomers[name] = true
	}
}

// addLoads sets loads and even.
func (m *membership) addLoads() {
	for _, owners := range m.owners {
		counts := countOwned(owners, m.members)
		if len(counts) == 0 { // no process delivers to the instance
			continue
		}
		m.even += float64(len(owners)) / float64(len(m.members))
		for name, n := range counts {
			m.loads[name] += min(n, (len(owners)+len(m.members)-1)/len(m.members))
		}
	}
}

// isOverloaded reports whether a member would keep notably more partitions than the others, over all instances.
func (m *membership) isOverloaded(name string) bool {
	return float64(m.loads[name]) > m.even+max(1, m.even/20)
}

// assignedTo returns which partitions of an instance should belong to a member.
func (m *membership) assignedTo(name, instance string, partitions int) []bool {
	mine := make([]bool, partitions)
	owners := m.owners[subjectToken(instance)]
	if m.stable && owners != nil {
		for n, member := range m.assignPartitions(instance, owners) {
			mine[n] = member == name
		}
		return mine
	}
	for n := range mine {
		mine[n] = assignedMember(instance, n, m.members) == name
	}
	return mine
}

// assignPartitions returns the member that should own each partition of an instance. The numbers of partitions of two members differ
// by one at most. Members keep what they own up to their share; the rest goes to the members with fewer. All members compute the same
// if they see the same owners. If they do not, conflicting writes decide, and later calls correct the shares.
func (m *membership) assignPartitions(instance string, owners []string) []string {
	missing := m.sharesOf(instance, owners)
	assigned := slices.Clone(owners)
	var released, expired []int
	for n, owner := range owners {
		_, isMember := slices.BinarySearch(m.members, owner)
		switch {
		case missing[owner] > 0:
			missing[owner]--
		case isMember || owner == ownerReleased:
			released = append(released, n)
		default:
			expired = append(expired, n)
		}
	}
	assign := func(list []int, members []string) (rest []int) {
		for _, name := range members {
			for ; missing[name] > 0 && len(list) > 0; missing[name]-- {
				assigned[list[0]] = name
				list = list[1:]
			}
		}
		return list
	}
	seniors := slices.DeleteFunc(slices.Clone(m.members), func(name string) bool { return m.newcomers[name] })
	if len(seniors) == 0 {
		seniors = m.members
	}
	expired = assign(expired, seniors)
	assign(released, m.members)
	for i, n := range expired { // more than the share of the seniors, so that the newcomers get them from the seniors later
		assigned[n] = seniors[i%len(seniors)]
	}
	return assigned
}

// sharesOf returns how many partitions of an instance each member should own. If they cannot be divided evenly, those members get one
// more that have it already. A member with more partitions of other instances than most does not keep it for that reason; which
// members get it then depends on a hash.
func (m *membership) sharesOf(instance string, owners []string) map[string]int {
	low, extra := len(owners)/len(m.members), len(owners)%len(m.members)
	counts := countOwned(owners, m.members)
	type candidate struct {
		name  string
		keeps bool
		hash  string
	}
	candidates := make([]candidate, len(m.members))
	for i, name := range m.members {
		candidates[i] = candidate{name, counts[name] > low && !m.isOverloaded(name), shortHash(instance + "\x00" + name)}
	}
	slices.SortFunc(candidates, func(a, b candidate) int {
		switch {
		case a.keeps == b.keeps:
			return strings.Compare(a.hash, b.hash)
		case a.keeps:
			return -1
		}
		return 1
	})
	shares := make(map[string]int, len(candidates))
	for i, c := range candidates {
		shares[c.name] = low
		if i < extra {
			shares[c.name]++
		}
	}
	return shares
}

// countOwned returns how many partitions each member owns. Owners that are not members are left out.
func countOwned(owners, members []string) map[string]int {
	counts := map[string]int{}
	for _, owner := range owners {
		if _, ok := slices.BinarySearch(members, owner); ok {
			counts[owner]++
		}
	}
	return counts
}

// assignedMember returns the member that owns a partition as long as processes of earlier versions are members. It does not depend
// on the present owners, so that a new member moves most partitions.
func assignedMember(instance string, partition int, members []string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(instance))
	return members[(uint64(h.Sum32())+uint64(partition))%uint64(len(members))]
}
