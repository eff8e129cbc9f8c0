// Package braze keeps users, their attributes, events and purchases in Braze by its REST API, and triggers campaigns and
// canvases there. Users must exist before a cohort can hold them: this destination makes them.
//
// A batch is divided into requests within Braze's limits, in the order of its payloads; what one payload becomes stays
// together. After a request that may be tried again nothing more of the batch is sent, so that no later event of a user
// overtakes an earlier one. The package holds no state; it may run many batches at once.
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

// Plugin is the destination.
func Plugin() destination.Plugin {
	return destination.Plugin{
		Definition: definition,
		Actions: map[string]destination.Action{
			"updateUserProfile":      batched(usersTrack, attributesOf),
			"trackEvent":             batched(usersTrack, eventOf),
			"trackPurchase":          batched(usersTrack, purchasesOf),
			"ecommerce":              batched(usersTrack, ecommerceOf),
			"ecommerceSingleProduct": batched(usersTrack, ecommerceOf),
			"createAlias":            batched(usersAlias, aliasOf),
			"identifyUser":           batched(usersIdentify, identificationOf),
			"upsertCatalogItem":      destination.Handle(destination.Handler[Settings, UpsertCatalogItemPayload]{PerformBatch: catalogItems}),
			"triggerCampaign":        destination.Handle(destination.Handler[Settings, payload]{Perform: triggerCampaign}),
			"triggerCanvas":          destination.Handle(destination.Handler[Settings, payload]{Perform: triggerCanvas}),
		},
		Hooks:         map[string]map[string]destination.HookFunc{"upsertCatalogItem": {destination.OnMappingSave: chooseCatalog}},
		CheckSettings: checkSettings,
		Test:          test,
		OnDelete:      deleteUser,
		Sandbox:       brazesandbox.Sandbox(),
	}
}

func checkSettings(v event.Value, _ destination.Environment) error {
	_, err := brazeendpoint.Parse(v.Get("endpoint").Str())
	return err
}

// test changes nothing: a request that tracks nothing is refused, but not before its key has been looked at.
func test(ctx context.Context, v event.Value, deps destination.Deps) error {
	var settings Settings
	settings.Decode(v)
	api, err := newAPI(settings, deps.Client)
	if err != nil {
		return err
	}
	_, err = api.send(ctx, http.MethodPost, "/users/track", []byte(`{}`), 0)
	switch e := fault.As(err); {
	case e == nil, e.Status == http.StatusBadRequest:
		return nil
	case e.Status == http.StatusUnauthorized, e.Status == http.StatusForbidden:
		return fmt.Errorf("API Key is no key of this cluster, or it lacks the permission users.track: copy it from Settings → APIs and Identifiers, and check REST Endpoint (Braze says: %w)", err)
	}
	return err
}

// deleteUser deletes the user of an external id.
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
	_, err = api.send(ctx, http.MethodPost, "/users/delete", append(body, `]}`...), 1)
	return err
}
