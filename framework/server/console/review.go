package console

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/diff"

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
	form url.Values // nil if the text does not come from a form
	text []byte
	refs event.Value       // the config whose references to files and secrets the text may have
	how  string            // how the text was made, for people
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
	Stale      string    // the id of an instance that was changed or removed in the file since its form was opened
	Reverts    string    // the time of the config that the text goes back to; "" if it comes from a form
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
	refs := f.withID(form.Original, form.ID)
	view := c.newReview(f, root, text, refs)
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
	if form.Base != "" && form.Base != instanceHash(form.raw) {
		view.Stale = form.Original
	}
	view.Left = c.leftBehind(r.Context(), form.Original, root)
	view.Draft = c.drafts.storeDraft(draft{form: withoutAction(q), text: text, refs: refs, how: "the console's form", base: sha256.Sum256(f.text), made: time.Now()})
	c.renderPage(w, r, http.StatusOK, "review", page{Title: "Review", Section: "setup", Data: view})
}

// newReview returns the review of a text with the value root that is to replace the file.
func (c *Console) newReview(f configFile, root event.Value, text []byte, refs event.Value) reviewView {
	view := reviewView{File: c.File, Problems: c.checkConfig(text, refs), Unchanged: bytes.Equal(text, f.text)}
	secrets := append(config.LiteralSecrets(f.root), config.LiteralSecrets(root)...)
	view.Text, view.HasSecrets = config.RedactSecrets(string(text), secrets), len(secrets) > 0
	view.Diff = diffLines(filepath.Base(c.File), config.RedactSecrets(string(f.text), secrets), view.Text)
	return view
}

// checkConfig returns every problem of a config, as if it were the file. It may have the references to files and secrets that refs has.
func (c *Console) checkConfig(text []byte, refs event.Value) fault.Problems {
	cfg, problems := config.ParseAt(c.File, text, config.Env{Lookup: c.Lookup, Commands: c.Commands, Base: refs})
	_, err := c.BuildPlans(cfg, problems, Real, nil) // building plans sends nothing
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
	now, err := textfile.ReadFile(c.File)
	if err != nil && !os.IsNotExist(err) {
		c.renderError(w, r, http.StatusConflict, "setup", "Nothing was written", err.Error())
		return
	}
	if sha256.Sum256(now) != d.base {
		c.renderError(w, r, http.StatusConflict, "setup", "Nothing was written", "The file has changed since you reviewed it. Review the changes again.")
		return
	}
	if problems := c.checkConfig(d.text, d.refs); len(problems) > 0 {
		c.renderError(w, r, http.StatusUnprocessableEntity, "setup", "Nothing was written", problems.Error())
		return
	}
	if err := c.writeConfig(r.Context(), d.text, d.how); err != nil {
		c.renderError(w, r, http.StatusInternalServerError, "setup", "Nothing was written", err.Error())
		return
	}
	c.drafts.deleteDraft(id)
	http.Redirect(w, r, Path+"setup?done=written", http.StatusSeeOther)
}

// writeConfig writes the config file, records who did it and how, and waits until the server uses it.
func (c *Console) writeConfig(ctx context.Context, text []byte, how string) error {
	if err := c.requireWritable(); err != nil {
		return err
	}
	if c.ConfigWritten != nil { // before the server can notice the change
		c.ConfigWritten(ctx, text, how)
	}
	err := textfile.Update(c.File, text, 0o600)
	c.Guard.Record(ctx, "config.write", err, "file", c.File)
	if err == nil && c.WaitForConfig != nil {
		c.WaitForConfig(ctx)
	}
	return c.explainWriteError(err)
}

// requireWritable returns an error if the config file was made read-only. Replacing it would not need the permission.
func (c *Console) requireWritable() error {
	if info, err := os.Stat(c.File); err == nil && info.Mode().Perm()&0o222 == 0 {
		return fmt.Errorf("%s is read-only: allow its owner to write it with chmod u+w, or change it where it comes from", c.File)
	}
	return nil
}

// explainWriteError adds to an error of writing the config what to do about it.
func (c *Console) explainWriteError(err error) error {
	dir := filepath.Dir(c.File)
	if resolved, failed := filepath.EvalSymlinks(c.File); failed == nil {
		dir = filepath.Dir(resolved)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EBUSY):
		return fmt.Errorf("%s cannot be replaced, since it is mounted as a single file: mount its directory %s instead, or change the file outside", c.File, dir)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%s cannot be replaced: %s: let the user of the server write to the directory %s, or change the file yourself", c.File, fault.FileReason(err), dir)
	}
	return fmt.Errorf("%s cannot be written: %s", c.File, fault.FileReason(err))
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
