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
)

// Bounds of drafts, which hold what may not go through a browser: a file's secrets.
const (
	maxDrafts = 32
	draftTime = time.Hour
)

// draft is a config that was shown and may be written.
type draft struct {
	form url.Values
	text []byte
	base [sha256.Size]byte // of the file that it was made of
	made time.Time
}

type drafts struct {
	mu   sync.Mutex
	kept map[string]draft
}

func (d *drafts) put(v draft) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.kept == nil {
		d.kept = map[string]draft{}
	}
	oldest := ""
	for id, known := range d.kept {
		if time.Since(known.made) > draftTime {
			delete(d.kept, id)
		} else if oldest == "" || known.made.Before(d.kept[oldest].made) {
			oldest = id
		}
	}
	if len(d.kept) >= maxDrafts {
		delete(d.kept, oldest)
	}
	id := rand.Text()
	d.kept[id] = v
	return id
}

func (d *drafts) get(id string) (draft, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v, ok := d.kept[id]
	return v, ok && time.Since(v.made) <= draftTime
}

func (d *drafts) drop(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.kept, id)
}

// reviewView is a config before it is written.
type reviewView struct {
	File     string
	Draft    string
	Problems fault.Problems
	Form     []string // what is wrong in the form itself
	Diff     []diffLine
	Text     string // without the secrets that the file holds itself
	Hides    bool   // there are such
	Same     bool
}

type diffLine struct{ Class, Text string }

// review shows what the file would become, checked as the file is, and offers to write it.
func (c *Console) review(w http.ResponseWriter, r *http.Request, q url.Values, form *setupForm, f file, root event.Value) {
	text, err := yamldoc.Edit(c.File, f.text, root)
	if err != nil {
		c.cannotEdit(w, r, err)
		return
	}
	view := reviewView{File: c.File, Problems: c.check(text), Same: bytes.Equal(text, f.text)}
	for _, s := range append(form.Auth, form.Settings...) {
		for _, e := range s.Errors {
			view.Form = append(view.Form, s.Field.Label+": "+e.Message)
		}
	}
	for _, s := range form.Subs {
		for _, e := range s.Errors["json"] {
			view.Form = append(view.Form, s.Name+": "+e.Message)
		}
		for _, in := range s.all() {
			for _, e := range in.Errors {
				view.Form = append(view.Form, s.Name+", "+in.Field.Label+": "+e.Message)
			}
		}
	}
	secrets := append(literals(f.root), literals(root)...)
	view.Text, view.Hides = redacted(string(text), secrets), len(secrets) > 0
	view.Diff = diffOf(filepath.Base(c.File), redacted(string(f.text), secrets), view.Text)
	saved := url.Values{}
	for name, values := range q {
		if !strings.HasPrefix(name, "try.") && name != "do" {
			saved[name] = values
		}
	}
	view.Draft = c.drafts.put(draft{saved, text, sha256.Sum256(f.text), time.Now()})
	c.show(w, r, http.StatusOK, "review", page{Title: "Review", Section: "setup", Data: view})
}

// check finds every mistake of a config as if it were the file.
func (c *Console) check(text []byte) fault.Problems {
	cfg, problems := config.ParseAt(c.File, text, config.Env{Lookup: c.Lookup})
	_, err := c.Make(cfg, problems, Real, nil) // nothing is sent by making plans
	return fault.ProblemsOf(err)
}

// write writes a draft to the file, unless that has changed since.
func (c *Console) write(w http.ResponseWriter, r *http.Request) {
	id := r.PostFormValue("draft")
	d, ok := c.drafts.get(id)
	if !ok {
		c.fail(w, r, http.StatusNotFound, "setup", "Nothing was written", "What was shown is no longer kept: review it again.")
		return
	}
	now, err := os.ReadFile(c.File)
	if err != nil && !os.IsNotExist(err) {
		c.fail(w, r, http.StatusConflict, "setup", "Nothing was written", err.Error())
		return
	}
	if sha256.Sum256(now) != d.base {
		c.fail(w, r, http.StatusConflict, "setup", "Nothing was written", "The file has changed since: review what it would become now.")
		return
	}
	if problems := c.check(d.text); len(problems) > 0 {
		c.fail(w, r, http.StatusUnprocessableEntity, "setup", "Nothing was written", problems.Error())
		return
	}
	err = replaceFile(c.File, d.text)
	c.Guard.Record(r.Context(), "config.write", err, "file", c.File)
	if err != nil {
		c.fail(w, r, http.StatusInternalServerError, "setup", "Nothing was written", err.Error())
		return
	}
	c.drafts.drop(id)
	http.Redirect(w, r, Path+"setup?done=written", http.StatusSeeOther)
}

// replaceFile puts a text in the place of a file, whole or not at all. Where the file is a link, what it leads to is replaced.
func replaceFile(path string, text []byte) error {
	if at, err := filepath.EvalSymlinks(path); err == nil {
		path = at
	}
	mode := os.FileMode(0o600)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".landfall-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // it is gone where all went well
	_, err = f.Write(text)
	for _, step := range []func() error{func() error { return f.Chmod(mode) }, f.Sync} {
		if err == nil {
			err = step()
		}
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// literals are the secrets that a config holds itself, the longest first.
func literals(root event.Value) []string {
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

// isSecretKey reports whether the value of a key of a config is hidden: the key is one that secrets go by, or a key or an
// address of the config's own, such as state.url with its password. It is better to hide too much here.
func isSecretKey(key string) bool {
	return httpx.IsSecretName(key) || key == "url" || strings.Contains(strings.ToLower(key), "key")
}

func redacted(text string, secrets []string) string {
	for _, s := range secrets {
		text = strings.ReplaceAll(text, s, httpx.Hidden)
	}
	return text
}

// diffOf is what changes from one text to another, without the lines that name the files.
func diffOf(name, from, to string) []diffLine {
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
