package ingest

import (
	"fmt"
	"net/http"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/event/incoming"
)

const (
	// maxGrowth is how many times the bound of a request its events may take once each of them has what the batch says for all.
	maxGrowth = 16
	// maxListed bounds the rejected events that an answer lists.
	maxListed = 1000
	// maxNamed bounds the messageId of a rejected event in an answer.
	maxNamed = 200
	// minEvent is less than the size of the smallest event that is valid in a batch.
	minEvent = 20
	// valueSize is about the size of an event.Value.
	valueSize = 32
)

// rejections are the events of a request that are not taken.
type rejections struct {
	list  []Rejected // the first of them
	count int
}

func (r *rejections) add(index int, v event.Value, reason string, large bool) {
	r.count++
	if len(r.list) >= maxListed {
		return
	}
	id := v.Get("messageId")
	if id.Size() > maxNamed {
		id = event.Value{}
	}
	r.list = append(r.list, Rejected{Index: index, MessageID: id.Text(), Error: reason, large: large})
}

// replacedTimes are the events of a request whose own time was not used.
type replacedTimes []ReplacedTime

func (r *replacedTimes) add(index int, made incoming.Event) {
	if made.ReplacedReason == "" || len(*r) >= maxListed {
		return
	}
	id := made.Value.Get("messageId").Text()
	if len(id) > maxNamed {
		id = ""
	}
	*r = append(*r, ReplacedTime{Index: index, MessageID: id, Timestamp: made.Timestamp, Reason: made.ReplacedReason})
}

// total is the count if the list does not hold all of them, otherwise 0.
func (r *rejections) total() int {
	if r.count > len(r.list) {
		return r.count
	}
	return 0
}

// events makes the events of a body. All of its work is counted, bounded and charged to the source before it is done.
func (q *request) events(body event.Value) (taken []Event, rejected rejections, refused *refusal) {
	list, batch, refused := q.listed(body)
	if refused != nil {
		return nil, rejected, refused
	}
	q.from.limit.charge(len(list) - 1) // admit has charged one
	large, count, refused := q.measure(list, batch)
	if refused != nil {
		refused.events = len(list)
		return nil, rejected, refused
	}
	maker := q.normalizer.ForRequest(incoming.Request{
		Source: q.from.ID, Address: q.config.ClientAddr(q.r).String(), Kind: q.kind, AllowDeletes: q.from.Deletes, Batch: batch, Received: q.received,
	})
	taken = make([]Event, 0, count)
	tooLarge := fmt.Sprintf("the event is larger than %d KB", q.config.MaxEvent>>10)
	for i, v := range list {
		if large[i] {
			rejected.add(i, v, tooLarge, true)
			continue
		}
		made, err := maker.Normalize(v)
		if err != nil {
			rejected.add(i, v, err.Error(), false)
			continue
		}
		raw := made.Value.AppendJSON(make([]byte, 0, made.Value.Size()+64))
		if len(raw) > q.config.MaxEvent {
			rejected.add(i, v, tooLarge, true)
			continue
		}
		taken = append(taken, Event{Source: q.from.ID, Value: made.Value, Raw: raw})
		q.replaced.add(i, made)
	}
	return taken, rejected, nil
}

// listed returns the events of a body as they were sent, and the batch if it is one.
func (q *request) listed(body event.Value) (list []event.Value, batch event.Value, refused *refusal) {
	if q.kind != "" {
		return []event.Value{body}, batch, nil
	}
	items := body.Get("batch")
	if items.Kind() != event.Array {
		return nil, batch, &refusal{outcome: "rejected", status: http.StatusBadRequest, message: "batch should be an array of events but is " + items.Kind().WithArticle()}
	}
	if refused := q.reserve(int64(items.Len()) * valueSize); refused != nil {
		return nil, batch, refused
	}
	list = make([]event.Value, 0, items.Len())
	for _, v := range items.Items() {
		list = append(list, v)
	}
	return list, body, nil
}

// measure reserves memory for the events before they are built. It returns which of them are too large because of what they get
// from their batch and how many of the others may be valid, and refuses a batch that grows too much.
func (q *request) measure(list []event.Value, batch event.Value) (large map[int]bool, count int, refused *refusal) {
	common := sharedOf(batch)
	bytes := 0
	for i, v := range list {
		if v.Kind() != event.Object || q.kind == "" && v.Size() < minEvent {
			continue // it is rejected, which costs nothing
		}
		added := common.in(v)
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
	if most := maxGrowth * q.config.MaxBatch; bytes > most {
		return nil, 0, &refusal{outcome: "rejected", status: http.StatusBadRequest,
			message: fmt.Sprintf("the batch is larger than %d KB with its context and integrations in each of its events: send fewer at once", most>>10)}
	}
	return large, count, q.reserve(int64(2*bytes) + int64(count)*eventOverhead)
}
