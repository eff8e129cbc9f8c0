package audienceruns

import (
	"fmt"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/files/sqlsource"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// Check finds the mistakes in the audience syncs of a config that depend on its destinations and databases. It connects to none.
func Check(cfg *config.Config, registry *destination.Registry) fault.Problems {
	var problems fault.Problems
	for _, s := range cfg.AudienceSyncs {
		if s.URL != "" && s.Query != "" {
			if err := sqlsource.Check(sqlsource.Options{URL: s.URL, Query: s.Query, Timeout: s.Timeout, Changes: changesOf(&s)}); err != nil {
				problems.Add(s.Pointer, "%v", err)
			}
		}
		identifiers, with, known := identifiersOf(cfg, registry, &s)
		if !known {
			continue
		}
		for i, id := range s.Instances {
			if in, ok := cfg.FindInstance(id); ok && !slices.Contains(with, in.ID) {
				problems.Add(fmt.Sprintf("%s/instances/%d", s.Pointer, i), "%s is an instance of %s, which has no audiences", id, in.Destination)
			}
		}
		if len(with) == 0 {
			if len(s.Instances) == 0 {
				problems.Add(s.Pointer, "there is no instance of a destination with audiences")
			}
			continue
		}
		if s.Key != "" && !slices.Contains(identifiers, s.Key) {
			problems.Add(s.Pointer+"/key", "is no identifier of the destination%s: it has %s", fault.DidYouMean(s.Key, identifiers), strings.Join(identifiers, ", "))
		}
		for name := range s.Columns {
			if !slices.Contains(identifiers, name) {
				problems.Add(s.Pointer+"/columns"+fault.PointerKey(name), "is no identifier of the destination%s: it has %s", fault.DidYouMean(name, identifiers), strings.Join(identifiers, ", "))
			}
		}
	}
	return cfg.Document.Locate(problems)
}

// identifiersOf returns the identifiers that all instances of a sync have, and the instances with audiences. They are not known if the destination of an
// instance is not, which is a mistake of the instance.
func identifiersOf(cfg *config.Config, registry *destination.Registry, s *config.AudienceSync) (identifiers, with []string, known bool) {
	for _, in := range cfg.Instances {
		if !s.UsesInstance(in.ID) {
			continue
		}
		entry, err := registry.Find(in.Destination)
		if err != nil {
			return nil, nil, false
		}
		if entry.Plugin.Audiences == nil {
			continue
		}
		own := entry.Plugin.Audiences.Identifiers
		if len(with) == 0 {
			identifiers = slices.Clone(own)
		}
		identifiers = slices.DeleteFunc(identifiers, func(id string) bool { return !slices.Contains(own, id) })
		with = append(with, in.ID)
	}
	return identifiers, with, true
}
