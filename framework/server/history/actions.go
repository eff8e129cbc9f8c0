package history

import (
	"context"
	"encoding/json"
	"fmt"
	"os/user"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/server/access"
	"github.com/landfall-dev/landfall/framework/state"
)

// Action is something that an operator did, or that changed the config.
type Action struct {
	At         time.Time         `json:"at"`
	Name       string            `json:"name"` // as in the audit log, such as cohort.purge
	Who        string            `json:"who"`
	From       string            `json:"from,omitempty"` // an address
	Outcome    string            `json:"outcome"`        // ok, failed or refused
	Attributes map[string]string `json:"attributes,omitempty"`
}

// Names of actions: two of those in the audit log of the server, and those that are not in it.
const (
	ActionReplay = "letters.replay"
	ActionDrop   = "letters.drop"
	ActionConfig = "config.use" // a server began to use a changed config; its attribute version identifies the config
	ActionPurge  = "cohort.purge"
	ActionResync = "cohort.resync"
	ActionSync   = "cohort.sync"

	ActionSuppress = "users.suppress" // its attribute count is the number of identifiers
	ActionLift     = "users.unsuppress"
	ActionErase    = "users.erase" // likewise
)

// By says who did it, for people.
func (a *Action) By() string {
	if a.From == "" {
		return a.Who
	}
	return a.Who + " from " + a.From
}

// AddAudit records an entry of the audit log. It can be used as access.Config.Observe. Failed logins and the like are left out.
func (r *Recorder) AddAudit(e access.Entry) {
	if e.Outcome == "refused" || e.Action == "login" {
		return
	}
	a := Action{At: r.Now(), Name: e.Action, Who: e.Who, From: e.From, Outcome: e.Outcome, Attributes: map[string]string{}}
	for i := 0; i+1 < len(e.Attributes); i += 2 {
		a.Attributes[fmt.Sprint(e.Attributes[i])] = fmt.Sprint(e.Attributes[i+1])
	}
	r.addEntry(kindAction, a.At, a)
}

// AddAction writes an action of a command that works on the state itself.
func AddAction(ctx context.Context, store *state.Store, a Action) error {
	text, err := json.Marshal(a)
	if err != nil {
		return err
	}
	return store.AppendJournal(ctx, []state.JournalEntry{{Kind: kindAction, At: a.At, Data: string(text)}})
}

// AddConfig records that a server uses a config, unless that is the one that was used last.
func AddConfig(ctx context.Context, store *state.Store, version string, at time.Time) error {
	known, err := lastConfig(ctx, store)
	if err != nil || known == version {
		return err
	}
	a := Action{At: at, Name: ActionConfig, Who: "server", Outcome: "ok", Attributes: map[string]string{"version": version, "earlier": known}}
	return AddAction(ctx, store, a)
}

// lastConfig returns the version of the config that was recorded last, or "".
func lastConfig(ctx context.Context, store *state.Store) (version string, err error) {
	err = store.Journal(ctx, state.JournalQuery{Kinds: []string{kindAction}}, func(e state.JournalEntry) bool {
		var a Action
		if json.Unmarshal([]byte(e.Data), &a) == nil && a.Name == ActionConfig {
			version = a.Attributes["version"]
		}
		return version == ""
	})
	return version, err
}

// CommandActor returns who runs a command on this machine.
func CommandActor(command string) string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return command + ", run by " + u.Username
	}
	return command
}

// Actions returns the actions since a time, newest first and at most limit of them.
func Actions(ctx context.Context, store *state.Store, since time.Time, limit int) (list []Action, err error) {
	err = store.Journal(ctx, state.JournalQuery{Kinds: []string{kindAction}, Since: since, Limit: limit}, func(e state.JournalEntry) bool {
		var a Action
		if json.Unmarshal([]byte(e.Data), &a) == nil {
			list = append(list, a)
		}
		return true
	})
	return list, err
}

// Rejection is an event that was rejected when it was received.
type Rejection struct {
	At     time.Time `json:"at"`
	Source string    `json:"source"`
	Reason string    `json:"reason"`
	Event  string    `json:"event"` // its JSON, without what makes it too long
}

// maxRejected is the number of bytes that are kept of a rejected event.
const maxRejected = 4 << 10

// AddRejection records a rejected event.
func (r *Recorder) AddRejection(source string, v event.Value, reason string) {
	r.addEntry(kindRejected, r.Now(), Rejection{r.Now(), source, fault.Shorten(reason, maxReason), keptOf(v)})
}

// keptOf returns the JSON of an event without the write key, or of its members that say which event of which user it is if it is too long.
func keptOf(v event.Value) string {
	var kept []event.Member
	if v.Kind() == event.Object && v.Size() <= maxRejected {
		for key, m := range v.Members() {
			if key != "writeKey" {
				kept = append(kept, event.Member{Key: key, Value: m})
			}
		}
		if text := event.NewObject(kept).JSON(); len(text) <= maxRejected {
			return text
		}
		kept = nil
	}
	for _, key := range []string{"type", "event", "messageId", "userId", "anonymousId", "previousId", "timestamp"} {
		if m := v.Get(key); m.Exists() && m.Size() < maxRejected/16 {
			kept = append(kept, event.Member{Key: key, Value: m})
		}
	}
	for _, path := range [][]string{{"context", "device", "id"}, {"context", "traits", "email"}, {"traits", "email"}, {"properties", "email"}} {
		m := v
		for _, key := range path {
			m = m.Get(key)
		}
		if !m.Exists() || m.Size() > maxRejected/16 {
			continue
		}
		for i := len(path) - 1; i > 0; i-- {
			m = event.NewObject([]event.Member{{Key: path[i], Value: m}})
		}
		kept = mergeMember(kept, path[0], m)
	}
	return event.NewObject(kept).JSON()
}

// mergeMember adds a member. An object that has the key already gets the members of v.
func mergeMember(members []event.Member, key string, v event.Value) []event.Member {
	for i := range members {
		if members[i].Key != key {
			continue
		}
		var both []event.Member
		for _, of := range []event.Value{members[i].Value, v} {
			for k, m := range of.Members() {
				both = append(both, event.Member{Key: k, Value: m})
			}
		}
		members[i].Value = event.NewObject(both)
		return members
	}
	return append(members, event.Member{Key: key, Value: v})
}

// Rejections calls visit for the rejected events that are kept, newest first, until it returns false.
func Rejections(ctx context.Context, store *state.Store, visit func(Rejection) (more bool)) error {
	return store.Journal(ctx, state.JournalQuery{Kinds: []string{kindRejected}}, func(e state.JournalEntry) bool {
		var r Rejection
		if json.Unmarshal([]byte(e.Data), &r) != nil {
			return true // written by another version
		}
		return visit(r)
	})
}
