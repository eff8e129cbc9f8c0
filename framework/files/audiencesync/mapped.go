package audiencesync

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// A note of a user in a scratch set has the user's listing, the number of the row, so that the first row of a user counts, and the properties.
const (
	noteStays  = '0'
	noteLeaves = '1' // follows noteStays in byte order: a user of whom one row says so stays
	noteHeader = 5
)

// encodeNote returns the note of a row.
func encodeNote(row int, leaves bool, properties event.Value) string {
	note := make([]byte, 1, noteHeader+properties.Size())
	if note[0] = noteStays; leaves {
		note[0] = noteLeaves
	}
	note = binary.BigEndian.AppendUint32(note, uint32(row))
	if properties.Len() > 0 {
		note = properties.AppendJSON(note)
	}
	return string(note)
}

// listing is what a list says about a user.
type listing int

const (
	notListed listing = iota
	listed
	listedAsLeaving
)

// listingOf returns what a list says about a user: whether it has the user, and its note.
func listingOf(in bool, note string) listing {
	switch {
	case !in:
		return notListed
	case note != "" && note[0] == noteLeaves:
		return listedAsLeaving
	}
	return listed
}

// propertiesOf returns the properties of a note as JSON; "" if there are none.
func propertiesOf(note string) string { return note[min(noteHeader, len(note)):] }

// propertyMapper adds what a mapping makes of properties to the payloads of changes.
type propertyMapper struct {
	mapping   *mapping.Mapping
	audiences *destination.Audiences
	audience  destination.Audience
}

// newPropertyMapper returns the mapper of an audience's changes.
func (s *Syncer) newPropertyMapper(a destination.Audience) (*propertyMapper, error) {
	compiled, err := s.Plan.DirectMapping(s.Audiences.Action)
	return &propertyMapper{compiled, s.Audiences, a}, err
}

// addProperties returns the payload of a change with the fields that the mapping makes of the change as an event with properties. The fields of the
// payload itself stay, and no field is added that would identify the user in another way.
func (m *propertyMapper) addProperties(payload event.Value, c destination.Change, properties event.Value) (event.Value, error) {
	mapped, err := m.mapping.Resolve(m.eventOf(c, properties))
	if err != nil {
		return payload, err
	}
	var members []event.Member
	preferred := m.preferredTo(payload)
	for key, v := range mapped.Members() {
		if payload.Get(key).Kind() == event.Absent && !slices.Contains(preferred, key) {
			members = append(members, event.Member{Key: key, Value: v})
		}
	}
	for key, v := range payload.Members() {
		members = append(members, event.Member{Key: key, Value: v})
	}
	return event.NewObject(members), nil
}

// preferredTo returns the fields that would identify the user of a payload, instead of the one that it has.
func (m *propertyMapper) preferredTo(payload event.Value) []string {
	fields := m.audiences.IdentityFields
	own := slices.IndexFunc(fields, func(field string) bool { return payload.Get(field).Exists() })
	return fields[:max(own, 0)]
}

// eventOf returns a change as the event of an audience. The properties are also its traits, because mappings look for users' values in any of these
// places.
func (m *propertyMapper) eventOf(c destination.Change, properties event.Value) event.Value {
	object := func(members ...event.Member) event.Value { return event.NewObject(members) }
	text := event.NewString
	name := "Audience Exited"
	if c.Member {
		name = "Audience Entered"
	}
	about := []event.Member{{Key: "audience_key", Value: text(m.audience.Name)}}
	if m.audience.Name != "audience_key" {
		about = append(about, event.Member{Key: m.audience.Name, Value: event.NewBool(c.Member)})
	}
	all := about
	for key, v := range properties.Members() {
		if !slices.ContainsFunc(about, func(a event.Member) bool { return a.Key == key }) {
			all = append(all, event.Member{Key: key, Value: v})
		}
	}
	return object(
		event.Member{Key: "type", Value: text("track")}, event.Member{Key: "event", Value: text(name)},
		event.Member{Key: "timestamp", Value: text(c.At.UTC().Format(time.RFC3339Nano))},
		event.Member{Key: "properties", Value: object(all...)}, event.Member{Key: "traits", Value: properties},
		event.Member{Key: "context", Value: object(event.Member{Key: "traits", Value: properties}, event.Member{Key: "personas", Value: object(
			event.Member{Key: "computation_class", Value: text("audience")}, event.Member{Key: "computation_id", Value: text(m.audience.ID)},
			event.Member{Key: "computation_key", Value: text(m.audience.Name)},
		)})},
	)
}

// Limits of the check whether the mapping reads properties.
const (
	maxChecked     = 200 // properties
	maxCheckedRows = 20
)

// checkRead records which properties of one of the first rows the mapping reads: those without which it makes another payload. Identifiers have an
// effect in any case.
func (m *propertyMapper) checkRead(rows *Rows, identity string, properties event.Value) {
	w := &rows.warnings.properties
	payload, err := m.audiences.Payload(m.audience, destination.Change{Identity: identity, Member: true})
	if w.checkedRows == maxCheckedRows || err != nil {
		return
	}
	if w.checkedRows++; w.checked == nil {
		w.checked, w.readBy = map[string]bool{}, m.audiences.Action
	}
	payloadOf := func(properties event.Value) string {
		mapped, err := m.addProperties(payload, destination.Change{Member: true}, properties)
		if err != nil {
			return err.Error()
		}
		return mapped.JSON()
	}
	whole := payloadOf(properties)
	for key, v := range properties.Members() {
		if v.Exists() && !w.checked[key] && !rows.isIdentifier(key) && len(w.checked) < maxChecked {
			w.checked[key] = payloadOf(properties.Without(key)) != whole
		}
	}
}
