// Package brazecohorts keeps audiences in sync with Braze as cohorts: users are added as they enter an audience and
// removed as they leave it, and a cohort that Braze does not have yet is created first.
//
// One event names one identity: the external id, else the device, else the alias. Of the events of an identity the newest
// one counts, and of two with the same time the one that arrived later. The ledger (destination.Members) holds that
// across batches. The package holds no state of its own; one batch key runs at a time, others beside it.
package brazecohorts

import (
	"context"
	"embed"
	"fmt"
	"net/http"
	"strings"

	"github.com/landfall-dev/landfall/destinations/internal/brazesandbox"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

//go:embed destination.yaml
var definition embed.FS

// Plugin is the destination.
func Plugin() destination.Plugin {
	return destination.Plugin{
		Definition: definition,
		Actions: map[string]destination.Action{
			"syncAudiences": destination.Handle(destination.Handler[Settings, SyncAudiencesPayload]{PerformBatch: syncAudiences}),
		},
		CheckSettings: checkSettings,
		Test:          test,
		Audiences:     &destination.Audiences{Action: "syncAudiences", Key: "personas_audience_key", ID: "cohort_id", Identifiers: identifiers, Identity: identityByName, Payload: payloadOf},
		Sandbox:       brazesandbox.Sandbox(),
	}
}

func checkSettings(v event.Value, env destination.Environment) error {
	var settings Settings
	settings.Decode(v)
	_, err := newAPI(settings, env)
	return err
}

// test changes nothing: Braze checks the keys of a request without changes like those of any other.
func test(ctx context.Context, v event.Value, deps destination.Deps) error {
	var settings Settings
	settings.Decode(v)
	api, err := newAPI(settings, deps.Env)
	if err != nil {
		return err
	}
	return inPlainWords(api.changeMembers(ctx, deps.Client, "landfall_credentials_test", nil))
}

// inPlainWords says what a refusal of Braze means for the settings, with Braze's own words behind it.
func inPlainWords(err error) error {
	e := fault.As(err)
	if e == nil || e.Status != http.StatusUnauthorized {
		return err
	}
	advice := "Braze refuses the keys"
	switch message := e.Error(); {
	case strings.HasPrefix(message, "Invalid Partner API key"):
		advice = "the partner key does not belong to this cluster: is REST Endpoint the one of your dashboard, and Partner API Key the one of its region?"
	case strings.HasPrefix(message, "Invalid client secret"):
		advice = "Client Secret Key is no data import key of this cluster: copy it from Braze's partner page, and check REST Endpoint"
	case strings.HasPrefix(message, "Partner not enabled"):
		advice = "Client Secret Key does not allow this partner: make a data import key for it on Braze's partner page, or check Partner Name"
	}
	return fmt.Errorf("%s (Braze says: %w)", advice, err)
}
