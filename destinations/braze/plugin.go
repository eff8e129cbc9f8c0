// Package braze sends users, attributes, events and purchases to Braze with its REST API, and triggers campaigns and canvases.
// A user must exist before a cohort can contain it; this destination creates users.
//
// A batch is split into requests within Braze's limits, in the order of its payloads. The objects of one payload stay together.
// After a retryable failure nothing more of the batch is sent, so that later events of a user do not overtake earlier ones. The
// package holds no state and may run many batches concurrently.
package braze

import (
	"context"
	"embed"
	"fmt"
	"net/http"

	"github.com/landfall-dev/landfall/destinations/internal/brazeendpoint"
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
			"updateUserProfile":      batchAction(usersTrack, attributesOf),
			"trackEvent":             batchAction(usersTrack, eventOf),
			"trackPurchase":          batchAction(usersTrack, purchasesOf),
			"ecommerce":              batchAction(usersTrack, ecommerceOf),
			"ecommerceSingleProduct": batchAction(usersTrack, ecommerceOf),
			"createAlias":            batchAction(usersAlias, aliasOf),
			"identifyUser":           batchAction(usersIdentify, identificationOf),
			"upsertCatalogItem":      destination.Handle(destination.Handler[Settings, UpsertCatalogItemPayload]{PerformBatch: catalogItems}),
			"triggerCampaign":        destination.Handle(destination.Handler[Settings, payload]{Perform: triggerCampaign}),
			"triggerCanvas":          destination.Handle(destination.Handler[Settings, payload]{Perform: triggerCanvas}),
		},
		Hooks:         map[string]map[string]destination.HookFunc{"upsertCatalogItem": {destination.OnMappingSave: chooseCatalog}},
		CheckSettings: checkSettings,
		Test:          testCredentials,
		OnDelete:      deleteUser,
		Sandbox:       brazesandbox.Sandbox(),
	}
}

func checkSettings(v event.Value, _ destination.Environment) error {
	_, err := brazeendpoint.Parse(v.Get("endpoint").Str())
	return err
}

// testCredentials sends a request without content. It changes nothing: Braze refuses it, but checks the key first.
func testCredentials(ctx context.Context, v event.Value, deps destination.Deps) error {
	var settings Settings
	settings.Decode(v)
	api, err := newAPI(settings, deps.Client)
	if err != nil {
		return err
	}
	_, err = api.sendRequest(ctx, http.MethodPost, "/users/track", []byte(`{}`), 0)
	switch e := fault.As(err); {
	case e == nil, e.Status == http.StatusBadRequest:
		return nil
	case e.Status == http.StatusUnauthorized, e.Status == http.StatusForbidden:
		return fmt.Errorf("API Key is not a key of this cluster, or lacks the permission users.track: copy it from Settings → APIs and Identifiers, and check REST Endpoint (Braze says: %w)", err)
	}
	return err
}

// deleteUser deletes the user with an external id.
func deleteUser(ctx context.Context, in destination.DeleteInput) error {
	var settings Settings
	settings.Decode(in.Settings)
	api, err := newAPI(settings, in.Client)
	if err != nil {
		return err
	}
	if in.UserID == "" {
		return fault.Invalid("Braze deletes users by their external id, but the event has no userId")
	}
	body := append([]byte(`{"external_ids":[`), event.NewString(in.UserID).JSON()...)
	_, err = api.sendRequest(ctx, http.MethodPost, "/users/delete", append(body, `]}`...), 1)
	return err
}
