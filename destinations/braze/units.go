package braze

import (
	"context"
	"slices"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Bounds of Braze in bytes (https://www.braze.com/docs/api/basics). maxBody leaves room for what stands round the objects.
const (
	maxBody   = 4_000_000 - 4096
	maxObject = 100_000
)

// endpoint is where objects go in batches.
type endpoint struct {
	path string
	most int // objects in a request, all lists together
}

// object is one object of a request, in one of its lists.
type object struct {
	list string
	json []byte
}

func newObject(list string, members []event.Member) object {
	return object{list, event.NewObject(members).AppendJSON(nil)}
}

// unit is what one payload becomes. Its objects stay together where a request can hold them all.
type unit struct {
	index   int // of the payload
	objects []object
	beside  []event.Member // what the request says beside its lists; units that differ in it do not share one
	names   []string       // what a request must not hold twice: between two of a name the order would be open
	nothing string         // why there are no objects, where there are none
	more    bool           // another unit of the same payload follows
}

// bytes are those of objects in a request.
func bytes(objects []object) int {
	n := 0
	for _, o := range objects {
		n += len(o.json) + 1
	}
	return n
}

// call is what reading a payload needs to know.
type call struct {
	settings Settings
	mode     string // the sync mode
}

// batched is the action whose payloads are read into units and sent to an endpoint.
func batched(e endpoint, read func(call, payload) (unit, error)) destination.Action {
	return destination.Handle(destination.Handler[Settings, payload]{
		PerformBatch: func(ctx context.Context, in destination.BatchCall[Settings, payload]) (*destination.MultiStatus, error) {
			api, err := newAPI(in.Settings, in.Client)
			if err != nil {
				return nil, err
			}
			ms := destination.NewMultiStatus(len(in.Payloads))
			units := unitsOf(call{in.Settings, in.SyncMode}, in.Payloads, read, e.most, ms)
			s := sender{api: api, endpoint: e, ms: ms, taken: map[int]bool{}}
			return ms, s.all(ctx, units)
		},
	})
}

// unitsOf reads payloads; those that cannot be sent fail alone, those that have nothing to send are skipped. A payload of more
// objects than a request takes becomes several units.
func unitsOf(c call, payloads []payload, read func(call, payload) (unit, error), most int, ms *destination.MultiStatus) []*unit {
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
			ms.Skip(i, u.nothing)
			continue
		}
		for rest := u.objects; len(rest) > 0; {
			part, n := u, fitting(rest, most)
			part.index, part.objects, part.more = i, rest[:n], n < len(rest)
			units, rest = append(units, &part), rest[n:]
		}
	}
	return units
}

// fitting is how many of the first objects one request can hold.
func fitting(objects []object, most int) int {
	n := min(len(objects), most)
	for bytes(objects[:n]) > maxBody {
		n--
	}
	return n
}

func checkSizes(objects []object) error {
	for _, o := range objects {
		if n := len(o.json); n > maxObject {
			return fault.Invalid("what is sent for it has %d bytes, but Braze takes %d", n, maxObject)
		}
	}
	return nil
}

// requests divide units, in their order, into what one request each can hold.
func requests(units []*unit, most int) [][]*unit {
	var list [][]*unit
	begin, count, size, names := 0, 0, 0, map[string]bool{}
	for i, u := range units {
		n := bytes(u.objects)
		full := count+len(u.objects) > most || size+n > maxBody
		if i > begin && (full || twice(names, u.names) || !sameMembers(units[begin].beside, u.beside)) {
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

func twice(seen map[string]bool, names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return seen[name] })
}

func sameMembers(a, b []event.Member) bool {
	return event.Equal(event.NewObject(a), event.NewObject(b))
}

// body is the request of units.
func body(units []*unit) []byte {
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
	for _, m := range units[0].beside {
		out = append(event.AppendString(out, m.Key), ':')
		out = append(m.Value.AppendJSON(out), ',')
	}
	out[len(out)-1] = '}'
	return out
}
