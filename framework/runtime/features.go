package runtime

import "maps"

// features are the flags of the instance: the host's, and over them those of its config.
func (c *compiler) features() map[string]bool {
	all := maps.Clone(c.host.Features)
	if all == nil {
		all = map[string]bool{}
	}
	maps.Copy(all, c.instance.Features)
	return all
}
