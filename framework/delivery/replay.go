package delivery

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/landfall-dev/landfall/framework/event"
)

// Filter chooses letters; zero fields choose all.
type Filter struct {
	Instance     string
	Subscription string
	ID           string
	User         string    // its userId or anonymousId
	Reason       string    // a part of the reason, whatever its case
	Since, Until time.Time // when the letter was set aside
	Parked       bool      // parked ones
	Dead         bool      // dead ones; where neither is asked for, both are
	Limit        int       // the most letters; 0 for no bound
	// Gone reports whether an instance is not in the config any more, so that no worker looks after its letters; nil for none.
	Gone func(instance string) bool
}

// IsZero reports whether the filter chooses everything.
func (f Filter) IsZero() bool { return reflect.ValueOf(f).IsZero() }

func (f Filter) matches(l *Letter) bool {
	return (f.Subscription == "" || l.Subscription == f.Subscription) && (f.ID == "" || l.ID == f.ID) &&
		(f.Reason == "" || strings.Contains(strings.ToLower(l.Reason), strings.ToLower(f.Reason))) &&
		(f.Since.IsZero() || !l.At.Before(f.Since)) && (f.Until.IsZero() || l.At.Before(f.Until)) && (f.User == "" || f.isUser(l))
}

func (f Filter) isUser(l *Letter) bool {
	e, err := event.Parse(l.Event)
	return err == nil && (e.Value().Get("userId").Text() == f.User || e.Value().Get("anonymousId").Text() == f.User)
}

// Letters tells of the letters that a filter chooses, the dead ones first, each kind in the order in which they were set aside.
func (q *Queue) Letters(ctx context.Context, f Filter, tell func(*Letter) error) error {
	instance := "*"
	if f.Instance != "" {
		instance = token(f.Instance)
	}
	n := 0
	read := func(stream, subject string) error {
		return q.letters(ctx, stream, subject, func(l *Letter) (bool, error) {
			if !f.matches(l) {
				return true, nil
			}
			n++
			return f.Limit == 0 || n < f.Limit, tell(l)
		})
	}
	if f.Dead || !f.Parked {
		if err := read(deadStream, "dead."+instance+".>"); err != nil {
			return err
		}
	}
	if (f.Parked || !f.Dead) && (f.Limit == 0 || n < f.Limit) {
		return read(parkStream, "park."+instance+".>")
	}
	return nil
}

// maxOrder is how many letters or keys one order is about.
const maxOrder = 200

// place is a partition of an instance.
type place struct {
	instance  string
	partition int
}

// Resend has the chosen letters taken again, dead ones as they are and parked ones with everything that is parked for their
// users, by the subscriptions and mappings as they are then. It returns when that is durable, not when it is done.
func (q *Queue) Resend(ctx context.Context, f Filter) (int, error) {
	n, dead, parked, err := q.choose(ctx, f)
	if err != nil {
		return 0, err
	}
	if err := refuseGone(f, dead, parked); err != nil {
		return 0, err
	}
	for at, letters := range dead {
		for len(letters) > 0 {
			part := letters[:min(len(letters), maxOrder)]
			o := order{}
			for _, l := range part {
				o.Letters = append(o.Letters, l.stored)
			}
			if err := q.ask(ctx, at.instance, at.partition, opDead, o); err != nil {
				return 0, err
			}
			letters = letters[len(part):]
		}
	}
	return n, q.askKeys(ctx, opUnpark, parked)
}

// Discard deletes the chosen letters, parked ones with everything that is parked for their users.
func (q *Queue) Discard(ctx context.Context, f Filter) (int, error) {
	n, dead, parked, err := q.choose(ctx, f)
	if err != nil {
		return 0, err
	}
	for _, letters := range dead {
		for _, l := range letters {
			if err := q.remove(ctx, l); err != nil {
				return 0, err
			}
		}
	}
	if err := q.dropGone(ctx, f, parked); err != nil {
		return 0, err
	}
	return n, q.askKeys(ctx, opDrop, parked)
}

// GoneError says that letters cannot be replayed since their instance is not in the config.
type GoneError struct{ Instance string }

func (e *GoneError) Error() string {
	return fmt.Sprintf("the instance %q is not in the config any more, so its letters cannot be replayed: landfall instances rename %s NEW gives them to another one, and --instance chooses those of one instance",
		e.Instance, e.Instance)
}

// refuseGone returns a *GoneError if letters are those of an instance that is gone.
func refuseGone(f Filter, dead map[place][]*Letter, parked map[place][]string) error {
	if f.Gone == nil {
		return nil
	}
	for at := range dead {
		if f.Gone(at.instance) {
			return &GoneError{at.instance}
		}
	}
	for at := range parked {
		if f.Gone(at.instance) {
			return &GoneError{at.instance}
		}
	}
	return nil
}

