package destination

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
)

// MaxIdentity is the maximum length of an Identity's text in bytes.
const MaxIdentity = 1024

// Identity names a user at a remote, by one of the kinds of identifiers that the remote has. It is comparable.
type Identity struct {
	Kind  string // the field of the payload, such as external_id
	Name  string
	Label string // distinguishes names of a kind that has labels, such as email; "" for other kinds
}

// String returns the identity as the ledger stores it: external_id:u1, or user_alias:email:ann@example.com with the label escaped as in
// a query.
func (id Identity) String() string {
	if id.Label != "" {
		return id.Kind + ":" + url.QueryEscape(id.Label) + ":" + id.Name
	}
	return id.Kind + ":" + id.Name
}

// IdentityKind is a kind of identifier that a remote has for users.
type IdentityKind struct {
	// Field is the field of the payload, and the Kind of its identities. It is a text, or an object if Name is set.
	Field string
	// Name and Label are the members of the object that hold the name and the label. Both are set for a kind with labels, neither for
	// any other.
	Name, Label string
}

// AudienceFields names the fields of an action that changes audience members. Its Audiences method makes what files and commands need to
// sync members without events.
type AudienceFields struct {
	Action     string         // key of the action
	ID         string         // the field with the audience's id at the remote
	Key        string         // the field with the audience's key
	Name       string         // the field with the audience's name; "" if there is none
	Properties string         // the field with the object that has true or false at the audience's key
	Time       string         // the field with the time of the event
	Kinds      []IdentityKind // the most preferred first
	Ignores    string         // which users the remote leaves out without an error, as a sentence; "" if it reports them
}

// Audiences returns the Audiences of the fields, for Plugin.Audiences. The key of an audience is its name.
func (f AudienceFields) Audiences() *Audiences {
	var fields []string
	for _, k := range f.Kinds {
		fields = append(fields, k.Field)
	}
	return &Audiences{
		IdentityFields: fields, Time: f.Time,
		Action: f.Action, Key: f.Key, ID: f.ID, Identifiers: f.identifiers(), Identity: f.identity, Payload: f.payload, Read: f.read, Ignores: f.Ignores,
	}
}

// read returns the change that a payload makes; ok is false if it names no audience or no user. The payload need not be valid: its time is
// zero if it has none.
func (f AudienceFields) read(payload event.Value, fromEvent func() Membership) (a Audience, c Change, ok bool) {
	a = Audience{ID: payload.Get(f.ID).Text(), Name: payload.Get(f.Key).Text()}
	c.Identity = f.firstIdentity(func(k IdentityKind, identifier string) string {
		if k.Name == "" {
			return payload.Get(identifier).Text()
		}
		return payload.Get(k.Field).Get(identifier).Text()
	})
	state := BoolMembership(payload.Get(f.Properties).Get(a.Name))
	if state == Unknown {
		state = fromEvent()
	}
	c.Member = state == In
	c.At, _ = event.ParseTime(payload.Get(f.Time).Text())
	return a, c, a.ID != "" && c.Identity != ""
}

// identifiers returns the columns that identify a user in a file.
func (f AudienceFields) identifiers() []string {
	var names []string
	for _, k := range f.Kinds {
		if k.Name == "" {
			names = append(names, k.Field)
			continue
		}
		names = append(names, k.Name, k.Label)
	}
	return names
}

// identity returns the ledger's identity for named values, of the first kind whose values are all there.
func (f AudienceFields) identity(value func(identifier string) string) (string, bool) {
	text := f.firstIdentity(func(_ IdentityKind, identifier string) string { return value(identifier) })
	return text, text != "" && len(text) <= MaxIdentity
}

// firstIdentity returns the identity of the first kind whose values are all there and not blank; "" if there is none.
func (f AudienceFields) firstIdentity(value func(k IdentityKind, identifier string) string) string {
	for _, k := range f.Kinds {
		id := Identity{Kind: k.Field}
		if k.Name == "" {
			id.Name = value(k, k.Field)
		} else {
			id.Name, id.Label = value(k, k.Name), value(k, k.Label)
		}
		if strings.TrimSpace(id.Name) != "" && (k.Label == "" || strings.TrimSpace(id.Label) != "") {
			return id.String()
		}
	}
	return ""
}

// parse parses the result of Identity.String.
func (f AudienceFields) parse(text string) (Identity, IdentityKind, error) {
	kind, rest, _ := strings.Cut(text, ":")
	for _, k := range f.Kinds {
		if k.Field != kind {
			continue
		}
		id := Identity{Kind: kind, Name: rest}
		if k.Name != "" {
			label, name, _ := strings.Cut(rest, ":")
			plain, err := url.QueryUnescape(label)
			if err != nil {
				break
			}
			id.Name, id.Label = name, plain // ledgers of earlier versions may contain names without a label
		}
		if id.Name != "" {
			return id, k, nil
		}
	}
	return Identity{}, IdentityKind{}, fmt.Errorf("%q is not an identity of the destination: they are like %s:u1", text, f.Kinds[0].Field)
}

// payload returns the payload that makes one change of an audience.
func (f AudienceFields) payload(a Audience, c Change) (event.Value, error) {
	id, kind, err := f.parse(c.Identity)
	if err != nil {
		return event.Value{}, err
	}
	name := event.NewString(id.Name)
	if kind.Name != "" {
		name = event.NewObject([]event.Member{{Key: kind.Name, Value: name}, {Key: kind.Label, Value: event.NewString(id.Label)}})
	}
	members := []event.Member{
		{Key: f.ID, Value: event.NewString(a.ID)},
		{Key: f.Key, Value: event.NewString(a.Name)},
		{Key: f.Properties, Value: event.NewObject([]event.Member{{Key: a.Name, Value: event.NewBool(c.Member)}})},
		{Key: f.Time, Value: event.NewString(c.At.UTC().Format(time.RFC3339Nano))},
		{Key: kind.Field, Value: name},
	}
	if f.Name != "" && f.Name != f.Key {
		members = append(members, event.Member{Key: f.Name, Value: event.NewString(a.Name)})
	}
	return event.NewObject(members), nil
}
