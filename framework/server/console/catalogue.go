package console

import (
	"net/http"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
)

func (c *Console) handleCatalogue(w http.ResponseWriter, r *http.Request) {
	c.renderPage(w, r, http.StatusOK, "catalogue", page{Title: "Catalogue", Section: "catalogue", Data: c.entriesOf(c.knownDestinations())})
}

type destinationView struct {
	*destination.Definition
	HasSandbox, CanTest bool
}

func (c *Console) handleDestination(w http.ResponseWriter, r *http.Request) {
	entry, ok := c.findDestination(r.PathValue("slug"))
	if !ok {
		c.renderError(w, r, http.StatusNotFound, "catalogue", "No such destination", "The catalogue lists the destinations that this program supports.")
		return
	}
	view := destinationView{entry.Definition, entry.Plugin.Sandbox != nil, entry.Plugin.Test != nil}
	c.renderPage(w, r, http.StatusOK, "destination", page{Title: entry.Definition.Name, Section: "catalogue", Data: view})
}

// Constraints describes a field's type and validation rules.
func (destinationView) Constraints(f fieldschema.Field) string { return fieldConstraints(f) }

// fieldConstraints describes a field's type and validation rules, such as "list of string, required".
func fieldConstraints(f fieldschema.Field) string {
	notes := []string{string(f.Type)}
	if f.Multiple {
		notes[0] = "list of " + notes[0]
	}
	switch {
	case f.Required.Always:
		notes = append(notes, "required")
	case len(f.Required.Conditions) > 0:
		notes = append(notes, "conditionally required")
	}
	if f.Format != "" {
		notes = append(notes, f.Format)
	}
	if f.Minimum.Kind() == event.Number {
		notes = append(notes, "at least "+f.Minimum.Text())
	}
	if f.Maximum.Kind() == event.Number {
		notes = append(notes, "at most "+f.Maximum.Text())
	}
	return strings.Join(notes, ", ")
}

// Chips returns a mapping as chips.
func (destinationView) Chips(v event.Value) []chip { return mappingChips(v) }
