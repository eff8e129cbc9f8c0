package runtime

import (
	"context"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/language/fql"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// OnDelete is the name of the subscription that deletes users, and of its action. Plans of destinations that can delete have it.
const OnDelete = "onDelete"

// deletionFields are the fields of a deletion's payload.
const deletionFields = `{
	"user_id": {"label": "User ID", "type": "string", "default": {"@path": "$.userId"},
		"required": {"conditions": [{"fieldKey": "anonymous_id", "operator": "is"}]}},
	"anonymous_id": {"label": "Anonymous ID", "type": "string", "default": {"@path": "$.anonymousId"}}
}`

// ids is the payload of a deletion.
type ids struct{ user, anonymous string }

// Decode reads a value that has passed its schema.
func (d *ids) Decode(v event.Value) {
	d.user, d.anonymous = v.Get("user_id").Str(), v.Get("anonymous_id").Str()
}

// anySettings is the settings as an untyped value.
type anySettings struct{ event.Value }

// Decode reads a value that has passed its schema.
func (s *anySettings) Decode(v event.Value) { s.Value = v }

// compileDeletion returns the subscription that deletes users, as a list for Offered. It returns nil if the destination cannot delete.
func (c *compiler) compileDeletion() []*Subscription {
	onDelete := c.plugin.OnDelete
	if onDelete == nil {
		return nil
	}
	fields, err := fieldschema.ParseFields(event.MustParse(deletionFields))
	c.problems.AddUnder(c.instance.Pointer, err)
	action := &destination.ActionDefinition{
		Key: OnDelete, Title: "Delete a user", Description: "Deletes the user of an event of type delete.",
		DefaultSubscription: `type = "delete"`, Fields: fields,
	}
	s := &Subscription{name: OnDelete, action: action, sample: 1, deletes: true}
	s.handler = destination.Handle(destination.Handler[anySettings, ids]{
		Perform: func(ctx context.Context, call destination.Call[anySettings, ids]) (*destination.Response, error) {
			return nil, onDelete(ctx, destination.DeleteInput{
				Deps: call.Deps, Settings: call.Settings.Value, UserID: call.Payload.user, AnonymousID: call.Payload.anonymous,
			})
		},
	})
	if s.query, err = fql.Compile(action.DefaultSubscription); err != nil {
		c.problems.AddUnder(c.instance.Pointer, err)
	}
	if s.mapping, err = mapping.Compile(action.DefaultMapping()); err != nil {
		c.problems.AddUnder(c.instance.Pointer, err)
	}
	if s.schema, err = fieldschema.Compile(fields); err != nil {
		c.problems.AddUnder(c.instance.Pointer, err)
	}
	return []*Subscription{s}
}

// isDeletion reports whether an event deletes a user and the destination can do that.
func (p *Plan) isDeletion(e event.Event) bool {
	return p.deletion != nil && e.Value().Get("type").Str() == "delete"
}

// Offered returns the subscriptions that may process an event: those of the config, or the one that deletes users.
func (p *Plan) Offered(e event.Event) []*Subscription {
	if p.isDeletion(e) {
		return p.deletion
	}
	return p.subscriptions
}

// Subscription returns the subscription with a name, which may be OnDelete, or nil.
func (p *Plan) Subscription(name string) *Subscription {
	for _, list := range [][]*Subscription{p.subscriptions, p.deletion} {
		for _, s := range list {
			if s.name == name {
				return s
			}
		}
	}
	return nil
}
