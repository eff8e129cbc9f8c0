package cli

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// verdicts counts the verdicts of an instance with one subscription, without events that a client sent twice.
func verdicts(c map[string]int64) int64 {
	return c["delivered"] + c["skipped"] + c["dead"] + c["parked"] + c["unmatched"] + c["unreadable"]
}

// load is random entries and exits of users, and the expected members of each audience.
type load struct {
	users, audiences int
	context          string // further members of each event's context
	mu               sync.Mutex
	want             map[string]map[string]bool // by audience
	changes          map[string]int             // how often the membership of a user in an audience changes, by both
	sent             int
	random           *rand.Rand
	began            time.Time
}

func newLoad(users, audiences int) *load {
	return &load{users: users, audiences: audiences, want: map[string]map[string]bool{}, changes: map[string]int{}, random: rand.New(rand.NewPCG(1, 2)), began: time.Now().Add(-time.Hour)}
}

// batch returns n events of the users of one of several senders.
func (l *load) batch(n, sender, senders int) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b bytes.Buffer
	b.WriteString(`{"batch":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		user := fmt.Sprintf("u%d", l.random.IntN(l.users/senders)*senders+sender)
		audience := fmt.Sprintf("c%d", l.random.IntN(l.audiences))
		member, name := l.random.IntN(2) == 0, "Audience Exited"
		if member {
			name = "Audience Entered"
		}
		l.sent++
		fmt.Fprintf(&b, `{"type":"track","messageId":"m%d","userId":%q,"event":%q,"timestamp":%q,"properties":{"audience_key":%q,%q:%v},"context":{"personas":{"computation_class":"audience","computation_id":%q,"computation_key":%q}%s}}`,
			l.sent, user, name, l.began.Add(time.Duration(l.sent)*time.Millisecond).UTC().Format("2006-01-02T15:04:05.000Z"), audience, audience, member, "aud_"+audience, audience, l.context)
		if l.want["aud_"+audience] == nil {
			l.want["aud_"+audience] = map[string]bool{}
		}
		if was, known := l.want["aud_"+audience][user]; !known || was != member {
			l.changes["aud_"+audience+" "+user]++
		}
		l.want["aud_"+audience][user] = member
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

// batchesOf returns how many batches of 100 events one of several senders sends, so that all of them together send the events.
func batchesOf(sender, senders, events int) int {
	batches := events / 100 / senders
	if sender < events/100%senders {
		batches++
	}
	return batches
}

// send sends events from several senders at once, each with different users, and calls a function after each batch.
func (l *load) send(s *served, events, senders int, after func()) {
	var all sync.WaitGroup
	for sender := range senders {
		all.Go(func() {
			for range batchesOf(sender, senders, events) {
				s.post(l.batch(100, sender, senders))
				after()
			}
		})
	}
	all.Wait()
}

// check compares the sandbox with the newest event of each user in each audience.
func (l *load) check(t *testing.T, sandbox string) {
	require.Empty(t, l.misplacedUsers(t, sandbox), "users who are not where their newest event says")
}

// misplacedUsers returns the users whose membership differs from their newest event, each with the audience.
func (l *load) misplacedUsers(t *testing.T, sandbox string) (list []string) {
	got := members(t, sandbox)
	for audience, users := range l.want {
		for user, member := range users {
			if got[audience][user] != member {
				list = append(list, fmt.Sprintf("%s %s: should be a member: %v", audience, user, member))
			}
		}
		for user := range got[audience] {
			if _, ok := users[user]; !ok { // require.Contains walks through all keys
				require.Fail(t, "unexpected member", "%s of %s", user, audience)
			}
		}
	}
	return list
}

// poisonedBatch returns a batch with one id that makes Braze refuse the whole request.
var poisonedBatch = func() []byte {
	var lines []string
	for i := range 100 {
		id := fmt.Sprintf("p%d", i)
		if i == 50 {
			id = "poison"
		}
		lines = append(lines, fmt.Sprintf(`{"type":"track","messageId":"poison%d","userId":%q,"event":"Audience Entered","properties":{"audience_key":"p","p":true},"context":{"personas":{"computation_class":"audience","computation_id":"aud_p","computation_key":"p"}}}`, i, id))
	}
	return []byte(`{"batch":[` + strings.Join(lines, ",") + `]}`)
}()
