package brazecohorts

import (
	"net/url"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
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

// identityOf prefers the external id to the device, and the device to the alias. An alias counts only with both its name and
// its label. The error says why the payload names no user.
func identityOf(p *SyncAudiencesPayload) (identity, error) {
	switch {
	case p.ExternalID != "":
		return identity{kind: externalID, name: p.ExternalID}, nil
	case p.DeviceID != "":
		return identity{kind: deviceID, name: p.DeviceID}, nil
	case p.UserAlias == nil:
		return identity{}, fault.Invalid("there is no identifier: External User ID, Device ID and User Alias are all absent")
	}
	name, label := p.UserAlias.AliasName, p.UserAlias.AliasLabel
	if name != "" && label != "" {
		return identity{kind: userAlias, name: name, label: label}, nil
	}
	var missing []string
	if name == "" {
		missing = append(missing, "Alias Name")
	}
	if label == "" {
		missing = append(missing, "Alias Label")
	}
	return identity{}, fault.Invalid(
		"there is no identifier: External User ID and Device ID are absent, and User Alias has no %s", strings.Join(missing, " and no "))
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
