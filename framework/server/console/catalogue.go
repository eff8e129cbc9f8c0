package console

import (
	"net/http"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
)

func (c *Console) catalogue(w http.ResponseWriter, r *http.Request) {
	c.show(w, r, http.StatusOK, "catalogue", page{Title: "Catalogue", Section: "catalogue", Data: c.entries()})
}

type destinationView struct {
	*destination.Definition
	Sandbox, Tests, Audiences bool
}

func (c *Console) destination(w http.ResponseWriter, r *http.Request) {
	entry, ok := c.find(r.PathValue("slug"))
	if !ok {
		c.fail(w, r, http.StatusNotFound, "catalogue", "No such destination", "The catalogue has those that this program knows.")
		return
	}
	view := destinationView{entry.Definition, entry.Plugin.Sandbox != nil, entry.Plugin.Test != nil, entry.Plugin.Audiences != nil}
	c.show(w, r, http.StatusOK, "destination", page{Title: entry.Definition.Name, Section: "catalogue", Data: view})
}

// FieldNotes say in words what a definition asks of a field.
func (destinationView) FieldNotes(f fieldschema.Field) string { return fieldNotes(f) }

func fieldNotes(f fieldschema.Field) string {
	notes := []string{string(f.Type)}
	if f.Multiple {
		notes[0] = "list of " + notes[0]
	}
	switch {
	case f.Required.Always:
		notes = append(notes, "required")
	case len(f.Required.Conditions) > 0:
		notes = append(notes, "required under conditions")
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

// Chips draw a mapping as directives.
func (destinationView) Chips(v event.Value) []chip { return chips(v) }
