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

// sender sends units to Braze.
type sender struct {
	api      *api
	endpoint endpoint
	ms       *destination.MultiStatus
	accepted map[int]bool // payloads that Braze has accepted in part
}

// sendAll sends units, request by request. A malformed request is divided until the invalid objects are alone. After a failure that
// concerns more than the objects of a request, nothing more is sent and the remaining units get the same error.
func (s *sender) sendAll(ctx context.Context, units []*unit) {
	b := destination.Bisection[*unit]{Send: s.sendBatch, Fail: s.failUnits, Divisible: isTooMuch}
	for _, part := range splitRequests(units, s.endpoint.maxObjects) {
		if err := b.Run(ctx, part); err != nil {
			s.failUnits(units, err)
			return
		}
	}
}

// isTooMuch reports whether a refusal may concern some of a request's objects, or its size.
func isTooMuch(e *fault.Error) bool {
	return e.Status == http.StatusBadRequest || e.Status == http.StatusRequestEntityTooLarge
}

// sendBatch sends one request and assigns the errors of the response to objects. An error concerns the whole request.
func (s *sender) sendBatch(ctx context.Context, units []*unit) error {
	count := 0
	for _, u := range units {
		count += len(u.objects)
	}
	response, err := s.api.sendRequest(ctx, http.MethodPost, s.endpoint.path, encodeBody(units), count)
	if err == nil {
		wrong, unplaced := s.errorsOf(units, response.Body)
		s.decideAccepted(units, wrong, unplaced, nil)
		return nil
	}
	var refusal *destination.Refusal
	if isTooMuch(fault.As(err)) && errors.As(err, &refusal) {
		if wrong, _ := s.errorsOf(units, refusal.Body); len(wrong) == count { // Braze gives a reason for each object
			s.decideAccepted(units, wrong, "", err)
			return nil
		}
	}
	return err
}

// objectIndex is the position of an object in a request.
type objectIndex struct {
	list  string
	index int
}

// errorsOf returns the errors of objects in a response, and the reason of the first error that cannot be assigned to an object.
// If a request has one list, the index alone decides: Braze does not always name the list, and has several names for some.
func (s *sender) errorsOf(units []*unit, body event.Value) (wrong map[objectIndex]string, unplaced string) {
	list := body.Get("errors")
	switch isEmpty := list.Len() == 0 && (list.Kind() == event.Array || list.Kind() == event.Object); {
	case !list.Exists() || isEmpty:
		return nil, ""
	case list.Kind() != event.Array:
		return nil, s.reasonOf(list)
	}
	sizes := map[string]int{}
	for _, u := range units {
		for _, o := range u.objects {
			sizes[o.list]++
		}
	}
	wrong = map[objectIndex]string{}
	for _, e := range list.Items() {
		reason := s.reasonOf(e)
		at, ok := objectIndexOf(e, units[0].objects[0].list, sizes)
		switch {
		case ok && wrong[at] == "":
			wrong[at] = reason
		case !ok && unplaced == "":
			unplaced = reason
		}
	}
	return wrong, unplaced
}

// reasonOf returns the reason of an error, without secrets.
func (s *sender) reasonOf(e event.Value) string {
	reason := cmp.Or(e.Get("type").Str(), e.Get("message").Str(), e.Str(), "Braze does not say why")
	return s.api.client.Redact(reason)
}

// objectIndexOf returns the object of an error; ok is false if the request has no such object. first is the list of the first
// object.
func objectIndexOf(e event.Value, first string, sizes map[string]int) (at objectIndex, ok bool) {
	at = objectIndex{e.Get("input_array").Str(), int(e.Get("index").Int())}
	if len(sizes) == 1 || at.list == "user_identifiers" { // the name that /users/identify uses for its one list
		at.list = first
	}
	return at, isIndex(e.Get("index")) && at.index < sizes[at.list]
}

func isIndex(v event.Value) bool {
	return v.Kind() == event.Number && v.Float() >= 0 && v.Float() == math.Trunc(v.Float())
}

// decideAccepted sets the results of the payloads of a request that Braze has accepted. Payloads with invalid objects fail. If
// an error cannot be assigned, all other payloads fail too, since it may concern any of them. cause is the refusal with the
// errors, or nil.
func (s *sender) decideAccepted(units []*unit, wrong map[objectIndex]string, unplaced string, cause error) {
	next := map[string]int{}
	for _, u := range units {
		bad, why := 0, ""
		for _, o := range u.objects {
			if reason := wrong[objectIndex{o.list, next[o.list]}]; reason != "" {
				bad, why = bad+1, reason
			}
			next[o.list]++
		}
		s.accepted[u.index] = s.accepted[u.index] || bad < len(u.objects)
		switch {
		case bad > 0 && s.accepted[u.index]:
			s.failUnit(u, refusedError(fmt.Sprintf("%s (%d of %d objects; Braze has the others)", why, bad, len(u.objects)), cause))
		case bad > 0:
			s.failUnit(u, refusedError(why, cause))
		case unplaced != "":
			s.failUnit(u, refusedError(unplaced+" (Braze does not say which object of the request it means)", cause))
		case !u.hasMore && !s.ms.Decided(u.index):
			s.ms.Deliver(u.index)
		}
	}
}

func refusedError(why string, cause error) error {
	e := fault.FromStatus(http.StatusBadRequest, why)
	e.Err = cause
	return e
}

func (s *sender) failUnits(units []*unit, err error) {
	for _, u := range units {
		s.failUnit(u, err)
	}
}

// failUnit sets the result of a payload that has none. A payload that Braze has accepted in part must not be retried, since
// that part would count twice.
func (s *sender) failUnit(u *unit, err error) {
	if s.ms.Decided(u.index) {
		return
	}
	if e := fault.As(err); s.accepted[u.index] && e.Retry {
		final := *e
		final.Retry, final.RetryAfter = false, 0
		final.Message = "Braze has accepted a part of it, which would count twice after a retry; error of the rest: " + e.Error()
		err = &final
	}
	s.ms.Fail(u.index, err)
}
