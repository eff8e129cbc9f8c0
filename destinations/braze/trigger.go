package braze

import (
	"context"
	"net/http"
	"slices"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// maxRecipients is the maximum number of recipients in a request
// (https://www.braze.com/docs/api/endpoints/messaging/send_messages/post_send_triggered_campaigns).
const maxRecipients = 50

// triggerCampaign sends a campaign.
func triggerCampaign(ctx context.Context, in destination.Call[Settings, payload]) (*destination.Response, error) {
	return triggerMessage(ctx, in, "/campaigns/trigger/send", []string{"campaign_id", "send_id", "trigger_properties", "broadcast", "attachments", "audience"})
}

// triggerCanvas adds users to a canvas.
func triggerCanvas(ctx context.Context, in destination.Call[Settings, payload]) (*destination.Response, error) {
	return triggerMessage(ctx, in, "/canvas/trigger/send", []string{"canvas_id", "canvas_entry_properties", "broadcast", "audience"})
}

// triggerMessage sends to all users, or to recipients in requests of maxRecipients.
func triggerMessage(ctx context.Context, in destination.Call[Settings, payload], path string, keys []string) (*destination.Response, error) {
	api, err := newAPI(in.Settings, in.Client)
	if err != nil {
		return nil, err
	}
	recipients, err := recipientsOf(in.Payload)
	if err != nil {
		return nil, err
	}
	var common []event.Member
	for _, key := range keys {
		common = append(common, event.Member{Key: key, Value: in.Payload.Get(key)})
	}
	if len(recipients) == 0 {
		for _, key := range []string{"recipients", "prioritization"} { // a broadcast sends them as they are mapped
			common = append(common, event.Member{Key: key, Value: in.Payload.Get(key)})
		}
		return api.sendRequest(ctx, http.MethodPost, path, event.NewObject(common).AppendJSON(nil), 1)
	}
	var last *destination.Response
	for part := range slices.Chunk(recipients, maxRecipients) {
		members := append(slices.Clip(common), event.Member{Key: "recipients", Value: event.NewArray(part)})
		response, err := api.sendRequest(ctx, http.MethodPost, path, event.NewObject(members).AppendJSON(nil), len(part))
		if err != nil {
			return nil, finalAfterPartial(err, last)
		}
		last = response
	}
	return last, nil
}

// finalAfterPartial makes an error final if some recipients have been reached, since a retry would reach them twice.
func finalAfterPartial(err error, reached *destination.Response) error {
	e := fault.As(err)
	if reached == nil || !e.Retry {
		return err
	}
	final := *e
	final.Retry, final.RetryAfter = false, 0
	final.Message = "the first recipients have been reached, and a retry would reach them twice; error of the rest: " + e.Error()
	return &final
}

// recipientsOf returns the recipients with their prioritization; none for a broadcast.
func recipientsOf(p payload) ([]event.Value, error) {
	broadcast, _ := p.Get("broadcast").Bool()
	list := p.Get("recipients")
	switch {
	case broadcast && list.Len() > 0:
		return nil, fault.Invalid("Broadcast is true, so there must be no Recipients").Because(fault.CauseIncomplete)
	case !broadcast && list.Len() == 0:
		return nil, fault.Invalid("no recipients: Recipients is absent, and Broadcast is not true").Because(fault.CauseIncomplete)
	}
	order := prioritizationOf(p)
	recipients := make([]event.Value, 0, list.Len())
	for i, r := range list.Items() {
		alias := wholeAlias(r.Get("user_alias"))
		if r.Get("external_user_id").Str() == "" && r.Get("email").Str() == "" && !alias.Exists() {
			return nil, fault.Invalid("recipient %d has no identifier: External User ID, User Alias and Email are all absent", i+1).Because(fault.CauseNoIdentifier)
		}
		var members []event.Member
		for key, v := range r.Members() {
			if key == "user_alias" {
				v = alias
			}
			members = append(members, event.Member{Key: key, Value: v})
		}
		if order.Len() > 0 {
			members = append(members, event.Member{Key: "prioritization", Value: order})
		}
		recipients = append(recipients, event.NewObject(members))
	}
	return recipients, nil
}
