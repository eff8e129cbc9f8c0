package braze

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// maxDivisions bounds the requests that look for what Braze cannot take: a batch in which more is wrong than they can find
// fails in larger parts.
const maxDivisions = 64

// sender brings units to Braze.
type sender struct {
	api      *api
	endpoint endpoint
	ms       *destination.MultiStatus
	taken    map[int]bool // payloads of which Braze has a part

	divisions int
}

// all sends units, request by request. After a failure that concerns more than a request's own objects, nothing more is sent:
// what is behind gets the same error.
func (s *sender) all(ctx context.Context, units []*unit) error {
	for _, part := range requests(units, s.endpoint.most) {
		if err := s.send(ctx, part); err != nil {
			for _, u := range units {
				s.fail(u, err)
			}
			return nil
		}
	}
	return nil
}

// send sends one request and takes its answer apart. A request that Braze refuses as malformed is divided until what it cannot
// take is alone. The error is one that ends the batch.
func (s *sender) send(ctx context.Context, units []*unit) error {
	count := 0
	for _, u := range units {
		count += len(u.objects)
	}
	answer, err := s.api.send(ctx, http.MethodPost, s.endpoint.path, body(units), count)
	e := fault.As(err)
	switch {
	case e == nil:
		wrong, unplaced := s.errorsOf(units, answer.Body)
		s.accepted(units, wrong, unplaced, nil)
		return nil
	case e.Status != http.StatusBadRequest && e.Status != http.StatusRequestEntityTooLarge:
		for _, u := range units {
			s.fail(u, err)
		}
		return destination.NotSent(err) // the other units were not in this request
	}
	var refusal *destination.Refusal
	if errors.As(err, &refusal) {
		if wrong, _ := s.errorsOf(units, refusal.Body); len(wrong) == count { // Braze says of each object why
			s.accepted(units, wrong, "", err)
			return nil
		}
	}
	if len(units) > 1 && s.divisions < maxDivisions {
		s.divisions++
		half := len(units) / 2
		if err := s.send(ctx, units[:half]); err != nil {
			return err
		}
		return s.send(ctx, units[half:])
	}
	for _, u := range units {
		s.fail(u, err)
	}
	return nil
}

// spot is where an object stands in a request.
type spot struct {
	list  string
	index int
}

// errorsOf returns the errors that an answer has for objects of a request, by their spots, and the reason of the first error
// that belongs to no spot. When a request has one list, the index alone decides: Braze does not always name the list, and
// has more than one name for some.
func (s *sender) errorsOf(units []*unit, body event.Value) (wrong map[spot]string, unplaced string) {
	list := body.Get("errors")
	if list.Kind() != event.Array || list.Len() == 0 {
		return nil, ""
	}
	sizes := map[string]int{}
	for _, u := range units {
		for _, o := range u.objects {
			sizes[o.list]++
		}
	}
	wrong = map[spot]string{}
	for _, e := range list.Items() {
		reason := s.reasonOf(e)
		at, ok := spotOf(e, units[0].objects[0].list, sizes)
		switch {
		case ok && wrong[at] == "":
			wrong[at] = reason
		case !ok && unplaced == "":
			unplaced = reason
		}
	}
	return wrong, unplaced
}

// reasonOf returns what an error of Braze's says, without secrets.
func (s *sender) reasonOf(e event.Value) string {
	reason := cmp.Or(e.Get("type").Str(), e.Get("message").Str(), e.Str(), "Braze does not say why")
	return s.api.client.Redact(reason)
}

// spotOf returns the spot of an error; ok is false if it names none of the request. first is the list of the first object.
func spotOf(e event.Value, first string, sizes map[string]int) (at spot, ok bool) {
	at = spot{e.Get("input_array").Str(), int(e.Get("index").Int())}
	if len(sizes) == 1 || at.list == "user_identifiers" { // what /users/identify calls the one list that it has
		at.list = first
	}
	return at, isIndex(e.Get("index")) && at.index < sizes[at.list]
}

func isIndex(v event.Value) bool {
	return v.Kind() == event.Number && v.Float() >= 0 && v.Float() == math.Trunc(v.Float())
}

// accepted decides the payloads of a request that Braze has taken. Those with wrong objects fail; with an error that belongs
// to no object, all others fail too, since any of them may be meant.
// The cause is the refusal that named the errors, or nil.
func (s *sender) accepted(units []*unit, wrong map[spot]string, unplaced string, cause error) {
	next := map[string]int{}
	for _, u := range units {
		bad, why := 0, ""
		for _, o := range u.objects {
			if reason := wrong[spot{o.list, next[o.list]}]; reason != "" {
				bad, why = bad+1, reason
			}
			next[o.list]++
		}
		s.taken[u.index] = s.taken[u.index] || bad < len(u.objects)
		switch {
		case bad > 0 && s.taken[u.index]:
			s.fail(u, refused(fmt.Sprintf("%s (%d of %d objects; Braze has the others)", why, bad, len(u.objects)), cause))
		case bad > 0:
			s.fail(u, refused(why, cause))
		case unplaced != "":
			s.fail(u, refused(unplaced+" (Braze does not say which object of the request it means)", cause))
		case !u.more && !s.ms.Decided(u.index):
			s.ms.Deliver(u.index)
		}
	}
}

func refused(why string, cause error) error {
	e := fault.FromStatus(http.StatusBadRequest, why)
	e.Cause = cause
	return e
}

// fail decides a payload that is not decided yet. One that Braze has a part of must not be sent again: the part would count
// twice.
func (s *sender) fail(u *unit, err error) {
	if s.ms.Decided(u.index) {
		return
	}
	if e := fault.As(err); s.taken[u.index] && e.Retry {
		final := *e
		final.Retry, final.RetryAfter = false, 0
		final.Message = "Braze has a part of it, which would count twice if it were sent again; of the rest: " + e.Error()
		err = &final
	}
	s.ms.Fail(u.index, err)
}
