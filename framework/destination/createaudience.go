package destination

import (
	"fmt"

	"github.com/landfall-dev/landfall/framework/event"
)

// AudienceConfig is how a destination takes audiences.
type AudienceConfig struct {
	Mode     string // synced: an audience is created before its members are sent; realtime: it is not
	FullSync bool   // every member is sent each time, not changes alone
}

// AudienceInput is what making or finding an audience may use.
type AudienceInput struct {
	Deps
	Settings         event.Value
	AudienceSettings event.Value // by the audienceFields of the definition, checked
	Key              string      // what its events call it: context.personas.computation_key
	ID               string      // context.personas.computation_id; "" where it is not known
	Name             string      // for people
	ExternalID       string      // its id at the remote; "" before it is created
}

// checkAudiences refuses handlers that the definition does not speak of, and one that it needs and is not there.
func (p Plugin) checkAudiences(d *Definition) error {
	synced := d.Audience != nil && d.Audience.Mode == "synced"
	switch {
	case synced && p.CreateAudience == nil:
		return fmt.Errorf("%s: the mode of audienceConfig is synced, but there is no CreateAudience", d.Slug)
	case !synced && (p.CreateAudience != nil || p.GetAudience != nil):
		return fmt.Errorf("%s: there is a CreateAudience or GetAudience, but no audienceConfig whose mode is synced", d.Slug)
	}
	return nil
}

// parseAudience reads how the destination takes audiences.
func (p *parser) parseAudience(v event.Value) {
	if c := v.Get("audienceConfig"); c.Exists() {
		full, _ := c.Get("mode").Get("full_audience_sync").Bool()
		p.d.Audience = &AudienceConfig{Mode: c.Get("mode").Get("type").Str(), FullSync: full}
	} else if v.Get("audienceFields").Exists() {
		p.problems.Add("/audienceFields", "are of no use without audienceConfig")
	}
	p.d.AudienceFields = p.parseFields(v.Get("audienceFields"), "/audienceFields")
}
