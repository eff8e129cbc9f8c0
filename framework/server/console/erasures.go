package console

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/server/access"
	"github.com/landfall-dev/landfall/framework/server/erasure"
)

// maxErasuresShown limits the erasures on a page.
const maxErasuresShown = 200

// erasuresView is the page that lists erasures and takes requests.
type erasuresView struct {
	Kept    bool // there is a state that keeps them
	User    string
	Summary string
	Rows    []erasure.Receipt
	More    bool // there are others
	Done    int  // how many were just requested
	Error   string
	Asked   *erasureOrder // what is to be confirmed
}

// erasureOrder is what the form asks for.
type erasureOrder struct {
	Text     string // one user per line, further identifiers after commas
	Suppress bool
	Users    []erasure.User
}

// readErasureOrder reads the form.
func readErasureOrder(r *http.Request) erasureOrder {
	o := erasureOrder{Text: strings.TrimSpace(r.PostFormValue("users")), Suppress: r.PostFormValue("suppress") != ""}
	for line := range strings.Lines(o.Text) {
		if line = strings.TrimSpace(line); line != "" {
			o.Users = append(o.Users, erasure.User{Identifiers: strings.Split(line, ",")})
		}
	}
	return o
}

// handleErasures lists the erasures. An identifier selects those of its user.
func (c *Console) handleErasures(w http.ResponseWriter, r *http.Request) {
	view := erasuresView{User: strings.TrimSpace(r.FormValue("user"))}
	_, _ = fmt.Sscan(r.FormValue("done"), &view.Done) // otherwise nothing was requested
	c.renderErasures(w, r, http.StatusOK, view)
}

func (c *Console) renderErasures(w http.ResponseWriter, r *http.Request, status int, view erasuresView) {
	if view.Kept = c.Erasures != nil; view.Kept {
		var err error
		if view.User != "" {
			view.Rows, err = c.Erasures.List(r.Context(), view.User)
		} else {
			view.Rows, err = c.Erasures.Latest(r.Context(), maxErasuresShown+1)
		}
		if err != nil && view.Error == "" {
			view.Error = errorSentence(err)
		}
		if view.More = len(view.Rows) > maxErasuresShown; view.More {
			view.Rows = view.Rows[:maxErasuresShown]
		}
		view.Summary = erasure.Summary(view.Rows)
	}
	c.renderPage(w, r, status, "erasures", page{Title: "Erasures", Section: "erasures", Data: view})
}

// hasErasures reports whether the console can erase users. Otherwise it responds with an error.
func (c *Console) hasErasures(w http.ResponseWriter, r *http.Request) bool {
	if c.Erasures == nil {
		c.renderError(w, r, http.StatusNotFound, "erasures", "This console erases no users", "Run landfall serve, which does.")
	}
	return c.Erasures != nil
}

// handleErasureRequest asks for a confirmation, and then requests erasures.
func (c *Console) handleErasureRequest(w http.ResponseWriter, r *http.Request) {
	if !c.hasErasures(w, r) {
		return
	}
	order := readErasureOrder(r)
	if r.PostFormValue("do") != "erase" || len(order.Users) == 0 {
		view := erasuresView{Asked: &order}
		if len(order.Users) == 0 {
			view.Asked, view.Error = nil, "Name at least one user."
		}
		c.renderErasures(w, r, http.StatusOK, view)
		return
	}
	_, err := c.Erasures.Request(r.Context(), erasure.Order{Users: order.Users, Suppress: order.Suppress, By: access.ActorOf(r.Context()).Who})
	c.Guard.Record(r.Context(), "users.erase", err, "count", len(order.Users), "suppress", order.Suppress)
	if err != nil {
		c.renderErasures(w, r, http.StatusConflict, erasuresView{Error: errorSentence(err)})
		return
	}
	http.Redirect(w, r, fmt.Sprintf("%serasures?done=%d", Path, len(order.Users)), http.StatusSeeOther)
}

// receiptView is the page of one erasure.
type receiptView struct {
	erasure.Receipt
	Rows []stepRow
}

// stepRow is a step with its counts for people.
type stepRow struct {
	erasure.Step
	What string
}

// handleErasure shows the receipt of an erasure.
func (c *Console) handleErasure(w http.ResponseWriter, r *http.Request) {
	if !c.hasErasures(w, r) {
		return
	}
	receipt, err := c.Erasures.Find(r.Context(), pathID(r, "id"))
	if err != nil {
		c.renderError(w, r, lookupStatus(err, erasure.ErrUnknown), "erasures", "No such erasure", errorSentence(err))
		return
	}
	view := receiptView{Receipt: receipt}
	for _, s := range receipt.Steps {
		var counts []string
		for _, name := range slices.Sorted(maps.Keys(s.Counts)) {
			counts = append(counts, fmt.Sprintf("%s %s", formatCount(s.Counts[name]), name))
		}
		view.Rows = append(view.Rows, stepRow{s, strings.Join(counts, ", ")})
	}
	c.renderPage(w, r, http.StatusOK, "erasure", page{Title: "Erasure " + receipt.ID, Section: "erasures", Data: view})
}

// Title says how many users are to be erased.
func (o *erasureOrder) Title() string { return fault.Count(len(o.Users), "user") }
