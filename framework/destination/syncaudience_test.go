package destination_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

var superseded, unchanged = "skipped " + fault.CauseSuperseded.Text(), "skipped " + fault.CauseNoChange.Text()

func TestSyncAudienceSendsTheNewestChangeOfEachIdentity(t *testing.T) {
	r := newAudienceRig()
	assert.Equal(t, []string{superseded, "delivered", "delivered", superseded}, r.sync(t.Context(), "vip:u1+10", "vip:u1-20", "vip:u2+10", "vip:u2-05"))
	assert.Equal(t, []string{"create vip=vip #0", "vip -u1 +u2"}, r.log)
	assert.Equal(t, []string{superseded, "delivered"}, r.sync(t.Context(), "vip:u1-30", "vip:u1+30"), "of equal times the later arrival counts")
	assert.Equal(t, []string{superseded, unchanged}, r.sync(t.Context(), "vip:u1-29", "vip:u2+40"))
	assert.Empty(t, r.log)
	assert.Equal(t, []string{superseded}, r.sync(t.Context(), "vip:u2-35"), "older than what changed nothing")
}

func TestSyncAudienceFailsInvalidPayloadsAlone(t *testing.T) {
	r := newAudienceRig()
	long := strings.Repeat("x", destination.MaxIdentity)
	assert.Equal(t, []string{
		`refused "nothing" says nothing`, "delivered", "refused the identifier should be at most 1024 bytes long but has 1027", "delivered",
	}, r.sync(t.Context(), "nothing", "vip:u1+10", "vip:"+long+"+10", "vip:"+long[3:]+"+10"))
	assert.Equal(t, "create vip=vip #1", r.log[0], "the first payload that names the audience")
	r = newAudienceRig()
	assert.Equal(t, []string{`refused "nothing" says nothing`}, r.sync(t.Context(), "nothing"))
	assert.Empty(t, r.log)
}

func TestSyncAudienceCreatesEachAudienceOnceAndAgainForANewName(t *testing.T) {
	r := newAudienceRig()
	r.sync(t.Context(), "a:u1+10", "b:u1+10", "a:u2+10")
	assert.Equal(t, []string{"create a=a #0", "a +u1 +u2", "create b=b #1", "b +u1"}, r.log)
	r.sync(t.Context(), "a:u3+10", "b=New:u3+10")
	assert.Equal(t, []string{"a +u3", "create b=New #1", "b +u3"}, r.log)
	r.sync(t.Context(), "b=Newer:u4+10", "b=Newest:u5+10")
	assert.Equal(t, []string{"create b=Newest #0", "b +u4 +u5"}, r.log, "the last name counts")

	r.answer = func(request string) error {
		return map[string]error{"c +u1": refuse(503), "create d=d #1": refuse(500)}[request]
	}
	assert.Equal(t, []string{"retry refused", "retry refused", "delivered"}, r.sync(t.Context(), "c:u1+10", "d:u1+10", "a:u9+10"))
	assert.Equal(t, []string{"create c=c #0", "c +u1", "create d=d #1", "a +u9"}, r.log, "one audience does not stop the others")
	r.answer = nil
	r.sync(t.Context(), "c:u1+10")
	assert.Equal(t, []string{"create c=c #0", "c +u1"}, r.log, "an audience is remembered once it has taken members")
}

func TestSyncAudienceWithoutCreation(t *testing.T) {
	r := newAudienceRig()
	r.Create = nil
	assert.Equal(t, []string{"delivered"}, r.sync(t.Context(), "vip:u1+10"))
	assert.Equal(t, []string{"vip +u1"}, r.log)
	_, known, err := r.deps.State.Get(t.Context(), "audience/vip")
	require.NoError(t, err)
	assert.False(t, known)
}

func TestSyncAudienceKeepsNamesUnderItsPrefix(t *testing.T) {
	for prefix, key := range map[string]string{"": "audience/vip", "cohort/": "cohort/vip"} {
		r := newAudienceRig()
		r.StatePrefix = prefix
		r.sync(t.Context(), "vip=Best:u1+10")
		name, _, err := r.deps.State.Get(t.Context(), key)
		require.NoError(t, err)
		assert.Equal(t, "Best", name)
	}
}

func TestSyncAudienceDividesByTheLimitsOfTheRemote(t *testing.T) {
	payloads := []string{"vip:a+1", "vip:b-1", "vip:c+1", "vip:d-1", "vip:e+1"}
	r := newAudienceRig()
	r.MaxMembers = 2
	r.sync(t.Context(), payloads...)
	assert.Equal(t, []string{"create vip=vip #0", "vip +a -b", "vip +c -d", "vip +e"}, r.log)
	r = newAudienceRig()
	r.MaxMembers, r.OneWay = 2, true
	r.sync(t.Context(), payloads...)
	assert.Equal(t, []string{"create vip=vip #0", "vip +a +c", "vip +e", "vip -b -d"}, r.log)
	r.sync(t.Context(), "vip:z-1")
	assert.Equal(t, []string{"vip -z"}, r.log)
}

