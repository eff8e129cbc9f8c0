package console

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/event"
)

//go:embed templates/*.html
var templates embed.FS

//go:embed assets
var assetFiles embed.FS

// page is what every page is made of.
type page struct {
	Title   string
	Section string // of the navigation
	Data    any
	Signed  bool // somebody has signed in and may sign out
}

// Sections are the navigation.
func (page) Sections() []struct{ Key, Name string } {
	return []struct{ Key, Name string }{
		{"deliveries", "Deliveries"}, {"events", "Events"}, {"letters", "Dead letters"}, {"cohorts", "Cohorts"},
		{"test", "Tester"}, {"setup", "Set-up"}, {"catalogue", "Catalogue"},
	}
}

// parsePages reads the templates: parts.html and layout.html are a part of every page.
func parsePages() (map[string]*template.Template, error) {
	base, err := template.New("").Funcs(functions()).ParseFS(templates, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, err
	}
	files, err := fs.Glob(templates, "templates/*.html")
	if err != nil {
		return nil, err
	}
	pages := map[string]*template.Template{}
	for _, file := range files {
		t, err := base.Clone()
		if err == nil {
			t, err = t.ParseFS(templates, file)
		}
		if err != nil {
			return nil, err
		}
		pages[strings.TrimSuffix(path.Base(file), ".html")] = t
	}
	return pages, nil
}

func functions() template.FuncMap {
	return template.FuncMap{
		"path":   func() string { return Path },
		"count":  count,
		"ago":    ago,
		"stamp":  stamp,
		"clock":  func(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") },
		"pretty": pretty,
		"clip":   clip,
		"dict":   dict,
		"join":   strings.Join,
		"title":  capitalized,
		"tone":   tone,
		"text":   func(v event.Value) string { return v.Text() },
		"lag":    lag,
		"user":   delivery.UserOf,
		"id":     elementID,
		"keys":   func(key string) string { return strings.TrimSuffix(key, ",") },
		"modes":  func() []mode { return modes },
	}
}

// show answers with a page.
func (c *Console) show(w http.ResponseWriter, r *http.Request, status int, name string, p page) {
	_, p.Signed = c.sessions.find(r, c.Guard.Key())
	c.render(w, status, name, "layout", p)
}

// part answers with a part of a page, for the script.
func (c *Console) part(w http.ResponseWriter, name, part string, data any) {
	c.render(w, http.StatusOK, name, part, data)
}

func (c *Console) render(w http.ResponseWriter, status int, name, part string, data any) {
	var b bytes.Buffer
	if err := c.pages[name].ExecuteTemplate(&b, part, data); err != nil {
		c.Log.Error("the console's page "+name, "error", err)
		http.Error(w, "This page cannot be shown: the log says why.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // who has gone away needs no page
}

// notice is what a page says when there is nothing else to show.
type notice struct {
	Heading, Text string
	Back          string // a path below Path
	BackText      string
}

func (c *Console) fail(w http.ResponseWriter, r *http.Request, status int, section, heading, text string) {
	c.show(w, r, status, "notice", page{Title: heading, Section: section, Data: notice{heading, text, section, "Back"}})
}

func assets() http.Handler {
	files, err := fs.Sub(assetFiles, "assets")
	if err != nil {
		panic(err) // they are embedded
	}
	return http.StripPrefix(Path+"assets/", http.FileServerFS(files))
}

// count is a number with thin spaces between thousands.
func count(n any) string {
	text := fmt.Sprint(n)
	start := 0
	if strings.HasPrefix(text, "-") {
		start = 1
	}
	for i := len(text) - 3; i > start; i -= 3 {
		text = text[:i] + "\u202f" + text[i:]
	}
	return text
}

// ago is how long something is past, for people.
func ago(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	if d := time.Since(t); d >= time.Second {
		return lag(d) + " ago"
	}
	return "just now"
}

// lag is a time in its largest unit.
func lag(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", max(d.Milliseconds(), 0))
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// pretty is JSON over several lines; other text as it is.
func pretty(v any) string {
	var raw []byte
	switch v := v.(type) {
	case string:
		raw = []byte(v)
	case []byte:
		raw = v
	case json.RawMessage:
		raw = v
	case event.Value:
		if v.Kind() == event.Absent {
			return ""
		}
		raw = v.AppendJSON(nil)
	}
	var b bytes.Buffer
	if json.Indent(&b, raw, "", "  ") != nil {
		return string(raw)
	}
	return b.String()
}

// clip is a text, or JSON, that fits on a line.
func clip(v any) string {
	const most = 120
	text := ""
	switch v := v.(type) {
	case string:
		text = v
	case json.RawMessage:
		text = string(v)
	case event.Value:
		text = v.Text()
	}
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// dict is a map of names and values in turn, for a template of several arguments.
func dict(pairs ...any) map[string]any {
	m := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		m[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	return m
}

func capitalized(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// tone is how an outcome looks: good, quiet, careful or bad.
func tone(outcome string) string {
	switch outcome {
	case "delivered", "would be delivered", "member", "delivering", "good":
		return "good"
	case "retry", "parked", "waiting", "doubt":
		return "careful"
	case "refused", "dead", "dropped", "stopped", "wrong":
		return "bad"
	}
	return "quiet"
}
