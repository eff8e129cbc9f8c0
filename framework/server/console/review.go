package console

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/internal/textfile"
)

// Limits of drafts. Drafts stay on the server because they contain the file's secrets.
const (
	maxDrafts     = 32
	draftLifetime = time.Hour
)

// draft is a config that the user has reviewed and can write.
type draft struct {
	form url.Values
	text []byte
	base [sha256.Size]byte // hash of the file that the draft is based on
	made time.Time
}

type drafts struct {
	mu   sync.Mutex
	byID map[string]draft
}

func (d *drafts) storeDraft(v draft) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.byID == nil {
		d.byID = map[string]draft{}
	}
	oldest := ""
	for id, known := range d.byID {
		if time.Since(known.made) > draftLifetime {
			delete(d.byID, id)
		} else if oldest == "" || known.made.Before(d.byID[oldest].made) {
			oldest = id
		}
	}
	if len(d.byID) >= maxDrafts {
		delete(d.byID, oldest)
	}
	id := rand.Text()
	d.byID[id] = v
	return id
}

func (d *drafts) findDraft(id string) (draft, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v, ok := d.byID[id]
	return v, ok && time.Since(v.made) <= draftLifetime
}

func (d *drafts) deleteDraft(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.byID, id)
}

// reviewView is the review page of a config.
type reviewView struct {
	File       string
	Draft      string
	Problems   fault.Problems
	FormErrors []string // errors in the form's inputs
	Diff       []diffLine
	Text       string // with literal secrets redacted
	HasSecrets bool   // Text has redacted secrets
	Unchanged  bool
	Left       *leftData // what a change or removal of the id leaves behind; nil if nothing
}

type diffLine struct{ Class, Text string }

// renderReview shows the changed config as a diff, with its problems, and offers to write it.
func (c *Console) renderReview(w http.ResponseWriter, r *http.Request, q url.Values, form *setupForm, f configFile, root event.Value) {
	text, err := yamldoc.Edit(c.File, f.text, root)
	if err != nil {
		c.renderEditError(w, r, err)
		return
	}
	view := reviewView{File: c.File, Problems: c.checkConfig(text, form.Original, form.ID), Unchanged: bytes.Equal(text, f.text)}
	for _, s := range append(form.Auth, form.Settings...) {
		for _, e := range s.Errors {
			view.FormErrors = append(view.FormErrors, s.Field.Label+": "+e.Message)
		}
	}
	for _, s := range form.Subscriptions {
		for _, e := range s.Errors["json"] {
			view.FormErrors = append(view.FormErrors, s.Name+": "+e.Message)
		}
		for _, in := range s.allFields() {
			for _, e := range in.Errors {
				view.FormErrors = append(view.FormErrors, s.Name+", "+in.Field.Label+": "+e.Message)
			}
		}
	}
	secrets := append(literalSecrets(f.root), literalSecrets(root)...)
	view.Text, view.HasSecrets = redactSecrets(string(text), secrets), len(secrets) > 0
	view.Diff = diffLines(filepath.Base(c.File), redactSecrets(string(f.text), secrets), view.Text)
	view.Left = c.leftBehind(r.Context(), form.Original, root)
	view.Draft = c.drafts.storeDraft(draft{withoutAction(q), text, sha256.Sum256(f.text), time.Now()})
	c.renderPage(w, r, http.StatusOK, "review", page{Title: "Review", Section: "setup", Data: view})
}

// checkConfig returns every problem of a config, as if it were the file. It has the instance original of the file under the given id.
func (c *Console) checkConfig(text []byte, original, id string) fault.Problems {
	f, err := c.readConfigFile()
	if err != nil {
		return fault.ProblemsOf(err)
	}
	cfg, problems := config.ParseAt(c.File, text, config.Env{Lookup: c.Lookup, Commands: c.Commands, Base: f.withID(original, id)})
	_, err = c.BuildPlans(cfg, problems, Real, nil) // building plans sends nothing
	return fault.ProblemsOf(err)
}

// handleWrite writes a draft to the file, unless the file has changed since the review.
func (c *Console) handleWrite(w http.ResponseWriter, r *http.Request) {
	c.saving.Lock()
	defer c.saving.Unlock()
	id := r.PostFormValue("draft")
	d, ok := c.drafts.findDraft(id)
	if !ok {
		c.renderError(w, r, http.StatusNotFound, "setup", "Nothing was written", "The review has expired. Review the changes again.")
		return
	}
	now, err := os.ReadFile(c.File)
	if err != nil && !os.IsNotExist(err) {
		c.renderError(w, r, http.StatusConflict, "setup", "Nothing was written", err.Error())
		return
	}
	if sha256.Sum256(now) != d.base {
		c.renderError(w, r, http.StatusConflict, "setup", "Nothing was written", "The file has changed since you reviewed it. Review the changes again.")
		return
	}
	if problems := c.checkConfig(d.text, d.form.Get("original"), strings.TrimSpace(d.form.Get("id"))); len(problems) > 0 {
		c.renderError(w, r, http.StatusUnprocessableEntity, "setup", "Nothing was written", problems.Error())
		return
	}
	err = textfile.Update(c.File, d.text, 0o600)
	c.Guard.Record(r.Context(), "config.write", err, "file", c.File)
	if err != nil {
		c.renderError(w, r, http.StatusInternalServerError, "setup", "Nothing was written", err.Error())
		return
	}
	c.drafts.deleteDraft(id)
	http.Redirect(w, r, Path+"setup?done=written", http.StatusSeeOther)
}

// literalSecrets returns the secrets that a config contains as plain text, longest first.
func literalSecrets(root event.Value) []string {
	var list []string
	var walk func(v event.Value, secret bool)
	walk = func(v event.Value, secret bool) {
		switch v.Kind() {
		case event.Object:
			for key, m := range v.Members() {
				walk(m, secret || isSecretKey(key))
			}
		case event.Array:
			for _, m := range v.Items() {
				walk(m, secret)
			}
		case event.String:
			if secret && v.Str() != "" && !reference.MatchString(v.Str()) {
				list = append(list, v.Str())
			}
		}
	}
	walk(event.NewArray([]event.Value{root.Get("sources"), root.Get("state"), root.Get("admin"), root.Get("nats")}), false)
	for _, in := range root.Get("destinations").Items() {
		walk(in.Get("settings"), false)
		walk(in.Get("auth"), false)
	}
	slices.SortFunc(list, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(list)
}

// isSecretKey reports whether values of the config key are redacted: names of secrets, and keys and URLs of the config itself,
// such as state.url, which can contain a password. It errs on the side of redacting too much.
func isSecretKey(key string) bool {
	return httpx.IsSecretName(key) || key == "url" || strings.Contains(strings.ToLower(key), "key")
}

func redactSecrets(text string, secrets []string) string {
	for _, s := range secrets {
		text = strings.ReplaceAll(text, s, httpx.Hidden)
	}
	return text
}

// diffLines returns the diff of two texts, without the header lines.
func diffLines(name, from, to string) []diffLine {
	var lines []diffLine
	for line := range strings.Lines(string(diff.Diff(name, []byte(from), name, []byte(to)))) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "diff "), strings.HasPrefix(line, "--- "), strings.HasPrefix(line, "+++ "):
		case strings.HasPrefix(line, "+"):
			lines = append(lines, diffLine{"added", line})
		case strings.HasPrefix(line, "-"):
			lines = append(lines, diffLine{"removed", line})
		case strings.HasPrefix(line, "@@"):
			lines = append(lines, diffLine{"place", line})
		default:
			lines = append(lines, diffLine{"kept", line})
		}
	}
	return lines
}
