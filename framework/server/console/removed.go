package console

import (
	"context"
	"net/http"
	"strings"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// leftData is what is stored under the id of an instance that is renamed, or that was removed from the config.
type leftData struct {
	ID   string
	To   string // its new id; "" if it was removed
	Text string // such as "3 waiting events, 2 dead letters and 10 members"
}

// leftDataOf returns what is stored for an instance; nil if nothing is.
func leftDataOf(s delivery.Status, letters int) *leftData {
	waiting := s.Waiting + s.Behind
	if s.Members == 0 && waiting == 0 && letters == 0 && !s.Removed {
		return nil
	}
	parts := []string{fault.Count(waiting, "waiting event"), fault.Count(letters, "dead letter")}
	return &leftData{ID: s.Instance, Text: strings.Join(parts, ", ") + " and " + fault.Count(s.Members, "member")}
}

// removedData returns what is stored for the instances that are no longer in the config.
func (c *Console) removedData() (list []leftData) {
	if c.RemovedInstances == nil || c.MoveInstance == nil {
		return nil
	}
	for _, s := range c.RemovedInstances() {
		if left := leftDataOf(s, int(s.Counts["dead"]+s.Counts["parked"])); left != nil {
			list = append(list, *left)
		}
	}
	return list
}

// leftBehind returns what stays stored under the id of an instance that the config root does not have any more; nil if nothing does.
func (c *Console) leftBehind(ctx context.Context, id string, root event.Value) *leftData {
	if _, at := (configFile{root: root}).findInstance(id); id == "" || c.Runner == nil || at < root.Get("destinations").Len() {
		return nil
	}
	s := delivery.Status{Instance: id}
	for _, known := range c.Runner.Status() {
		if known.Instance == id {
			s = known
		}
	}
	running, err := c.Running()
	for _, in := range running {
		if in.Plan.ID() == id && in.Ledger != nil {
			content, contentErr := in.Ledger.Content(ctx)
			s.Members, err = content.Members, contentErr
		}
	}
	if err != nil {
		c.Log.Warn("cannot count the members of an instance", "instance", id, "error", err)
	}
	return leftDataOf(s, c.currentDeadLetters(ctx, s))
}

// handleRemovedAction moves the data of a removed instance to another one, or deletes it after a confirmation.
func (c *Console) handleRemovedAction(w http.ResponseWriter, r *http.Request) {
	id, to := r.PostFormValue("id"), r.PostFormValue("to")
	var left *leftData
	for _, l := range c.removedData() {
		if l.ID == id {
			left = &l
		}
	}
	if left == nil {
		c.renderError(w, r, http.StatusNotFound, "setup", "Nothing was done", "No data is stored for a removed instance with this id. It may have been moved or deleted in the meantime.")
		return
	}
	var err error
	done := ""
	switch r.PostFormValue("do") {
	case "move":
		done, err = "moved", c.MoveInstance(r.Context(), id, to)
		c.Guard.Record(r.Context(), "instances.rename", err, "instance", id, "to", to)
	case "forget":
		done, err = "forgotten", c.ForgetInstance(r.Context(), id)
		c.Guard.Record(r.Context(), "instances.forget", err, "instance", id)
	case "ask":
		c.renderPage(w, r, http.StatusOK, "confirm-forget", page{Title: "Delete data?", Section: "setup", Data: left})
		return
	}
	if err != nil || done == "" {
		text := "The form contains no known action."
		if err != nil {
			text = errorSentence(err)
		}
		c.renderError(w, r, http.StatusConflict, "setup", "The data was not changed", text)
		return
	}
	http.Redirect(w, r, Path+"setup?done="+done, http.StatusSeeOther)
}
