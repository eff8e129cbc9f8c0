package console

import (
	"crypto/sha256"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"github.com/landfall-dev/landfall/framework/language/yamldoc"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/server/history"
)

// configChangesView is the page that lists the configs that servers have used.
type configChangesView struct {
	Kept  bool // there is a state that keeps them
	Rows  []configChangeRow
	More  int // older ones that are not listed
	Error string
}

// configChangeRow is a config with what changed it.
type configChangeRow struct {
	history.ConfigChange
	Current bool // the newest one
	First   bool // the oldest one that is kept
}

// Size says how many lines were changed.
func (r configChangeRow) Size() string {
	switch {
	case r.First:
		return "first that is kept"
	case r.Text == "":
		return "too long to keep"
	case r.Added+r.Removed == 0:
		return "none: a secret, a file or a destination changed"
	}
	return "+" + strconv.Itoa(r.Added) + " −" + strconv.Itoa(r.Removed)
}

// configRows returns the changes of the config that are kept, newest first.
func (c *Console) configRows(r *http.Request) ([]configChangeRow, error) {
	list, err := c.Configs(r.Context())
	rows := make([]configChangeRow, len(list))
	for i, change := range list {
		rows[i] = configChangeRow{change, i == 0, i == len(list)-1}
	}
	return rows, err
}

// handleConfigChanges lists the configs that servers have used.
func (c *Console) handleConfigChanges(w http.ResponseWriter, r *http.Request) {
	view := configChangesView{Kept: c.Configs != nil}
	if c.Configs != nil {
		rows, err := c.configRows(r)
		if err != nil {
			view.Error = errorSentence(err)
		}
		view.Rows = rows
	}
	if n := len(view.Rows); n > maxChangesShown {
		view.Rows, view.More = view.Rows[:maxChangesShown], n-maxChangesShown
	}
	c.renderPage(w, r, http.StatusOK, "config-changes", page{Title: "Changes of the config", Section: "changes", Data: view})
}

// configChangeView is the page of one config.
type configChangeView struct {
	configChangeRow
	Diff    []diffLine
	Missing []string // why it cannot be used again: secrets that the present config does not have
	Error   string
}

// findConfigChange returns the config in the path of a request, and the text of the one before it. If there is none, it responds and
// returns false.
func (c *Console) findConfigChange(w http.ResponseWriter, r *http.Request) (change configChangeRow, before string, ok bool) {
	if c.Configs != nil {
		rows, err := c.configRows(r)
		if err != nil {
			c.renderError(w, r, http.StatusInternalServerError, "changes", "Cannot read the changes", errorSentence(err))
			return change, "", false
		}
		for i, row := range rows {
			if strconv.FormatInt(row.ID, 10) != r.PathValue("id") {
				continue
			}
			if i+1 < len(rows) {
				before = rows[i+1].Text
			}
			return row, before, true
		}
	}
	c.renderError(w, r, http.StatusNotFound, "changes", "No such config", "It may be older than a year, or there were many changes since.")
	return change, "", false
}

// handleConfigChange shows what changed with a config.
func (c *Console) handleConfigChange(w http.ResponseWriter, r *http.Request) {
	change, before, ok := c.findConfigChange(w, r)
	if !ok {
		return
	}
	c.renderConfigChange(w, r, http.StatusOK, configChangeView{configChangeRow: change}, before)
}

func (c *Console) renderConfigChange(w http.ResponseWriter, r *http.Request, status int, view configChangeView, before string) {
	if !view.First {
		view.Diff = diffLines(filepath.Base(c.File), before, view.Text)
	}
	c.renderPage(w, r, status, "config-change", page{Title: "Config of " + view.At.Local().Format(time.DateTime), Section: "changes", Data: view})
}

// handleRevert shows what it would change to use an earlier config again, and its problems. Writing it is a change like any other.
func (c *Console) handleRevert(w http.ResponseWriter, r *http.Request) {
	change, before, ok := c.findConfigChange(w, r)
	if !ok {
		return
	}
	view := configChangeView{configChangeRow: change}
	f, err := c.readConfigFile()
	if err != nil {
		c.renderEditError(w, r, err)
		return
	}
	text, missing, err := config.RestoreSecrets(c.File, []byte(change.Text), f.root)
	switch {
	case change.Text == "":
		view.Error = "This config was too long to keep, so that it cannot be used again."
	case err != nil:
		view.Error = errorSentence(err)
	case len(missing) > 0:
		view.Missing = missing
	default:
		c.reviewRevert(w, r, f, text, change)
		return
	}
	c.renderConfigChange(w, r, http.StatusConflict, view, before)
}

// reviewRevert shows the review of an earlier config. Of files and commands, it may refer only to those of the present file: what the state
// says must not make the server read files and run programs.
func (c *Console) reviewRevert(w http.ResponseWriter, r *http.Request, f configFile, text []byte, change configChangeRow) {
	doc, err := yamldoc.Parse(c.File, text)
	if err != nil {
		c.renderEditError(w, r, err)
		return
	}
	root := doc.Value()
	view := c.newReview(f, root, text, f.root)
	view.Reverts = change.At.Local().Format(time.DateTime)
	for _, in := range f.root.Get("destinations").Items() {
		if left := c.leftBehind(r.Context(), in.Get("id").Str(), root); left != nil && view.Left == nil {
			view.Left = left
		}
	}
	how := "revert to the config of " + view.Reverts + " in the console"
	view.Draft = c.drafts.storeDraft(draft{text: text, refs: f.root, how: how, base: sha256.Sum256(f.text), made: time.Now()})
	c.renderPage(w, r, http.StatusOK, "review", page{Title: "Review", Section: "changes", Data: view})
}