func TestSyncAudienceSharesRequests(t *testing.T) {
	r := newAudienceRig()
	r.MaxMembers, r.OneWay, r.SharesRequests = 3, true, true
	r.sync(t.Context(), "b:u1+10", "a:u1+10", "a:u2-10", "b:u2-10", "a:u3+10", "b:u4+10")
	assert.Equal(t, []string{"create b=b #0", "create a=a #1", "b +u1 +a/u1 +a/u3", "b +u4", "a -u2 -b/u2"}, r.log, "in the order of the payloads")
	sizes, err := r.deps.Members.Sizes(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []destination.AudienceSize{{Audience: destination.Audience{ID: "a", Name: "a"}, Members: 2}, {Audience: destination.Audience{ID: "b", Name: "b"}, Members: 2}}, sizes)

	r.answer = func(request string) error {
		return map[string]error{"a +u5 +b/u5": &destination.ItemErrors{Errors: map[int]error{1: refuse(422)}}, "a +u6 +b/u6": refuse(503)}[request]
	}
	assert.Equal(t, []string{"delivered", "refused refused", unchanged}, r.sync(t.Context(), "a:u5+20", "b:u5+20", "b:u1+20"))
	assert.Equal(t, []string{"retry refused", "retry refused"}, r.sync(t.Context(), "a:u6+20", "b:u6+20"))
	r.answer = nil
	assert.Equal(t, []string{"delivered", unchanged, "delivered"}, r.sync(t.Context(), "b:u5+30", "a:u5+30", "a:u6+30"))
	assert.Equal(t, []string{"b +u5 +a/u6"}, r.log)
}

func TestSyncAudienceFindsRefusedMembers(t *testing.T) {
	r := newAudienceRig()
	r.answer = func(request string) error {
		if strings.Contains(request, "c") && strings.HasPrefix(request, "vip") {
			return refuse(400)
		}
		return nil
	}
	assert.Equal(t, []string{"delivered", "delivered", "refused refused", "delivered"}, r.sync(t.Context(), "vip:a+1", "vip:b+1", "vip:c+1", "vip:d+1"))
	assert.Equal(t, []string{"vip +a +b +c +d", "vip +a +b", "vip +c +d", "vip +c", "vip +d"}, r.log[1:])
	assert.Equal(t, []string{"vip/id:c refused refused"}, r.members.notes)

	r = newAudienceRig()
	r.answer = func(request string) error {
		if request == "vip +a +b +c" {
			return &destination.ItemErrors{Errors: map[int]error{1: refuse(422), 2: refuse(429)}}
		}
		return nil
	}
	assert.Equal(t, []string{"delivered", "refused refused", "retry refused"}, r.sync(t.Context(), "vip:a+1", "vip:b+1", "vip:c+1"))
	assert.Equal(t, []string{unchanged, "delivered"}, r.sync(t.Context(), "vip:a+1", "vip:b+1"), "only what was accepted is recorded")
}

func TestSyncAudienceSendsAgainWhatIsUncertain(t *testing.T) {
	r := newAudienceRig()
	r.sync(t.Context(), "vip:u1+10")
	r.answer = func(string) error { return fault.ConnectionFailed(errors.New("reset")) }
	assert.Contains(t, r.sync(t.Context(), "vip:u1-20")[0], "retry")
	r.answer = nil
	assert.Equal(t, []string{"delivered"}, r.sync(t.Context(), "vip:u1+30"), "not taken for unchanged")
	assert.Equal(t, []string{unchanged}, r.sync(t.Context(), "vip:u1+31"))
	r.SendUnchanged = true
	assert.Equal(t, []string{"delivered"}, r.sync(t.Context(), "vip:u1+32"))
	r.SendUnchanged, r.resend = false, true
	assert.Equal(t, []string{"delivered"}, r.sync(t.Context(), "vip:u1+33"))
}

