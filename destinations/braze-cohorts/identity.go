package brazecohorts

import (
	"net/url"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// idKind is how Braze knows a user.
type idKind uint8

const (
	externalID idKind = iota
	deviceID
	userAlias
)

// identity is the one identity that a payload names. It is comparable.
type identity struct {
	kind  idKind
	name  string // the id, or the alias's name
	label string // the alias's label
}

// identityOf takes the external id before the device, and the device before the alias. It reports false where a payload
// names nobody.
func identityOf(p *SyncAudiencesPayload) (identity, bool) {
	switch {
	case p.ExternalID != "":
		return identity{kind: externalID, name: p.ExternalID}, true
	case p.DeviceID != "":
		return identity{kind: deviceID, name: p.DeviceID}, true
	case p.UserAlias != nil && p.UserAlias.AliasName != "":
		return identity{kind: userAlias, name: p.UserAlias.AliasName, label: p.UserAlias.AliasLabel}, true
	}
	return identity{}, false
}

// String is the identity as the ledger keeps it: external_id:u1, device_id:d1, user_alias:email:a@example.com, the label
// escaped as in a query.
func (id identity) String() string {
	var b strings.Builder
	id.write(&b)
	return b.String()
}

func (id identity) write(b *strings.Builder) {
	switch id.kind {
	case externalID:
		b.WriteString("external_id:")
	case deviceID:
		b.WriteString("device_id:")
	case userAlias:
		b.WriteString("user_alias:")
		b.WriteString(url.QueryEscape(id.label))
		b.WriteByte(':')
	}
	b.WriteString(id.name)
}

// append writes the identity as Braze takes it.
func (id identity) append(body []byte) []byte {
	if id.kind != userAlias {
		return event.AppendString(body, id.name)
	}
	body = event.AppendString(append(body, `{"alias_name":`...), id.name)
	body = event.AppendString(append(body, `,"alias_label":`...), id.label)
	return append(body, '}')
}
