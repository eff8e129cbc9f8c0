package destination

import (
	"github.com/landfall-dev/landfall/framework/destination/request"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
)

// addFieldNames adds the keys of fields at a path to the names that requests may use, and those of the objects below it.
func addFieldNames(names request.Names, path string, fields fieldschema.Fields) {
	names[path] = append([]string{}, fields.Keys()...)
	for _, f := range fields {
		if f.Type != fieldschema.Object || len(f.Properties) == 0 || f.AdditionalProperties {
			continue
		}
		below := path + "." + f.Key
		if f.Multiple {
			below += "[]"
		}
		addFieldNames(names, below, f.Properties)
	}
}