// dropGone deletes what is parked for instances that are gone, and takes it out of parked: no worker would.
func (q *Queue) dropGone(ctx context.Context, f Filter, parked map[place][]string) error {
	for at, keys := range parked {
		if f.Gone == nil || !f.Gone(at.instance) {
			continue
		}
		for _, key := range keys {
			subject := parkSubject(at.instance, at.partition) + "." + key + ".>"
			if err := q.streams[parkStream].Purge(ctx, jetstream.WithPurgeSubject(subject)); err != nil {
				return err
			}
		}
		delete(parked, at)
	}
	return nil
}

// choose are the letters of a filter by their places: dead ones in order, and the keys of parked ones.
func (q *Queue) choose(ctx context.Context, f Filter) (n int, dead map[place][]*Letter, parked map[place][]string, err error) {
	dead, parked = map[place][]*Letter{}, map[place][]string{}
	known := map[string]bool{}
	err = q.Letters(ctx, f, func(l *Letter) error {
		n++
		l.Event, l.Request = nil, nil // there may be many
		at := place{l.Instance, l.partition}
		key := short(l.Key)
		switch {
		case !l.Parked:
			dead[at] = append(dead[at], l)
		case !known[l.Instance+" "+key]:
			known[l.Instance+" "+key] = true
			parked[at] = append(parked[at], key)
		}
		return nil
	})
	for _, letters := range dead {
		inOrder(letters)
	}
	return n, dead, parked, err
}

func (q *Queue) askKeys(ctx context.Context, op string, parked map[place][]string) error {
	for at, keys := range parked {
		for len(keys) > 0 {
			n := min(len(keys), maxOrder)
			if err := q.ask(ctx, at.instance, at.partition, op, order{Keys: keys[:n]}); err != nil {
				return err
			}
			keys = keys[n:]
		}
	}
	return nil
}

// Again says which kept events an instance gets once more.
type Again struct {
	Instance     string
	Subscription string // the only one that gets them; "" for all
	Sources      []string
	Since, Until time.Time              // when they were accepted
	Choose       func(event.Value) bool // nil for all
}

// Replay appends kept events once more, for one instance, in their order. It returns how many when that is durable.
func (q *Queue) Replay(ctx context.Context, a Again) (int, error) {
	c := &copier{queue: q, again: a, open: map[int]*nats.Msg{}, origins: map[*nats.Msg]*origins{}}
	for _, source := range a.Sources {
		c.sources = append(c.sources, token(source))
	}
	err := q.each(ctx, eventsStream, "ev.>", a.Since, func(m jetstream.Msg) (bool, error) {
		meta, err := m.Metadata()
		if err != nil {
			return false, err
		}
		if !a.Until.IsZero() && !meta.Timestamp.Before(a.Until) {
			return false, nil
		}
		return true, c.page(ctx, m, meta.Sequence.Stream)
	})
	if err != nil {
		return c.n, err
	}
	return c.n, c.flush(ctx)
}

// copier gathers events of pages in new ones.
type copier struct {
	queue    *Queue
	again    Again
	sources  []string
	open     map[int]*nats.Msg // the newest page of each partition
	origins  map[*nats.Msg]*origins
	messages []*nats.Msg
	bytes, n int
}

func (c *copier) page(ctx context.Context, m jetstream.Msg, seq uint64) error {
	parts := strings.Split(m.Subject(), ".")
	partition, err := strconv.Atoi(parts[2])
	if err != nil || len(c.sources) > 0 && !slices.Contains(c.sources, parts[1]) {
		return err
	}
	index := -1
	for line := range bytes.Lines(m.Data()) {
		index++
		if c.again.Choose != nil {
			e, err := event.Parse(bytes.TrimSpace(line))
			if err != nil || !c.again.Choose(e.Value()) {
				continue
			}
		}
		c.add(partition, untoken(parts[1]), line, logPlace{seq, index})
	}
	if len(c.messages) >= maxMessages/2 || c.bytes >= groupBytes {
		return c.flush(ctx)
	}
	return nil
}

func (c *copier) add(partition int, source string, line []byte, from logPlace) {
	m := c.open[partition]
	if m == nil || m.Header.Get(sourceHeader) != source || len(m.Data)+len(line) > pageBytes {
		m = &nats.Msg{
			Subject: askSubject(c.again.Instance, partition),
			Header:  nats.Header{opHeader: {opEvents}, sourceHeader: {source}},
		}
		if c.again.Subscription != "" {
			m.Header.Set(onlyHeader, c.again.Subscription)
		}
		c.open[partition], c.origins[m] = m, &origins{}
		c.messages = append(c.messages, m)
	}
	m.Data = append(m.Data, line...)
	c.origins[m].add(from)
	c.bytes += len(line)
	c.n++
}

func (c *copier) flush(ctx context.Context) error {
	if len(c.messages) == 0 {
		return nil
	}
	if err := c.queue.room(); err != nil {
		return err
	}
	messages := c.messages
	for m, from := range c.origins {
		m.Header.Set(originsHeader, from.String())
	}
	clear(c.origins)
	c.messages, c.bytes = nil, 0
	clear(c.open)
	return roomError(c.queue.publishAll(ctx, eventsStream, messages))
}
