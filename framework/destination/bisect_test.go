package destination_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
)

// bisected is a Bisection of letters and what happened in it. Each request is written as its letters, + for accepted, - for
// failed with the status.
type bisected struct {
	destination.Bisection[rune]
	requests []string
	log      []string
}

// newBisected returns a Bisection whose requests are answered by answer.
func newBisected(answer func(items string) error) *bisected {
	b := &bisected{}
	b.Send = func(_ context.Context, items []rune) error {
		b.requests = append(b.requests, string(items))
		return answer(string(items))
	}
	b.Accept = func(items []rune) error { b.log = append(b.log, "+"+string(items)); return nil }
	b.Fail = func(items []rune, err error) {
		b.log = append(b.log, fmt.Sprintf("-%s %d", string(items), fault.As(err).Status))
	}
	return b
}

func refuse(status int) error { return fault.FromStatus(status, "refused") }

func TestBisection(t *testing.T) {
	refuseAny := func(bad string, status int) func(string) error {
		return func(items string) error {
			if strings.ContainsAny(items, bad) {
				return refuse(status)
			}
			return nil
		}
	}
	in := func(items string, errs map[rune]error) map[int]error {
		byIndex := map[int]error{}
		for i, item := range []rune(items) {
			if errs[item] != nil {
				byIndex[i] = errs[item]
			}
		}
		return byIndex
	}
	for name, c := range map[string]struct {
		items     string
		answer    func(items string) error
		divisible func(*fault.Error) bool
		limit     int
		requests  string
		log       string
		status    int // of the error that Run returns; 0 if it returns none
	}{
		"all accepted": {items: "abcd", answer: refuseAny("", 0), requests: "abcd", log: "+abcd"},
		"no items":     {answer: refuseAny("", 0)},
		"one invalid":  {items: "abcd", answer: refuseAny("c", 400), requests: "abcd ab cd c d", log: "+ab -c 400 +d"},
		"all invalid":  {items: "abc", answer: refuseAny("abc", 400), requests: "abc a bc b c", log: "-a 400 -b 400 -c 400"},
		"a single invalid item": {
			items: "a", answer: refuseAny("a", 400), requests: "a", log: "-a 400",
		},
		"an error of all stops": {
			items: "abcd", answer: refuseAny("b", 401), requests: "abcd", log: "-abcd 401", status: 401,
		},
		"an error of all among the parts": {
			items: "abcd", requests: "abcd ab cd", log: "+ab -cd 503", status: 503,
			answer: func(items string) error {
				return map[string]error{"abcd": refuse(400), "cd": refuse(503)}[items]
			},
		},
		"an error of all in the first half": {
			items: "abcd", requests: "abcd ab", log: "-ab 429 -cd 429", status: 429,
			answer: func(items string) error {
				return map[string]error{"abcd": refuse(400), "ab": refuse(429)}[items]
			},
		},
		"divisible as declared": {
			items: "ab", answer: refuseAny("b", 413), requests: "ab a b", log: "+a -b 413",
			divisible: func(e *fault.Error) bool { return e.Status == http.StatusRequestEntityTooLarge },
		},
		"the limit": {
			items: "abcdefgh", answer: refuseAny("bh", 400), limit: 3, requests: "abcdefgh abcd ab a b cd efgh",
			log: "+a -b 400 +cd -efgh 400",
		},
		"single items of an accepted request": {
			items: "abcd", requests: "abcd", log: "-b 422 -c 429 +ad",
			answer: func(items string) error {
				return &destination.ItemErrors{Errors: in(items, map[rune]error{'b': refuse(422), 'c': refuse(429)})}
			},
		},
		"an accepted request without errors": {
			items: "ab", requests: "ab", log: "+ab", answer: func(string) error { return &destination.ItemErrors{} },
		},
		"single items of a refused request": {
			items: "abcd", requests: "abcd acd", log: "-b 422 +acd",
			answer: func(items string) error {
				if errs := in(items, map[rune]error{'b': refuse(422)}); len(errs) > 0 {
					return &destination.ItemErrors{Refusal: refuse(400), Errors: errs}
				}
				return nil
			},
		},
		"a refused request that names only some of its invalid items": {
			items: "abcd", requests: "abcd acd a cd c d", log: "-b 422 +a -c 400 +d",
			answer: func(items string) error {
				if errs := in(items, map[rune]error{'b': refuse(422)}); len(errs) > 0 {
					return &destination.ItemErrors{Refusal: refuse(400), Errors: errs}
				}
				return refuseAny("c", 400)(items)
			},
		},
		"a refused request that names none": {
			items: "ab", requests: "ab a b", log: "+a -b 400",
			answer: func(items string) error {
				if strings.Contains(items, "b") {
					return &destination.ItemErrors{Refusal: refuse(400)}
				}
				return nil
			},
		},
		"an error that belongs to no item": {
			items: "abc", requests: "abc", log: "-a 422 -b 400 -c 400",
			answer: func(string) error {
				return &destination.ItemErrors{Errors: map[int]error{0: refuse(422), 7: refuse(400)}}
			},
		},
		"an error before the first item": {
			items: "abc", requests: "abc", log: "-a 400 -b 422 -c 400",
			answer: func(string) error {
				return &destination.ItemErrors{Errors: map[int]error{1: refuse(422), -1: refuse(400)}}
			},
		},
		"the limit with single items": {
			items: "abcd", limit: 1, requests: "abcd bcd", log: "-a 422 -b 422 -cd 400",
			answer: func(string) error {
				return &destination.ItemErrors{Refusal: refuse(400), Errors: map[int]error{0: refuse(422)}}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBisected(c.answer)
			b.Divisible, b.MaxDivisions = c.divisible, c.limit
			err := b.Run(t.Context(), []rune(c.items))
			assert.Equal(t, c.requests, strings.Join(b.requests, " "))
			assert.Equal(t, c.log, strings.Join(b.log, " "))
			if c.status == 0 {
				assert.NoError(t, err)
				return
			}
			assert.Equal(t, c.status, fault.As(err).Status)
		})
	}
}

