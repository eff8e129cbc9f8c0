package destination

import (
	"fmt"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
)

// checkChoices checks that each choice of a field has a value and no unknown key.
func (l *linter) checkChoices(of, place string, f fieldschema.Field) {
	known := []string{"label", "value", "description"}
	for i, choice := range f.Raw.Get("choices").Items() {
		if choice.Kind() != event.Object {
			continue
		}
		at := fmt.Sprintf("%s/choices/%d", place, i)
		for key := range choice.Members() {
			if !slices.Contains(known, key) {
				l.addFinding(CheckFields, of, at+fault.PointerKey(key), "is not a known key%s", fault.DidYouMean(key, known))
			}
		}
		if choice.Get("value").Kind() == event.Absent {
			l.addFinding(CheckFields, of, at, `should have the key "value"`)
		}
	}
}

// checkConditions checks that the conditions under which a field is shown refer to fields that exist: beside it, or in the whole action.
// ParseFields checks those under which it is required.
func (l *linter) checkConditions(of, place string, f fieldschema.Field, fields, whole fieldschema.Fields) {
	for i, c := range f.Raw.Get("depends_on").Get("conditions").Items() {
		key := c.Get("fieldKey").Str()
		first, _, _ := strings.Cut(key, ".")
		if c.Get("type").Str() == "syncMode" || key == "" || strings.HasPrefix(key, "__segment_internal_") || fields.Get(first) != nil || whole.Get(first) != nil {
			continue
		}
		l.addFinding(CheckFields, of, fmt.Sprintf("%s/depends_on/conditions/%d/fieldKey", place, i), "there is no field %q%s",
			key, fault.DidYouMean(first, append(fields.Keys(), whole.Keys()...)))
	}
}
