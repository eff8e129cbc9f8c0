package runtime

import "maps"

// compileFeatures returns the feature flags of the instance: the host's, overridden by those of its config.
func (c *compiler) compileFeatures() map[string]bool {
	all := maps.Clone(c.host.Features)
	if all == nil {
		all = map[string]bool{}
	}
	maps.Copy(all, c.instance.Features)
	return all
}