// A change whose response was lost supersedes older ones that are retried after it: the remote never sees an older change after a newer one.
// A refused change supersedes none.
func TestSyncAudienceKeepsTheOrderOfChangesInFlight(t *testing.T) {
	r := newAudienceRig()
	r.sync(t.Context(), "vip:u1+10")
	r.answer = func(string) error { return fault.ConnectionFailed(errors.New("reset")) }
	assert.Contains(t, r.sync(t.Context(), "vip:u1-30")[0], "retry")
	r.answer = nil
	assert.Contains(t, r.sync(t.Context(), "vip:u1+10")[0], "skipped superseded")
	assert.Contains(t, r.sync(t.Context(), "vip:u1+20")[0], "skipped superseded")
	assert.Empty(t, r.log)
	assert.Equal(t, []string{"delivered"}, r.sync(t.Context(), "vip:u1-30"))
	assert.Equal(t, []string{"vip -u1"}, r.log)

	r.answer = func(string) error { return refuse(400) }
	assert.Equal(t, []string{"refused refused"}, r.sync(t.Context(), "vip:u1+50"))
	r.answer = nil
	assert.Equal(t, []string{"delivered"}, r.sync(t.Context(), "vip:u1+40"))
}

// A ledger that fails: nothing is sent before it knows, nothing is delivered before it has recorded.
func TestSyncAudienceReturnsTheErrorsOfTheLedger(t *testing.T) {
	down := fault.StateUnavailable("using the ledger", errors.New("disk full"))
	for where, sent := range map[string][]string{
		"lookup": nil, "mark": {"create vip=vip #0"}, "record": {"create vip=vip #0", "vip +u1 -u2"}, "annotate": {"create vip=vip #0", "vip +u1 -u2"},
	} {
		t.Run(where, func(t *testing.T) {
			r := newAudienceRig()
			r.members.fail[where] = down
			for _, result := range r.sync(t.Context(), "vip:u1+10", "vip:u2-10") {
				if where == "annotate" {
					assert.Equal(t, "delivered", result)
				} else {
					assert.Contains(t, result, "retry")
				}
			}
			assert.Equal(t, sent, r.log)
		})
	}
	t.Run("record of what is unchanged", func(t *testing.T) {
		r := newAudienceRig()
		r.sync(t.Context(), "vip:u1+10")
		r.members.fail["record"] = down
		assert.Contains(t, r.sync(t.Context(), "vip:u1+20")[0], "retry")
	})
	t.Run("state", func(t *testing.T) {
		r := newAudienceRig()
		r.MaxMembers = 1
		r.deps.State.(*brittleState).put = down
		results := r.sync(t.Context(), "vip:u1+10", "vip:u2+10")
		assert.Equal(t, "delivered", results[0], "the remote has it and the ledger knows")
		assert.Contains(t, results[1], "retry")
	})
}

// A batch needs two writes: what changes nothing is recorded with the marks, and what was superseded with the record. A change has one note.
func TestSyncAudienceWritesAtOnce(t *testing.T) {
	second := func(n int64) time.Time { return time.Unix(n, 0) }
	r := newAudienceRig()
	members := &updatingMembers{watchedMembers: r.members}
	r.deps.Members = members
	r.sync(t.Context(), "vip:u1+10")
	members.updates, members.notes = nil, nil
	assert.Equal(t, []string{unchanged, "delivered", superseded, superseded}, r.sync(t.Context(), "vip:u1+20", "vip:u2+20", "vip:u2-15", "vip:u1-5"))
	assert.Equal(t, []destination.MemberUpdate{
		{Accepted: []destination.Change{{Identity: "id:u1", Member: true, At: second(20), Unchanged: true}}, Uncertain: []destination.Change{{Identity: "id:u2", Member: true, At: second(20)}}},
		{Accepted: []destination.Change{{Identity: "id:u2", Member: true, At: second(20)}}, Notes: members.updates[1].Notes},
	}, members.updates)
	assert.Len(t, members.updates[1].Notes, 2)
	assert.Len(t, members.notes, 2)

	members.updates, members.notes = nil, nil
	r.answer = func(string) error { return refuse(503) }
	results := r.sync(t.Context(), "vip=Other:u1+30", "vip=Other:u3+30", "vip=Other:u2+1")
	assert.Equal(t, []string{unchanged, superseded}, []string{results[0], results[2]})
	assert.Contains(t, results[1], "retry")
	assert.Equal(t, []string{"create vip=Other #0"}, r.log)
	assert.Equal(t, []destination.MemberUpdate{{Accepted: []destination.Change{{Identity: "id:u1", Member: true, At: second(30), Unchanged: true}}, Uncertain: []destination.Change{}}},
		members.updates, "the audience could not be renamed")
	assert.Len(t, members.notes, 2, "of u3 and u2")
}

func TestSyncAudienceRecordsWhatWasSentWhenItsContextEnds(t *testing.T) {
	r := newAudienceRig()
	ctx, cancel := context.WithCancel(t.Context())
	r.answer = func(request string) error {
		if request == "vip +u1" {
			cancel()
		}
		return nil
	}
	assert.Equal(t, []string{"delivered"}, r.sync(ctx, "vip:u1+10"))
	assert.Equal(t, []string{unchanged}, r.sync(t.Context(), "vip:u1+11"))
}

