package brazecohorts

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
)

// identifiers are the columns that identify a user in a file.
var identifiers = []string{"external_id", "device_id", "alias_name", "alias_label"}

// identityByName returns the identity for named values, with the same preference as for events.
func identityByName(value func(name string) string) (string, bool) {
	id, err := identityOf(&SyncAudiencesPayload{
		ExternalID: value("external_id"), DeviceID: value("device_id"),
		UserAlias: &SyncAudiencesPayloadUserAlias{AliasName: value("alias_name"), AliasLabel: value("alias_label")},
	})
	return id.String(), err == nil && len(id.String()) <= maxIdentity
}

// parseIdentity parses the result of identity.String.
func parseIdentity(text string) (identity, error) {
	kind, rest, _ := strings.Cut(text, ":")
	switch {
	case kind == "external_id" && rest != "":
		return identity{kind: externalID, name: rest}, nil
	case kind == "device_id" && rest != "":
		return identity{kind: deviceID, name: rest}, nil
	case kind == "user_alias":
		label, name, _ := strings.Cut(rest, ":")
		plain, err := url.QueryUnescape(label)
		if name != "" && err == nil { // older ledgers may contain aliases without a label
			return identity{kind: userAlias, name: name, label: plain}, nil
		}
	}
	return identity{}, fmt.Errorf("%q is not an identity of Braze Cohorts, such as external_id:u1", text)
}

// payloadOf returns the payload that makes one change of an audience.
func payloadOf(a destination.Audience, c destination.Change) (event.Value, error) {
	id, err := parseIdentity(c.Identity)
	if err != nil {
		return event.Value{}, err
	}
	members := []event.Member{
		{Key: "cohort_id", Value: event.NewString(a.ID)},
		{Key: "cohort_name", Value: event.NewString(a.Name)},
		{Key: "personas_audience_key", Value: event.NewString(a.Name)},
		{Key: "event_properties", Value: event.NewObject([]event.Member{{Key: a.Name, Value: event.NewBool(c.Member)}})},
		{Key: "time", Value: event.NewString(c.At.UTC().Format(time.RFC3339Nano))},
	}
	switch id.kind {
	case externalID:
		members = append(members, event.Member{Key: "external_id", Value: event.NewString(id.name)})
	case deviceID:
		members = append(members, event.Member{Key: "device_id", Value: event.NewString(id.name)})
	case userAlias:
		members = append(members, event.Member{Key: "user_alias", Value: event.NewObject([]event.Member{
			{Key: "alias_name", Value: event.NewString(id.name)}, {Key: "alias_label", Value: event.NewString(id.label)},
		})})
	}
	return event.NewObject(members), nil
}
