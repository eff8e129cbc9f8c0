package ingest

import (
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
)

// Bounds of a request that are not configured.
const (
	maxHeaders = 100      // a client sends 10 to 30
	maxUnread  = 64 << 10 // bytes of a refused request's body that are read to keep the connection
	unreadTime = time.Second
)

// request is a request with events while it is handled.
type request struct {
	*Handler
	w        http.ResponseWriter
	r        *http.Request
	kind     string // of the events; "" for a batch of any
	received time.Time
	from     *source // nil until the write key is known
	fixed    bool    // the key is in the header, so that one in the body does not count
	searched bool    // the beginning of the body has been searched for the key
	memory   grant
	replaced replacedTimes
	work     int // bytes that have been read and decompressed without an event being counted yet
}

// post takes the events of a request. What can be refused without the body is refused before the body is read.
func (h *Handler) post(w http.ResponseWriter, r *http.Request, kind string) {
	q := &request{Handler: h, w: w, r: r, kind: kind, received: h.config.Now(), memory: grant{of: &h.memory, anonymous: true}}
	defer q.memory.release()
	refused := q.admit()
	if refused != nil {
		q.drain(refused)
		q.refuse(refused)
		return
	}
	body, refused := q.body()
	if refused == nil {
		refused = q.take(body)
	}
	if refused != nil {
		q.refuse(refused)
	}
}

// admit decides by the head of the request.
func (q *request) admit() *refusal {
	if isSurplus(q.r.Context()) {
		return &refusal{outcome: "overloaded", status: http.StatusServiceUnavailable, wait: time.Second, hangUp: true, message: "too many connections: send the events again, over fewer connections"}
	}
	if len(q.r.Header) > maxHeaders {
		return &refusal{outcome: "refused", status: http.StatusRequestHeaderFieldsTooLarge, hangUp: true, message: "the request has more than 100 headers"}
	}
	key, ok := q.headerKey()
	if ok {
		q.fixed = true
		return q.identify(key)
	}
	return nil
}

// headerKey returns the write key of the Authorization header. A bearer token that is no write key may be meant for a proxy, so
// it does not stand in the way of a key in the body.
func (q *request) headerKey() (key string, ok bool) {
	if key, _, ok := q.r.BasicAuth(); ok && key != "" {
		return key, true
	}
	key, ok = strings.CutPrefix(q.r.Header.Get("Authorization"), "Bearer ")
	return key, ok && (*q.sources.Load())[key] != nil
}

// identify finds the source of a write key and admits the request under the source's limit.
func (q *request) identify(key string) *refusal {
	from := (*q.sources.Load())[key]
	if from == nil {
		return &refusal{outcome: "unauthorized", status: http.StatusUnauthorized,
			message: "the write key is none of a source: send it as the user of Basic authentication, or as writeKey in the body"}
	}
	if from == q.from {
		return nil
	}
	q.from = from
	q.memory.identify()
	if wait, ok := from.limit.admit(q.received); !ok {
		return &refusal{outcome: "limited", status: http.StatusTooManyRequests, wait: wait, message: "the source sends more events than its rate allows"}
	}
	return nil
}

// findKey identifies a long request by the beginning of its body, if the write key is there.
func (q *request) findKey(prefix []byte) *refusal {
	if q.searched {
		return nil
	}
	q.searched = true
	if key, found := keyInPrefix(prefix); found {
		return q.identify(key)
	}
	return nil
}

// body reads the body and makes sure that the source is known.
func (q *request) body() (event.Value, *refusal) {
	at := network(q.config.ClientAddr(q.r))
	if !q.bodies.enter(at) {
		return event.Value{}, &refusal{outcome: "overloaded", status: http.StatusServiceUnavailable, wait: time.Second, hangUp: true,
			message: "too many requests of this address are being sent at once: send the events again"}
	}
	body, refused := q.read()
	q.bodies.leave(at)
	if refused == nil && !q.fixed {
		refused = q.identify(body.Get("writeKey").Str())
	}
	return body, refused
}

// take hands the events of a body on.
func (q *request) take(body event.Value) *refusal {
	taken, rejected, refused := q.events(body)
	if refused != nil {
		return refused
	}
	q.count("rejected", rejected.count)
	if rejected.count > 0 {
		q.config.Log.Warn("events rejected", "source", q.from.ID, "events", rejected.count, "reason", rejected.list[0].Error)
	}
	if len(taken) == 0 && rejected.count > 0 {
		q.answerRejected(rejected)
		return nil
	}
	if err := q.config.Append(q.r.Context(), taken); err != nil {
		q.from.limit.charge(-len(taken)) // they will come again
		q.config.Log.Error("events cannot be taken", "source", q.from.ID, "error", err)
		return &refusal{outcome: "unavailable", events: len(taken), status: http.StatusServiceUnavailable, wait: 5 * time.Second,
			message: "the events cannot be kept now: send them again"}
	}
	q.count("accepted", len(taken))
	if len(q.replaced) > 0 {
		q.config.Log.Warn("times of events replaced", "source", q.from.ID, "events", len(q.replaced), "reason", q.replaced[0].Reason)
	}
	answer(q.w, http.StatusOK, reply{Success: true, Rejected: rejected.list, RejectedEvents: rejected.total(), ReplacedTimes: q.replaced})
	return nil
}

// answerRejected answers a request of which no event was taken.
func (q *request) answerRejected(rejected rejections) {
	first, status := rejected.list[0], http.StatusBadRequest
	if first.large && q.kind != "" {
		status = http.StatusRequestEntityTooLarge
	}
	out := reply{Error: first.Error}
	if q.kind == "" {
		out.Rejected, out.RejectedEvents = rejected.list, rejected.total()
	}
	answer(q.w, status, out)
}

// refuse answers with a refusal and counts it. What a source sends that is no request costs it an event for each MaxEvent bytes;
// what is refused because of the limit or of the server costs it nothing more.
func (q *request) refuse(refused *refusal) {
	if q.from != nil && refused.outcome == "refused" {
		q.from.limit.charge(q.work / q.config.MaxEvent)
	}
	q.count(refused.outcome, max(1, refused.events))
	refused.send(q.w)
}

// reserve takes n more bytes of the memory budget.
func (q *request) reserve(n int64) *refusal {
	switch {
	case q.memory.grow(n):
		return nil
	case q.memory.held+n > q.memory.most():
		return q.tooLarge()
	}
	return &refusal{outcome: "overloaded", status: http.StatusServiceUnavailable, wait: time.Second,
		message: "the server is handling as much as its memory budget allows: send the events again"}
}

func (q *request) count(outcome string, n int) {
	id := ""
	if q.from != nil {
		id = q.from.ID
	}
	if n > 0 {
		q.config.Count(id, outcome, n)
	}
}

// drain reads what is left of a small body that is there already, so that a client can use its connection again. It does not
// wait for slow clients, and not for those that wait for 100 Continue.
func (q *request) drain(refused *refusal) {
	if refused.hangUp || q.r.ContentLength == 0 {
		return
	}
	refused.hangUp = true
	if q.r.ContentLength > maxUnread || q.r.Header.Get("Expect") != "" {
		return
	}
	control := http.NewResponseController(q.w)
	if control.SetReadDeadline(time.Now().Add(unreadTime)) != nil {
		return
	}
	n, err := io.Copy(io.Discard, io.LimitReader(q.r.Body, maxUnread+1))
	refused.hangUp = err != nil || n > maxUnread
	_ = control.SetReadDeadline(time.Time{})
}
