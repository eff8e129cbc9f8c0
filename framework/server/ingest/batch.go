package ingest

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/event/incoming"
	"github.com/landfall-dev/landfall/framework/fault"
)

const (
	// maxGrowth limits the size of a request's events after each has the shared members of the batch, in multiples of MaxBatch.
	maxGrowth = 16
	// maxListed is the number of rejected events that a response lists.
	maxListed = 1000
	// maxNamed is the length of the longest messageId that a response repeats.
	maxNamed = 200
	// minEvent is smaller than every valid event of a batch, in bytes.
	minEvent = 20
	// valueSize is the approximate size of an event.Value in bytes.
	valueSize = 32
)

// rejections are the rejected events of a request.
type rejections struct {
	list       []Rejected // the first maxListed
	count      int
	suppressed int // how many of count are the events of suppressed users
}

// addEvent records a rejected event. It adds the messageId of the event to e.
func (r *rejections) addEvent(v event.Value, e Rejected) {
	r.count++
	if e.Cause == fault.CauseSuppressed {
		r.suppressed++
	}
	if len(r.list) >= maxListed {
		return
	}
	if id := v.Get("messageId"); id.Size() <= maxNamed {
		e.MessageID = id.Text()
	}
	r.list = append(r.list, e)
}

// firstInvalid returns why the first event was rejected whose user is not suppressed; "" if it is not listed.
func (r *rejections) firstInvalid() string {
	for _, e := range r.list {
		if e.Cause == "" {
			return e.Error
		}
	}
	return ""
}

// replacedTimes are the events of a request whose own time was replaced.
type replacedTimes []ReplacedTime

// addEvent records an event if its time was replaced.
func (r *replacedTimes) addEvent(index int, made incoming.NormalizedEvent) {
	if made.ReplacedReason == "" || len(*r) >= maxListed {
		return
	}
	id := made.Value.Get("messageId").Text()
	if len(id) > maxNamed {
		id = ""
	}
	*r = append(*r, ReplacedTime{Index: index, MessageID: id, Timestamp: made.Timestamp, Reason: made.ReplacedReason})
}

// unlistedTotal returns the number of rejected events if the list is incomplete, and 0 otherwise.
func (r *rejections) unlistedTotal() int {
	if r.count > len(r.list) {
		return r.count
	}
	return 0
}

// buildEvents returns the accepted and the rejected events of a body. Before it builds them, it checks their size, reserves the memory and
// charges them to the source.
func (q *request) buildEvents(body event.Value) (accepted []Event, rejected rejections, refused *refusal) {
	list, batch, refused := q.listEvents(body)
	if refused != nil {
		return nil, rejected, refused
	}
	q.rateLimit().chargeTokens(len(list) - 1) // identifySource has charged one
	large, count, refused := q.measureEvents(list, batch)
	if refused != nil {
		refused.events = len(list)
		return nil, rejected, refused
	}
	normalizer := q.normalizer.ForRequest(incoming.Request{
		Source: q.from.ID, Address: q.config.ClientAddr(q.r).String(), Kind: q.kind, AllowDeletes: q.from.Deletes || q.from.Erases, Batch: batch, Received: q.received,
		Suppressed: q.config.Suppressed,
	})
	accepted = make([]Event, 0, count)
	var texts textBlock
	tooLarge := fmt.Sprintf("the event is larger than %d KB", q.config.MaxEvent>>10)
	for i, v := range list {
		if large[i] {
			q.rejectEvent(&rejected, v, Rejected{Index: i, Error: tooLarge, large: true})
			continue
		}
		made, err := normalizer.Normalize(v)
		if err != nil {
			q.rejectEvent(&rejected, v, Rejected{Index: i, Error: err.Error(), Cause: suppressedCause(err)})
			continue
		}
		if q.from.Erases && made.Value.Get("type").Str() == "delete" {
			q.erased = append(q.erased, made.Value)
			continue
		}
		raw := texts.appendJSON(made.Value, count-len(accepted))
		if len(raw) > q.config.MaxEvent {
			q.rejectEvent(&rejected, v, Rejected{Index: i, Error: tooLarge, large: true})
			continue
		}
		accepted = append(accepted, Event{Source: q.from.ID, Value: made.Value, Raw: raw})
		q.replaced.addEvent(i, made)
	}
	return accepted, rejected, nil
}

