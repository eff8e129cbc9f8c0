package console

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/server/history"
)

// maxChanges limits the changes that are read.
const maxChanges = 2000

// maxChangesShown limits the changes on a page.
const maxChangesShown = 200

// changesView is the page that lists what operators did.
type changesView struct {
	Kept  bool // there is a state that keeps changes
	Text  string
	Rows  []changeRow
	More  int
	Error string
}

// changeRow is a change with its details for people.
type changeRow struct {
	history.Action
	Details string
}

// handleChanges lists the changes by operators, newest first. A text selects those that contain it.
func (c *Console) handleChanges(w http.ResponseWriter, r *http.Request) {
	view := changesView{Kept: c.Actions != nil, Text: strings.TrimSpace(r.FormValue("text"))}
	if c.Actions != nil {
		list, err := c.Actions(r.Context(), maxChanges)
		if err != nil {
			view.Error = errorSentence(err)
		}
		for _, a := range list {
			row := changeRow{a, detailsOf(a)}
			if view.Text == "" || strings.Contains(strings.ToLower(strings.Join([]string{a.Name, a.By(), a.Outcome, row.Details}, " ")), strings.ToLower(view.Text)) {
				view.Rows = append(view.Rows, row)
			}
		}
	}
	if n := len(view.Rows); n > maxChangesShown {
		view.Rows, view.More = view.Rows[:maxChangesShown], n-maxChangesShown
	}
	c.renderPage(w, r, http.StatusOK, "changes", page{Title: "Changes", Section: "changes", Data: view})
}

// detailsOf returns the attributes of an action as a text.
func detailsOf(a history.Action) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(a.Attributes)) {
		if value := a.Attributes[key]; value != "" && value != "false" {
			parts = append(parts, fmt.Sprintf("%s: %s", strings.ReplaceAll(key, "_", " "), value))
		}
	}
	return strings.Join(parts, ", ")
}
