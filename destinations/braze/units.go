package braze

import (
	"context"
	"slices"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Limits of Braze in bytes (https://www.braze.com/docs/api/basics). maxBody leaves space for the JSON around the objects.
const (
	maxBody   = 4_000_000 - 4096
	maxObject = 100_000
)

// endpoint is an endpoint that accepts objects in batches.
type endpoint struct {
	path       string
	maxObjects int // per request, in all lists together
}

// object is one object of a request, in one of its lists.
type object struct {
	list string
	json []byte
}

func newObject(list string, members []event.Member) object {
	return object{list, event.NewObject(members).AppendJSON(nil)}
}

// unit is the objects of one payload. They are sent in one request if it can contain them all.
type unit struct {
	index       int // of the payload
	objects     []object
	extra       []event.Member // members of the request outside its lists; units that differ in them do not share a request
	names       []string       // names that a request may contain only once, since the order of two objects with one name is undefined
	emptyReason string         // why there are no objects
	hasMore     bool           // another unit of the same payload follows
}

// encodedSize returns the size of objects in a request.
func encodedSize(objects []object) int {
	n := 0
	for _, o := range objects {
		n += len(o.json) + 1
	}
	return n
}

// call holds what is needed to read a payload.
type call struct {
	settings Settings
	mode     string // the sync mode
}

// batchAction returns an action that converts payloads to units and sends them to an endpoint.
func batchAction(e endpoint, read func(call, payload) (unit, error)) destination.Action {
	return destination.Handle(destination.Handler[Settings, payload]{
		PerformBatch: func(ctx context.Context, in destination.BatchCall[Settings, payload]) (*destination.MultiStatus, error) {
			api, err := newAPI(in.Settings, in.Client)
			if err != nil {
				return nil, err
			}
			ms := destination.NewMultiStatus(len(in.Payloads))
			units := unitsOf(call{in.Settings, in.SyncMode}, in.Payloads, read, e.maxObjects, ms)
			s := sender{api: api, endpoint: e, ms: ms, accepted: map[int]bool{}}
			s.sendAll(ctx, units)
			return ms, nil
		},
	})
}

// unitsOf converts payloads to units. Invalid payloads fail, and payloads without objects are skipped. A payload with more
// objects than a request can hold becomes several units.
func unitsOf(c call, payloads []payload, read func(call, payload) (unit, error), maxObjects int, ms *destination.MultiStatus) []*unit {
	var units []*unit
	for i, p := range payloads {
		u, err := read(c, p)
		if err == nil {
			err = checkSizes(u.objects)
		}
		switch {
		case err != nil:
			ms.Fail(i, err)
			continue
		case len(u.objects) == 0:
			ms.Skip(i, u.emptyReason)
			continue
		}
		for rest := u.objects; len(rest) > 0; {
			part, n := u, countFitting(rest, maxObjects)
			part.index, part.objects, part.hasMore = i, rest[:n], n < len(rest)
			units, rest = append(units, &part), rest[n:]
		}
	}
	return units
}

// countFitting returns how many of the first objects fit into one request.
func countFitting(objects []object, maxObjects int) int {
	n := min(len(objects), maxObjects)
	for encodedSize(objects[:n]) > maxBody {
		n--
	}
	return n
}

func checkSizes(objects []object) error {
	for _, o := range objects {
		if n := len(o.json); n > maxObject {
			return fault.Invalid("an object of the payload has %d bytes, but Braze accepts at most %d", n, maxObject)
		}
	}
	return nil
}

// splitRequests splits units, in order, into groups that fit into one request.
func splitRequests(units []*unit, maxObjects int) [][]*unit {
	var list [][]*unit
	begin, count, size, names := 0, 0, 0, map[string]bool{}
	for i, u := range units {
		n := encodedSize(u.objects)
		full := count+len(u.objects) > maxObjects || size+n > maxBody
		if i > begin && (full || containsAny(names, u.names) || !sameMembers(units[begin].extra, u.extra)) {
			list = append(list, units[begin:i:i])
			begin, count, size = i, 0, 0
			clear(names)
		}
		count, size = count+len(u.objects), size+n
		for _, name := range u.names {
			names[name] = true
		}
	}
	if begin < len(units) {
		list = append(list, units[begin:])
	}
	return list
}

func containsAny(seen map[string]bool, names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return seen[name] })
}

func sameMembers(a, b []event.Member) bool {
	return event.Equal(event.NewObject(a), event.NewObject(b))
}

// encodeBody returns the request body of units.
func encodeBody(units []*unit) []byte {
	var lists []string
	of := map[string][]byte{}
	for _, u := range units {
		for _, o := range u.objects {
			if of[o.list] == nil {
				lists = append(lists, o.list)
			}
			of[o.list] = append(append(of[o.list], ','), o.json...)
		}
	}
	out := []byte{'{'}
	for _, list := range lists {
		out = append(event.AppendString(out, list), `:[`...)
		out = append(append(out, of[list][1:]...), `],`...)
	}
	for _, m := range units[0].extra {
		out = append(event.AppendString(out, m.Key), ':')
		out = append(m.Value.AppendJSON(out), ',')
	}
	out[len(out)-1] = '}'
	return out
}