func TestSyncAudienceWaitsForOtherBatchesOfTheAudience(t *testing.T) {
	r := newAudienceRig()
	unlock, err := r.deps.Locks.Lock(t.Context(), "vip")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got := r.sync(ctx, "vip:u1+10", "other:u1+10")
	assert.Contains(t, got[0], "retry")
	assert.NotContains(t, strings.Join(r.log, " "), "vip +")
	unlock()
	assert.Equal(t, []string{"delivered"}, r.sync(t.Context(), "vip:u1+10"))
}

// Random batches with random failures of remote and ledger, tried until nothing is to be retried: the remote has the users whose newest
// event is an entry.
func TestSyncAudienceFollowsTheNewestEvent(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 9))
	for n := range 2_000 {
		r, newest := newAudienceRig(), map[string]string{}
		r.MaxMembers, r.OneWay, r.SharesRequests = random.IntN(4), n%2 == 0, n%3 == 0
		if n%5 < 2 {
			r.deps.Members = &updatingMembers{watchedMembers: r.members}
		}
		for range 1 + random.IntN(5) {
			batch := make([]string, 1+random.IntN(8))
			for i := range batch {
				batch[i] = fmt.Sprintf("%c:u%d%c%02d", "ab"[random.IntN(2)], random.IntN(4), "+-"[random.IntN(2)], 10+random.IntN(30))
			}
			noteNewest(newest, batch)
			for tries := 0; len(batch) > 0; tries++ {
				troubleRig(r, random, tries < 5)
				var again []string
				for i, result := range r.sync(t.Context(), batch...) {
					if strings.HasPrefix(result, "retry") {
						again = append(again, batch[i])
					}
				}
				batch = again
			}
		}
		for key, text := range newest {
			c, err := parseMember(text)
			require.NoError(t, err)
			require.Equal(t, c.Member, r.audience[c.Audience.ID][c.Identity.Name], "%s by %s", key, text)
		}
	}
}

// noteNewest keeps the newest event of each user in each audience.
func noteNewest(newest map[string]string, batch []string) {
	for _, text := range batch {
		at := strings.IndexAny(text, "+-")
		if best := newest[text[:at]]; best == "" || text[at+1:] >= best[at+1:] {
			newest[text[:at]] = text
		}
	}
}

// troubleRig lets requests fail before or after the remote has acted, and the ledger too.
func troubleRig(r *audienceRig, random *rand.Rand, trouble bool) {
	clear(r.members.fail)
	r.answer = nil
	r.Change = r.change
	if !trouble {
		return
	}
	where := []string{"lookup", "mark", "record", "", "", ""}[random.IntN(6)]
	r.members.fail[where] = fault.StateUnavailable("using the ledger", errors.New("busy"))
	r.answer = func(string) error {
		if random.IntN(4) == 0 {
			return refuse([]int{429, 503}[random.IntN(2)])
		}
		return nil
	}
	r.Change = func(ctx context.Context, a destination.Audience, changes []*destination.MemberChange) error {
		if err := r.change(ctx, a, changes); err != nil || random.IntN(4) > 0 {
			return err
		}
		return fault.ConnectionFailed(errors.New("the answer is lost"))
	}
}

func TestReadMembershipAndTime(t *testing.T) {
	properties := event.MustParse(`{"a":true,"b":"false","c":7,"n":null}`)
	in := func() destination.Membership { return destination.In }
	for key, want := range map[string]bool{"a": true, "b": false, "n": true, "missing": true} {
		member, err := destination.ReadMembership("Properties", properties, key, in)
		require.NoError(t, err, key)
		assert.Equal(t, want, member, key)
	}
	_, err := destination.ReadMembership("Properties", properties, "c", in)
	assert.EqualError(t, err, `Properties should have true or false at "c" but has a number`)
	_, err = destination.ReadMembership("Properties", properties, "x", func() destination.Membership { return destination.Unknown })
	assert.EqualError(t, err, `Properties should have true or false at "x" but has nothing`)
	_, err = destination.ReadTime("Time", "soon")
	assert.EqualError(t, err, `Time should be a date such as 2026-01-02T03:04:05Z but is "soon"`)
	at, err := destination.ReadTime("Time", "2026-01-02T03:04:05Z")
	require.NoError(t, err)
	assert.Equal(t, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), at.UTC())
}

func TestSyncAudienceTakesABatchOfManyAudiences(t *testing.T) {
	r := newAudienceRig()
	payloads := make([]string, 1000)
	for i := range payloads {
		payloads[i] = fmt.Sprintf("a%d:u+1", i)
	}
	results := r.sync(t.Context(), payloads...)
	slices.Sort(results)
	assert.Equal(t, []string{"delivered"}, slices.Compact(results))
	assert.Len(t, r.log, 2000)
}
