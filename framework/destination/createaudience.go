package destination

import (
	"fmt"
	"slices"

	"github.com/landfall-dev/landfall/framework/destination/request"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// AudienceConfig says how a destination handles audiences.
type AudienceConfig struct {
	Mode     string        // synced: an audience is created before its members are sent; realtime: it is not created
	FullSync bool          // every member is sent each time, not only changes
	Actions  []string      // the actions whose events need the audience; nil for all
	Create   *request.Call // creates an audience; nil if the definition declares no request for it
	Find     *request.Call // looks up an audience; nil if the definition declares no request for it
}

// NeededBy reports whether the events of an action need their audience.
func (c *AudienceConfig) NeededBy(action string) bool {
	return c != nil && (c.Actions == nil || slices.Contains(c.Actions, action))
}

// AudienceInput is the input of CreateAudience and GetAudience.
type AudienceInput struct {
	Deps
	Settings         event.Value
	AudienceSettings event.Value // checked against the definition's audienceFields
	Key              string      // context.personas.computation_key of its events
	ID               string      // context.personas.computation_id; "" if unknown
	Name             string      // for users
	ExternalID       string      // id at the remote; "" before the audience is created
}

// checkAudiences refuses audience handlers that the definition does not declare, and a missing CreateAudience that it requires.
func (p Plugin) checkAudiences(d *Definition) error {
	synced := d.Audience != nil && d.Audience.Mode == "synced"
	switch {
	case synced && p.CreateAudience == nil && d.Audience.Create == nil:
		return fmt.Errorf("%s: the mode of audienceConfig is synced, but it has no create, and Plugin.CreateAudience is not set", d.Slug)
	case synced && p.CreateAudience != nil && d.Audience.Create != nil:
		return d.problemAt("/audienceConfig/create", "is not allowed: the plugin also has a handler for it")
	case synced && p.GetAudience != nil && d.Audience.Find != nil:
		return d.problemAt("/audienceConfig/find", "is not allowed: the plugin also has a handler for it")
	case !synced && (p.CreateAudience != nil || p.GetAudience != nil):
		return fmt.Errorf("%s: Plugin.CreateAudience or Plugin.GetAudience is set, but audienceConfig does not have the mode synced", d.Slug)
	}
	return nil
}

// parseAudience reads audienceConfig and audienceFields.
func (p *parser) parseAudience(v event.Value) {
	p.d.AudienceFields = p.parseFields(v.Get("audienceFields"), "/audienceFields")
	if c := v.Get("audienceConfig"); c.Exists() {
		full, _ := c.Get("mode").Get("full_audience_sync").Bool()
		p.d.Audience = &AudienceConfig{Mode: c.Get("mode").Get("type").Str(), FullSync: full}
		for _, action := range c.Get("actions").Items() {
			p.d.Audience.Actions = append(p.d.Audience.Actions, action.Str())
		}
		names := p.requestNames()
		p.addAudience(names, "id", "key", "name", "externalId", "settings")
		p.d.Audience.Create = p.compileCall(c.Get("create"), "id", "/audienceConfig/create", names)
		p.d.Audience.Find = p.compileCall(c.Get("find"), "id", "/audienceConfig/find", names)
		for _, key := range []string{"create", "find"} {
			if c.Get(key).Exists() && p.d.Audience.Mode != "synced" {
				p.problems.Add("/audienceConfig/"+key, "is only allowed with the mode synced")
			}
		}
	} else if v.Get("audienceFields").Exists() {
		p.problems.Add("/audienceFields", "are not allowed without audienceConfig")
	}
}

// checkAudienceActions checks the actions whose events need an audience, when all actions are known.
func (p *parser) checkAudienceActions() {
	if p.d.Audience == nil {
		return
	}
	for i, key := range p.d.Audience.Actions {
		if !slices.Contains(p.d.ActionKeys(), key) {
			p.problems.Add(fmt.Sprintf("/audienceConfig/actions/%d", i), "is not an action of the destination: %q%s", key, fault.DidYouMean(key, p.d.ActionKeys()))
		}
	}
}

// addAudience adds what requests read of an audience. Settings that the definition does not declare may have any keys.
func (p *parser) addAudience(names request.Names, keys ...string) {
	names[request.Audience] = keys
	if len(p.d.AudienceFields) > 0 {
		addFieldNames(names, request.Audience+".settings", p.d.AudienceFields)
	}
}
