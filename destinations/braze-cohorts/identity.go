package brazecohorts

import (
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
)

// The kinds of identifiers, named as the fields of a payload.
const (
	externalID = "external_id"
	deviceID   = "device_id"
	userAlias  = "user_alias"
)

// identityKinds returns the kinds of identifiers, the most preferred first.
func identityKinds() []destination.IdentityKind {
	return []destination.IdentityKind{{Field: externalID}, {Field: deviceID}, {Field: userAlias, Name: "alias_name", Label: "alias_label"}}
}

// isBlank reports whether an identifier is missing or is only white space, which names no user.
func isBlank(identifier string) bool { return strings.TrimSpace(identifier) == "" }

// identityOf returns the identity of a payload: the external id, otherwise the device, otherwise the alias, which needs a name
// and a label.
func identityOf(p *SyncAudiencesPayload) (destination.Identity, error) {
	switch {
	case !isBlank(p.ExternalID):
		return destination.Identity{Kind: externalID, Name: p.ExternalID}, nil
	case !isBlank(p.DeviceID):
		return destination.Identity{Kind: deviceID, Name: p.DeviceID}, nil
	case p.UserAlias == nil:
		return destination.Identity{}, fault.Invalid("no identifier: External User ID, Device ID and User Alias are all absent").Because(fault.CauseNoIdentifier)
	}
	name, label := p.UserAlias.AliasName, p.UserAlias.AliasLabel
	if !isBlank(name) && !isBlank(label) {
		return destination.Identity{Kind: userAlias, Name: name, Label: label}, nil
	}
	var missing []string
	if isBlank(name) {
		missing = append(missing, "Alias Name")
	}
	if isBlank(label) {
		missing = append(missing, "Alias Label")
	}
	return destination.Identity{}, fault.Invalid(
		"no identifier: External User ID and Device ID are absent, and User Alias has no %s", strings.Join(missing, " and no ")).Because(fault.CauseNoIdentifier)
}
