package braze

import (
	"context"
	"errors"
	"fmt"
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
		s.accepted(units, s.errorsOf(units, answer.Body), nil)
		return nil
	case e.Status != http.StatusBadRequest && e.Status != http.StatusRequestEntityTooLarge:
		for _, u := range units {
			s.fail(u, err)
		}
		return destination.NotSent(err) // the other units were not in this request
	}
	var refusal *destination.Refusal
	if errors.As(err, &refusal) {
		if wrong := s.errorsOf(units, refusal.Body); len(wrong) == count { // Braze says of each object why
			s.accepted(units, wrong, err)
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

// errorsOf are the errors that an answer has for objects of a request, by their spots. What it says of other spots is passed
// over.
func (s *sender) errorsOf(units []*unit, body event.Value) map[spot]string {
	list := body.Get("errors")
	if list.Kind() != event.Array {
		return nil
	}
	sizes := map[string]int{}
	for _, u := range units {
		for _, o := range u.objects {
			sizes[o.list]++
		}
	}
	wrong := map[spot]string{}
	for _, e := range list.Items() {
		at := spot{e.Get("input_array").Str(), int(e.Get("index").Int())}
		if at.list == "user_identifiers" { // how /users/identify calls what it has one list of
			at.list = units[0].objects[0].list
		}
		if e.Get("index").Kind() != event.Number || at.index < 0 || at.index >= sizes[at.list] || wrong[at] != "" {
			continue
		}
		if wrong[at] = s.api.client.Redact(e.Get("type").Str()); wrong[at] == "" {
			wrong[at] = "Braze does not say why"
		}
	}
	return wrong
}

// accepted decides the payloads of a request that Braze has taken, except for the objects that are wrong. The cause is the refusal
// that named them, or nil.
func (s *sender) accepted(units []*unit, wrong map[spot]string, cause error) {
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
