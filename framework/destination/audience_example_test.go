package destination_test

import (
	"context"
	"net/http"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
)

// ListPayload is what landfall generate makes of the fields of the action syncList.
type ListPayload struct {
	UserID, ListID, ListName, Time string
	Properties                     event.Value
}

func (p *ListPayload) Decode(v event.Value) {
	p.UserID, p.ListID, p.ListName, p.Time = v.Get("user_id").Str(), v.Get("list_id").Str(), v.Get("list_name").Str(), v.Get("time").Str()
	p.Properties = v.Get("properties")
}

// listDefinition is the definition of the action syncList.
const listDefinition = `
actions:
  syncList:
    title: Sync List
    defaultSubscription: event = "Audience Entered" or event = "Audience Exited"
    fields:
      user_id: {label: User ID, type: string, required: true, default: {"@path": $.userId}}
      list_id: {label: List ID, type: string, required: true, default: {"@path": $.context.personas.computation_id}}
      list_name: {label: List Name, type: string, required: true, default: {"@path": $.context.personas.computation_key}}
      properties: {label: Properties, type: object, default: {"@path": $.properties}}
      time: {label: Time, type: string, required: true, default: {"@path": $.timestamp}}
      batch_keys: {label: Batch Keys, type: string, multiple: true, default: [list_id]}
`

// listAPI knows the requests about lists.
type listAPI struct{ client destination.Client }

func (a listAPI) createList(ctx context.Context, list destination.Audience, _ int) error {
	_, err := a.client.Do(ctx, destination.Request{Method: http.MethodPut, URL: crm + "/lists/" + list.ID, Text: list.Name})
	return err
}

func (a listAPI) changeMembers(ctx context.Context, list destination.Audience, changes []*destination.MemberChange) error {
	var add, remove []event.Value
	for _, c := range changes {
		if c.Member {
			add = append(add, event.NewString(c.Identity.Name))
		} else {
			remove = append(remove, event.NewString(c.Identity.Name))
		}
	}
	body := event.NewObject([]event.Member{{Key: "add", Value: event.NewArray(add)}, {Key: "remove", Value: event.NewArray(remove)}})
	_, err := a.client.Do(ctx, destination.Request{Method: http.MethodPost, URL: crm + "/lists/" + list.ID + "/members", JSON: body})
	return err
}

func syncList(ctx context.Context, call destination.BatchCall[Settings, ListPayload]) (*destination.MultiStatus, error) {
	api := listAPI{call.Client}
	return destination.SyncAudience(ctx, call, destination.AudienceSync{
		Read: func(i int) (c destination.MemberChange, err error) {
			p := call.Payloads[i]
			c.Audience = destination.Audience{ID: p.ListID, Name: p.ListName}
			c.Identity = destination.Identity{Kind: "user_id", Name: p.UserID}
			if c.At, err = destination.ReadTime("Time", p.Time); err != nil {
				return c, err
			}
			c.Member, err = destination.ReadMembership("Properties", p.Properties, p.ListName, func() destination.Membership { return call.Membership(i) })
			return c, err
		},
		Create:     api.createList,
		Change:     api.changeMembers,
		MaxMembers: 500,
	}), nil
}

// entry and exit are events of an Engage audience.
func entry(user, time string) string { return membershipEvent(user, "Entered", time, "true") }
func exit(user, time string) string  { return membershipEvent(user, "Exited", time, "false") }

func membershipEvent(user, word, time, member string) string {
	return `{"type":"track","userId":"` + user + `","event":"Audience ` + word + `","timestamp":"2026-01-02T` + time + `Z","properties":{"vip":` + member + `},
		"context":{"personas":{"computation_class":"audience","computation_id":"aud_1","computation_key":"vip"}}}`
}

func ExampleSyncAudience() {
	plugin := destination.Plugin{
		Actions: map[string]destination.Action{
			"syncList": destination.Handle(destination.Handler[Settings, ListPayload]{PerformBatch: syncList}),
		},
		Audiences: destination.AudienceFields{
			Action: "syncList", ID: "list_id", Name: "list_name", Key: "list_name", Properties: "properties", Time: "time",
			Kinds: []destination.IdentityKind{{Field: "user_id"}},
		}.Audiences(),
	}
	plan := planFor(plugin, "syncList", listDefinition)
	send(plan, entry("ann", "10:00:00"), exit("bob", "10:00:00"), exit("ann", "09:00:00"))
	send(plan, entry("ann", "11:00:00"), exit("ann", "10:30:00"))
	send(plan, exit("ann", "12:00:00"))
	// Output:
	// PUT /lists/aud_1 vip
	// POST /lists/aud_1/members {"add":["ann"],"remove":["bob"]}
	// → delivered
	// → delivered
	// → skipped superseded by a newer event of the same user
	// → skipped no change: the user already has this membership
	// → skipped superseded by a newer event of the same user
	// POST /lists/aud_1/members {"add":[],"remove":["ann"]}
	// → delivered
}
