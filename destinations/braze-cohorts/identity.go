package brazecohorts

import (
	"net/url"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// idKind is the kind of an identifier.
type idKind uint8

const (
	externalID idKind = iota
	deviceID
	userAlias
)

// identity identifies the user of a payload. It is comparable.
type identity struct {
	kind  idKind
	name  string // the id, or the name of the alias
	label string // the label of the alias
}

// identityOf returns the identity of a payload: the external id, otherwise the device, otherwise the alias, which needs a name
// and a label.
func identityOf(p *SyncAudiencesPayload) (identity, error) {
	switch {
	case p.ExternalID != "":
		return identity{kind: externalID, name: p.ExternalID}, nil
	case p.DeviceID != "":
		return identity{kind: deviceID, name: p.DeviceID}, nil
	case p.UserAlias == nil:
		return identity{}, fault.Invalid("no identifier: External User ID, Device ID and User Alias are all absent").Because(fault.CauseNoIdentifier)
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
		"no identifier: External User ID and Device ID are absent, and User Alias has no %s", strings.Join(missing, " and no ")).Because(fault.CauseNoIdentifier)
}

// String returns the identity as stored in the ledger, such as external_id:u1, device_id:d1 or user_alias:email:a@example.com,
// with the label escaped as in a query.
func (id identity) String() string {
	var b strings.Builder
	id.writeTo(&b)
	return b.String()
}

func (id identity) writeTo(b *strings.Builder) {
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

// appendJSON appends the identity in Braze's format.
func (id identity) appendJSON(body []byte) []byte {
	if id.kind != userAlias {
		return event.AppendString(body, id.name)
	}
	body = event.AppendString(append(body, `{"alias_name":`...), id.name)
	body = event.AppendString(append(body, `,"alias_label":`...), id.label)
	return append(body, '}')
}
