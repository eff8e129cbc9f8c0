package ingest

import (
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/server/access"
)

// Limits of a request that cannot be configured.
const (
	maxHeaders = 100      // clients send 10 to 30
	maxUnread  = 64 << 10 // bytes of a refused request's body that are read to keep the connection open
	unreadTime = time.Second
)

// request is the state of one request while it is handled.
type request struct {
	*Handler
	w        http.ResponseWriter
	r        *http.Request
	kind     string // of the events; "" for a batch of any
	maps     bool   // the body is one event of any type, for Config.Map
	received time.Time
	from     *source // nil until the write key is known
	fixed    bool    // the write key is in the header; writeKey in the body is ignored
	searched bool    // the start of the body has been searched for the write key
	memory   memoryGrant
	body     []byte        // after decompression
	items    []event.Value // the events of a batch, if these were parsed by themselves; otherwise nil
	replaced replacedTimes
	erased   []event.Value // events of type delete, whose users are to be erased
	work     int           // bytes that have been read and decompressed, but not counted as events yet
}

// handlePost handles a request with events, or with one event for Config.Map. It refuses a request before reading the body if it can.
func (h *Handler) handlePost(w http.ResponseWriter, r *http.Request, kind string, maps bool) {
	q := &request{Handler: h, w: w, r: r, kind: kind, maps: maps, received: h.config.Now(), memory: memoryGrant{budget: &h.memory, anonymous: true}}
	defer q.memory.releaseAll()
	refused := q.checkHead()
	if refused != nil {
		q.drainBody(refused)
		q.respondRefusal(refused)
		return
	}
	body, refused := q.receiveBody()
	if refused == nil {
		refused = q.appendEvents(body)
	}
	if refused != nil {
		q.respondRefusal(refused)
	}
}

// checkHead checks the connection and the headers.
func (q *request) checkHead() *refusal {
	if isSurplus(q.r.Context()) {
		return &refusal{outcome: "overloaded", status: http.StatusServiceUnavailable, retryAfter: time.Second, closeConn: true, message: "too many connections: send the events again, over fewer connections"}
	}
	if len(q.r.Header) > maxHeaders {
		return &refusal{outcome: "refused", status: http.StatusRequestHeaderFieldsTooLarge, closeConn: true, message: "the request has more than 100 headers"}
	}
	key, ok := q.headerKey()
	if ok {
		q.fixed = true
		return q.identifySource(key)
	}
	return nil
}

// headerKey returns the write key from the Authorization header. It ignores a bearer token that is not a write key: it may be meant for a
// proxy, and the body may have the key.
func (q *request) headerKey() (key string, ok bool) {
	if key, _, ok := q.r.BasicAuth(); ok && key != "" {
		return key, true
	}
	key, ok = strings.CutPrefix(q.r.Header.Get("Authorization"), "Bearer ")
	return key, ok && (*q.sources.Load())[key] != nil
}

// identifySource finds the source of a write key and applies its rate limit.
func (q *request) identifySource(key string) *refusal {
	from := (*q.sources.Load())[key]
	if from == nil {
		return &refusal{outcome: "unauthorized", status: http.StatusUnauthorized,
			message: "unknown write key: send the key of a source as the user of Basic authentication, or as writeKey in the body"}
	}
	if from == q.from {
		return nil
	}
	q.from = from
	q.memory.leaveAnonymous()
	if wait, ok := q.rateLimit().takeToken(q.received); !ok {
		return &refusal{outcome: "limited", status: http.StatusTooManyRequests, retryAfter: wait, message: "the source sends more events than its rate allows"}
	}
	return nil
}

// findKey identifies the source of a long request early, if the start of its body contains the write key.
func (q *request) findKey(prefix []byte) *refusal {
	if q.searched {
		return nil
	}
	q.searched = true
	if key, found := keyInPrefix(prefix); found {
		return q.identifySource(key)
	}
	return nil
}

// receiveBody reads and parses the body, and identifies the source.
func (q *request) receiveBody() (event.Value, *refusal) {
	at := access.NetworkOf(q.config.ClientAddr(q.r))
	if !q.bodies.acquire(at) {
		return event.Value{}, &refusal{outcome: "overloaded", status: http.StatusServiceUnavailable, retryAfter: time.Second, closeConn: true,
			message: "too many concurrent requests from this address: send the events again"}
	}
	body, refused := q.readBody()
	q.bodies.release(at)
	if refused == nil && !q.fixed {
		refused = q.identifySource(body.Get("writeKey").Str())
	}
	return body, refused
}

