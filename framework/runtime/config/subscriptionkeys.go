package config

import (
	"slices"
	"strconv"
	"sync"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/schemas"
)

// subscriptionKeys returns the keys of a subscription that the schema knows.
var subscriptionKeys = sync.OnceValue(func() (keys []string) {
	for key := range event.MustParse(string(schemas.Text(schemas.Config))).Get("$defs").Get("subscription").Get("properties").Members() {
		keys = append(keys, key)
	}
	return keys
})

// exportKeys are keys of Segment's exports that have no effect here.
func exportKeys() []string {
	return []string{"actionId", "actionSlug", "destinationId", "destinationSlug", "integrationId", "metadataId", "modelId", "sourceId", "workspaceId",
		"reverseETLModelId", "reverseETLSchedule", "createdAt", "updatedAt"}
}

// eachUnknownKey calls do for the unknown keys of subscriptions, except those of exports. near asks whether the known key that it resembles is meant; it
// is "" if it resembles none.
func eachUnknownKey(config event.Value, do func(pointer, key, near string)) {
	for i, instance := range config.Get("destinations").Items() {
		for j, subscription := range instance.Get("subscriptions").Items() {
			place := "/destinations/" + strconv.Itoa(i) + "/subscriptions/" + strconv.Itoa(j)
			for key := range subscription.Members() {
				if !slices.Contains(subscriptionKeys(), key) && !slices.Contains(exportKeys(), key) {
					do(place+fault.PointerKey(key), key, fault.DidYouMean(key, subscriptionKeys()))
				}
			}
		}
	}
}

// checkSubscriptionKeys adds a problem for each key that resembles a known one, such as enable: what it should do would not happen.
func (r *reader) checkSubscriptionKeys(config event.Value) {
	eachUnknownKey(config, func(pointer, _, near string) {
		if near != "" {
			r.problems.Add(pointer, "is not a known key%s", near)
		}
	})
}

// warnSubscriptionKeys adds a warning for each other unknown key.
func warnSubscriptionKeys(config event.Value, warnings *fault.Problems) {
	eachUnknownKey(config, func(pointer, key, near string) {
		if advice := map[string]string{"trigger": "subscribe", "fqlTrigger": "subscribe", "settings": "mapping", "disabled": "enabled: false"}[key]; advice != "" {
			warnings.Add(pointer, "is not a known key and has no effect: write %s", advice)
		} else if near == "" {
			warnings.Add(pointer, "is not a known key and has no effect")
		}
	})
}
