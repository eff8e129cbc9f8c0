package runtime

import "github.com/landfall-dev/landfall/framework/event"

// RunsInBrowser reports whether browsers perform the plan's actions. Its events are mapped by Prepare, but not delivered.
func (p *Plan) RunsInBrowser() bool { return p.definition.Browser != "" }

// PublicSettings returns the settings that browsers get, with defaults.
func (p *Plan) PublicSettings() event.Value { return p.definition.PublicSettings(p.settings) }

// IntegrationName returns the name by which analytics.js turns the destination on or off.
func (p *Plan) IntegrationName() string { return p.definition.Name + actionsSuffix }