// appendEvents builds the events of a body and passes them to Append.
func (q *request) appendEvents(body event.Value) *refusal {
	accepted, rejected, refused := q.buildEvents(body)
	if refused != nil {
		return refused
	}
	invalid := rejected.count - rejected.suppressed
	q.countEvents("rejected", invalid)
	q.countEvents("suppressed", rejected.suppressed)
	if invalid > 0 {
		q.config.Log.Warn("events rejected", "source", q.from.ID, "events", invalid, "reason", rejected.firstInvalid())
	}
	if len(accepted)+len(q.erased) == 0 && rejected.count > 0 {
		q.respondRejected(rejected)
		return nil
	}
	if q.maps {
		return q.answerMapping(append(accepted, q.erasedEvents()...)[0])
	}
	if err := q.storeEvents(accepted); err != nil {
		n := len(accepted) + len(q.erased)
		q.rateLimit().chargeTokens(-n) // the client will send them again
		q.config.Log.Error("cannot store events", "source", q.from.ID, "error", err)
		return &refusal{outcome: "unavailable", events: n, status: http.StatusServiceUnavailable, retryAfter: 5 * time.Second,
			message: "the events cannot be stored now: send them again"}
	}
	q.countEvents("accepted", len(accepted))
	q.countEvents("erased", len(q.erased))
	if len(q.replaced) > 0 {
		q.config.Log.Warn("event times replaced", "source", q.from.ID, "events", len(q.replaced), "reason", q.replaced[0].Reason)
	}
	writeReply(q.w, http.StatusOK, reply{Success: true, Rejected: rejected.list, RejectedEvents: rejected.unlistedTotal(), ReplacedTimes: q.replaced})
	if rejected.count+len(q.erased)+len(q.replaced) == 0 { // otherwise what is kept of them may refer to the body
		q.buffers.put(q.body)
	}
	return nil
}

// storeEvents requests the erasures and passes the events to Append.
func (q *request) storeEvents(accepted []Event) error {
	if len(q.erased) > 0 {
		if err := q.config.Erase(q.r.Context(), q.from.ID, q.erased); err != nil {
			return err
		}
		if len(accepted) == 0 {
			return nil
		}
	}
	return q.config.Append(q.r.Context(), accepted)
}

// erasedEvents returns the events whose users are to be erased, for Config.Map.
func (q *request) erasedEvents() (list []Event) {
	for _, v := range q.erased {
		list = append(list, Event{Source: q.from.ID, Value: v, Raw: v.AppendJSON(nil)})
	}
	return list
}

// answerMapping responds with what Config.Map returns for an event.
func (q *request) answerMapping(e Event) *refusal {
	text, err := q.config.Map(q.r.Context(), e)
	if err != nil {
		q.config.Log.Error("cannot map an event of a page", "source", q.from.ID, "error", err)
		return &refusal{outcome: "unavailable", status: http.StatusInternalServerError, message: "the event cannot be mapped; the server's log says why"}
	}
	q.countEvents("mapped", 1)
	q.w.Header().Set("Content-Type", "application/json")
	q.w.Header().Set("X-Content-Type-Options", "nosniff")
	q.w.Header().Set("Cache-Control", "no-store")
	_, _ = q.w.Write(text) // the client may have disconnected
	return nil
}

// rateLimit returns the limit that the request counts for.
func (q *request) rateLimit() *bucket {
	if q.maps {
		return q.from.mapLimit
	}
	return q.from.limit
}

// respondRejected responds to a request in which every event was rejected.
func (q *request) respondRejected(rejected rejections) {
	first, status := rejected.list[0], http.StatusBadRequest
	if first.large && q.isSingle() {
		status = http.StatusRequestEntityTooLarge
	}
	out := reply{Error: first.Error}
	if !q.isSingle() {
		out.Rejected, out.RejectedEvents = rejected.list, rejected.unlistedTotal()
	}
	writeReply(q.w, status, out)
}

// respondRefusal responds with a refusal and counts it. An invalid request costs its source one event for each MaxEvent bytes. A request
// that is refused because of a limit or of the server costs nothing more.
func (q *request) respondRefusal(refused *refusal) {
	if q.from != nil && refused.outcome == "refused" {
		q.rateLimit().chargeTokens(q.work / q.config.MaxEvent)
	}
	q.countEvents(refused.outcome, max(1, refused.events))
	refused.writeTo(q.w)
}

// reserveMemory reserves n more bytes of the memory budget.
func (q *request) reserveMemory(n int64) *refusal {
	switch {
	case q.memory.reserveBytes(n):
		return nil
	case q.memory.held+n > q.memory.maxBytes():
		return q.tooLarge()
	}
	return &refusal{outcome: "overloaded", status: http.StatusServiceUnavailable, retryAfter: time.Second,
		message: "the server has no memory left for this request: send the events again"}
}

// countEvents counts events for metrics.
func (q *request) countEvents(outcome string, n int) {
	id := ""
	if q.from != nil {
		id = q.from.ID
	}
	if n > 0 {
		q.config.Count(id, outcome, n)
	}
}

// drainBody reads the rest of a small body so that the client can reuse its connection. It does not wait for slow clients, or for
// clients that wait for 100 Continue.
func (q *request) drainBody(refused *refusal) {
	if refused.closeConn || q.r.ContentLength == 0 {
		return
	}
	refused.closeConn = true
	if q.r.ContentLength > maxUnread || q.r.Header.Get("Expect") != "" {
		return
	}
	control := http.NewResponseController(q.w)
	if control.SetReadDeadline(time.Now().Add(unreadTime)) != nil {
		return
	}
	n, err := io.Copy(io.Discard, io.LimitReader(q.r.Body, maxUnread+1))
	refused.closeConn = err != nil || n > maxUnread
	_ = control.SetReadDeadline(time.Time{})
}
