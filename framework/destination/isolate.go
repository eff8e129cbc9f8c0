package destination

import (
	"net/http"
	"slices"

	"github.com/landfall-dev/landfall/framework/destination/request"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// Isolation says for which responses a batch that is refused as a whole is halved until the invalid payloads are alone.
type Isolation struct {
	statuses []int
	when     *mapping.Mapping // over settings; nil for always
}

// Divides reports whether a batch that was refused with a status is halved, under the settings of an instance.
func (i *Isolation) Divides(status int, settings event.Value) bool {
	return i != nil && slices.Contains(i.statuses, status) && i.IsOn(settings)
}

// IsOn reports whether refused batches are halved under the settings of an instance.
func (i *Isolation) IsOn(settings event.Value) bool {
	if i == nil || i.when == nil {
		return i != nil
	}
	v, err := i.when.Resolve(event.NewObject([]event.Member{{Key: request.Settings, Value: settings}}))
	return err == nil && !v.Falsy()
}

// parseIsolation reads isolate of an action: true, or an object.
func (p *parser) parseIsolation(v event.Value, place string) *Isolation {
	if v.Falsy() {
		return nil
	}
	i := &Isolation{}
	for _, status := range v.Get("statuses").Items() {
		i.statuses = append(i.statuses, int(status.Int()))
	}
	if i.statuses == nil {
		i.statuses = []int{http.StatusBadRequest}
	}
	if when := v.Get("when"); when.Exists() {
		p.problems.AddUnder(place+"/when", request.CheckMapping(when, p.requestNames().Only(request.Settings)))
		i.when, _ = mapping.Compile(mapping.ConvertTemplates(when)) // CheckMapping has reported its mistakes
	}
	return i
}
