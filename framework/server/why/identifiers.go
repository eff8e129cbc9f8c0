package why

import (
	"bytes"
	"slices"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/event/identifier"
)

// owner is a user, as far as the user's identifiers are known.
type owner struct {
	asked     string
	users     map[string]bool // userIds
	anonymous map[string]bool // anonymousIds of events without a userId, or of the user's own
	all       []string        // every identifier of the user's events
}

func newOwner(asked string) *owner {
	return &owner{asked: asked, users: map[string]bool{}, anonymous: map[string]bool{}}
}

// maxIdentifiers is the number of identifiers that are followed.
const maxIdentifiers = 50

// names reports whether an event names the asked identifier. An e-mail address counts anywhere, since mappings make aliases of it.
func (o *owner) names(v event.Value) bool {
	if slices.ContainsFunc(identifier.Of(v), func(id string) bool { return identifier.Same(id, o.asked) }) {
		return true
	}
	return identifier.IsEmail(o.asked) && identifier.HasText(v, o.asked)
}

// owns reports whether an event belongs to the user.
func (o *owner) owns(v event.Value) bool {
	if o.names(v) {
		return true
	}
	if id := v.Get("userId").Text(); id != "" {
		return o.users[id]
	}
	return o.anonymous[v.Get("anonymousId").Text()]
}

// learn adds the identifiers of one of the user's events, and reports whether it has a new one that leads to other events.
func (o *owner) learn(v event.Value) (news bool) {
	for _, id := range identifier.Of(v) {
		if len(o.all) < maxIdentifiers && !slices.Contains(o.all, id) {
			o.all = append(o.all, id)
		}
	}
	follow := func(known map[string]bool, id string) {
		if id != "" && !known[id] && len(known) < maxIdentifiers {
			known[id] = true
			news = news || id != o.asked
		}
	}
	follow(o.users, v.Get("userId").Text())
	follow(o.anonymous, v.Get("anonymousId").Text())
	return news
}

// list returns the identifiers, the asked one first.
func (o *owner) list() []string {
	list := []string{o.asked}
	for _, id := range o.all {
		if id != o.asked {
			list = append(list, id)
		}
	}
	return list
}

// finder returns a function that reports whether a line of the log belongs to the user. It parses only lines that have one of the
// identifiers in their text, or an escape that may hide one.
func (o *owner) finder() func(line []byte) bool {
	var texts [][]byte
	for _, known := range []map[string]bool{o.users, o.anonymous} {
		for id := range known {
			texts = append(texts, []byte(id))
		}
	}
	asked, folded := []byte(o.asked), identifier.IsEmail(o.asked)
	if folded {
		asked = bytes.ToLower(asked)
	}
	return func(line []byte) bool {
		where := line
		if folded {
			where = bytes.ToLower(line)
		}
		if !bytes.Contains(where, asked) && bytes.IndexByte(line, '\\') < 0 && !slices.ContainsFunc(texts, func(id []byte) bool { return bytes.Contains(line, id) }) {
			return false
		}
		e, err := event.Parse(line)
		return err == nil && o.owns(e.Value())
	}
}