func TestBisectionStopsWhenItsContextEnds(t *testing.T) {
	for name, answer := range map[string]error{
		"halves":       refuse(400),
		"single items": &destination.ItemErrors{Refusal: refuse(400), Errors: map[int]error{0: refuse(422)}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			b := newBisected(func(string) error { cancel(); return answer })
			err := b.Run(ctx, []rune("abcd"))
			assert.ErrorIs(t, err, context.Canceled)
			assert.True(t, fault.As(err).Retry, "an item that may be valid must not be refused for good")
			assert.Equal(t, []string{"abcd"}, b.requests)
		})
	}
}

func TestBisectionFailsWhatCannotBeRecorded(t *testing.T) {
	b := newBisected(func(items string) error {
		if len(items) > 2 {
			return refuse(400)
		}
		return nil
	})
	cause := errors.New("the disk is full")
	b.Accept = func(items []rune) error { b.log = append(b.log, "!"+string(items)); return cause }
	assert.ErrorIs(t, b.Run(t.Context(), []rune("abcd")), cause)
	assert.Equal(t, []string{"abcd", "ab"}, b.requests)
	assert.Equal(t, []string{"!ab", "-ab 500", "-cd 500"}, b.log)
}

func TestTheLimitOfABisectionIsForAllItsRuns(t *testing.T) {
	b := newBisected(func(string) error { return refuse(400) })
	b.MaxDivisions = 2
	for _, items := range []string{"ab", "cd", "ef"} {
		require.NoError(t, b.Run(t.Context(), []rune(items)))
	}
	assert.Equal(t, "ab a b cd c d ef", strings.Join(b.requests, " "))
	assert.Equal(t, "-ef 400", b.log[len(b.log)-1])
}

func TestARefusedBatchOfMaximumSizeIsBounded(t *testing.T) {
	b := newBisected(func(string) error { return refuse(400) })
	require.NoError(t, b.Run(t.Context(), []rune(strings.Repeat("x", 10_000))))
	assert.Len(t, b.requests, 1+2*destination.DefaultDivisions)
}

func TestItemErrorsSayWhatTheyAre(t *testing.T) {
	assert.EqualError(t, &destination.ItemErrors{Refusal: errors.New("no"), Errors: map[int]error{1: refuse(422)}}, "no")
	assert.EqualError(t, &destination.ItemErrors{Errors: map[int]error{1: refuse(422)}}, "the remote has refused some items of the request")
}

// Remotes that refuse random items, name some of them, and fail at random: every item gets one result, in order within the accepted and
// within each request; no invalid item is accepted; without a failure and within the limit, no valid item fails; the number of requests
// is bounded.
func TestEveryItemOfABisectionGetsOneResult(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 5))
	for range 5_000 {
		n, limit := random.IntN(40), 1+random.IntN(80)
		bad, named, broken := map[int]bool{}, map[int]bool{}, random.IntN(3) == 0
		for range random.IntN(4) {
			i := random.IntN(n + 1)
			bad[i], named[i] = true, random.IntN(2) == 0
		}
		results, requests, failed := map[int]string{}, 0, false
		b := destination.Bisection[int]{MaxDivisions: limit}
		b.Send = func(_ context.Context, items []int) error {
			requests++
			require.True(t, slices.IsSorted(items))
			require.False(t, failed, "nothing is sent after an error of all")
			if failed = broken && random.IntN(6) == 0; failed {
				return refuse(503)
			}
			errs := map[int]error{}
			for at, i := range items {
				if bad[i] && named[i] {
					errs[at] = refuse(422)
				}
			}
			if !slices.ContainsFunc(items, func(i int) bool { return bad[i] }) {
				return nil
			}
			if len(errs) > 0 {
				return &destination.ItemErrors{Refusal: refuse(400), Errors: errs}
			}
			return refuse(400)
		}
		decide := func(items []int, result string) {
			for _, i := range items {
				require.Empty(t, results[i], "an item has two results")
				results[i] = result
			}
		}
		b.Accept = func(items []int) error { decide(items, "accepted"); return nil }
		b.Fail = func(items []int, err error) { decide(items, fmt.Sprint(fault.As(err).Status)) }

		items := make([]int, n)
		for i := range items {
			items[i] = i
		}
		err := b.Run(t.Context(), items)
		require.Equal(t, failed, err != nil)
		require.LessOrEqual(t, requests, 1+2*limit)
		require.Len(t, results, n)
		for i, result := range results {
			switch {
			case bad[i]:
				require.NotEqual(t, "accepted", result)
			case !failed && limit > 4*10:
				require.Equal(t, "accepted", result, "item %d of %d, bad: %v", i, n, bad)
			}
		}
	}
}