// textBlockSize is the size of a textBlock in bytes.
const textBlockSize = 32 << 10

// textBlock holds the texts of several events of a request, so that not each of them is allocated by itself.
type textBlock struct{ free []byte }

// appendJSON returns the text of an event. About as many more as left follow, this one included.
func (b *textBlock) appendJSON(v event.Value, left int) []byte {
	size := v.Size() + 64
	if size > cap(b.free) {
		b.free = make([]byte, 0, max(size, min(size*left, textBlockSize)))
	}
	text := v.AppendJSON(b.free)
	if len(text) <= cap(b.free) {
		b.free = b.free[len(text):len(text)]
	}
	return text[:len(text):len(text)]
}

// rejectEvent records a rejected event, and reports it unless its user is suppressed: nothing is kept of their events, whatever is wrong
// with them.
func (q *request) rejectEvent(rejected *rejections, v event.Value, e Rejected) {
	rejected.addEvent(v, e)
	suppressed := e.Cause == fault.CauseSuppressed || q.config.Suppressed != nil && q.config.Suppressed(v)
	if !suppressed {
		q.config.Reject(q.from.ID, v, e.Error)
	}
}

// suppressedCause returns CauseSuppressed if the normalizer has refused an event because its user is suppressed; otherwise "".
func suppressedCause(err error) fault.Cause {
	if refused, ok := errors.AsType[*incoming.RefusedError](err); ok && refused.Cause == fault.CauseSuppressed { // unlike As, it allocates nothing
		return refused.Cause
	}
	return ""
}

// isSingle reports whether the body is one event rather than a batch.
func (q *request) isSingle() bool { return q.kind != "" || q.maps }

// listEvents returns the events of a body as they were sent, and the batch that contains them, if any.
func (q *request) listEvents(body event.Value) (list []event.Value, batch event.Value, refused *refusal) {
	if q.isSingle() {
		if body.Get("batch").Kind() == event.Array && !body.Get("userId").Exists() && !body.Get("anonymousId").Exists() {
			return nil, batch, &refusal{outcome: "rejected", status: http.StatusBadRequest, message: "the body is a batch: send it to /v1/batch"}
		}
		return []event.Value{body}, batch, nil
	}
	items := body.Get("batch")
	switch items.Kind() {
	case event.Array:
	case event.Absent:
		return nil, batch, &refusal{outcome: "rejected", status: http.StatusBadRequest, message: "batch is missing: it should be an array of events"}
	default:
		return nil, batch, &refusal{outcome: "rejected", status: http.StatusBadRequest, message: "batch should be an array of events but is " + items.Kind().WithArticle()}
	}
	if q.items != nil {
		return q.items, body, nil
	}
	if refused := q.reserveMemory(int64(items.Len()) * valueSize); refused != nil {
		return nil, batch, refused
	}
	list = make([]event.Value, 0, items.Len())
	for _, v := range items.Items() {
		list = append(list, v)
	}
	return list, body, nil
}

// measureEvents reserves memory for the events before they are built. It returns the indexes of events that become too large with the
// shared members of the batch, and the number of the others. It refuses a batch that grows too much.
func (q *request) measureEvents(list []event.Value, batch event.Value) (large map[int]bool, count int, refused *refusal) {
	common := newSharedSizes(batch)
	bytes := 0
	for i, v := range list {
		if v.Kind() != event.Object || !q.isSingle() && v.Size() < minEvent {
			continue // will be rejected, and needs no memory
		}
		added := common.bytesFor(v)
		if added > q.config.MaxEvent {
			if large == nil {
				large = map[int]bool{}
			}
			large[i] = true
			continue
		}
		bytes += added + v.Size()
		count++
	}
	if limit := maxGrowth * q.config.MaxBatch; bytes > limit {
		return nil, 0, &refusal{outcome: "rejected", status: http.StatusBadRequest,
			message: fmt.Sprintf("the batch is larger than %d KB with its context and integrations in each of its events: send fewer at once", limit>>10)}
	}
	return large, count, q.reserveMemory(int64(2*bytes) + int64(count)*eventOverhead)
}
