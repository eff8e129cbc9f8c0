// Package brazecohorts syncs audiences to Braze cohorts: users are added when they enter an audience and removed when they
// leave it. A cohort that does not exist yet is created first.
//
// An event identifies a user by the external id, otherwise by the device, otherwise by the alias. destination.SyncAudience decides
// which events count and keeps the ledger; this package knows Braze's requests. It holds no state.
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

// Plugin returns the destination.
func Plugin() destination.Plugin {
	return destination.Plugin{
		Definition: definition,
		Actions: map[string]destination.Action{
			"syncAudiences": destination.Handle(destination.Handler[Settings, SyncAudiencesPayload]{PerformBatch: syncAudiences}),
		},
		CheckSettings: checkSettings,
		Test:          testCredentials,
		Audiences: destination.AudienceFields{
			Action: "syncAudiences", ID: "cohort_id", Key: "personas_audience_key", Name: "cohort_name", Properties: "event_properties", Time: "time",
			Kinds:   identityKinds(),
			Ignores: "Braze leaves out users that it does not know, and devices of identified users, without an error",
		}.Audiences(),
		Sandbox: brazesandbox.Sandbox(),
	}
}

func checkSettings(v event.Value, env destination.Environment) error {
	var settings Settings
	settings.Decode(v)
	_, err := newAPI(settings, env)
	return err
}

// testCredentials sends a request without changes. Braze checks its keys like those of any other.
func testCredentials(ctx context.Context, v event.Value, deps destination.Deps) error {
	var settings Settings
	settings.Decode(v)
	api, err := newAPI(settings, deps.Env)
	if err != nil {
		return err
	}
	return explainError(api.changeMembers(ctx, deps.Client, "landfall_credentials_test", nil))
}

// explainError says what a refusal of Braze means for the settings, followed by Braze's message.
func explainError(err error) error {
	e := fault.As(err)
	if e == nil || e.Status != http.StatusUnauthorized {
		return err
	}
	advice := "Braze refuses the keys"
	switch message := e.Error(); {
	case strings.HasPrefix(message, "Invalid Partner API key"):
		advice = "the partner key does not belong to this cluster: is REST Endpoint the one of your dashboard, and Partner API Key the one of its region?"
	case strings.HasPrefix(message, "Invalid client secret"):
		advice = "Client Secret Key is not a data import key of this cluster: copy it from Braze's partner page, and check REST Endpoint"
	case strings.HasPrefix(message, "Partner not enabled"):
		advice = "Client Secret Key does not allow this partner: make a data import key for it on Braze's partner page, or check Partner Name"
	}
	return fmt.Errorf("%s (Braze says: %w)", advice, err)
}
