package console

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/fql"
)

//go:embed templates/*.html
var templates embed.FS

//go:embed assets
var assetFiles embed.FS

// page is the data of the layout template.
type page struct {
	Title    string
	Section  string // the active navigation entry
	Data     any    // passed to the content template
	SignedIn bool   // the request belongs to a session that can sign out
}

// Sections returns the navigation entries.
func (page) Sections() []struct{ Key, Name string } {
	return []struct{ Key, Name string }{
		{"deliveries", "Deliveries"}, {"history", "History"}, {"live", "Live events"}, {"events", "Events"}, {"why", "Why not?"}, {"letters", "Dead letters"}, {"audiences", "Audiences"}, {"syncs", "Audience syncs"},
		{"test", "Tester"}, {"setup", "Setup"}, {"changes", "Changes"}, {"erasures", "Erasures"}, {"catalogue", "Catalogue"},
	}
}

// pageTemplates holds the templates of the pages by name. A page is parsed when it is shown for the first time: all of them together are most
// of the objects in a server's memory, which each garbage collection would examine.
type pageTemplates map[string]func() (*template.Template, error)

// listPages returns the pages. Each includes layout.html, parts.html and inputs.html, which are parsed once.
func listPages() (pageTemplates, error) {
	files, err := fs.Glob(templates, "templates/*.html")
	if err != nil {
		return nil, err
	}
	shared := sync.OnceValues(func() (*template.Template, error) {
		return template.New("").Funcs(templateFuncs()).ParseFS(templates, "templates/layout.html", "templates/parts.html", "templates/inputs.html")
	})
	pages := pageTemplates{}
	for _, file := range files {
		pages[strings.TrimSuffix(path.Base(file), ".html")] = sync.OnceValues(func() (*template.Template, error) {
			t, err := shared()
			if err == nil {
				t, err = t.Clone()
			}
			if err != nil {
				return nil, err
			}
			return t.ParseFS(templates, file)
		})
	}
	return pages, nil
}

// execute writes a part of a page.
func (p pageTemplates) execute(w io.Writer, name, part string, data any) error {
	t, err := p[name]()
	if err != nil {
		return err
	}
	return t.ExecuteTemplate(w, part, data)
}

// segmentOf returns an id as a segment of a path. Browsers take the segments . and .. for directories, also if they are escaped, so these ids
// follow a tilde.
func segmentOf(id string) string {
	if isDots(strings.TrimLeft(id, "~")) {
		id = "~" + id
	}
	return url.PathEscape(id)
}

// pathID returns the id in a segment of the request's path, which segmentOf has made.
func pathID(r *http.Request, name string) string {
	id := r.PathValue(name)
	if rest, ok := strings.CutPrefix(id, "~"); ok && isDots(strings.TrimLeft(rest, "~")) {
		return rest
	}
	return id
}

func isDots(text string) bool { return text == "." || text == ".." }

func templateFuncs() template.FuncMap {
	return template.FuncMap{
		"path":     func() string { return Path },
		"segment":  segmentOf,
		"count":    formatCount,
		"since":    formatSince,
		"when":     formatWhen,
		"pretty":   indentJSON,
		"clip":     truncateText,
		"dict":     makeDict,
		"join":     strings.Join,
		"title":    capitalize,
		"tone":     badgeTone,
		"answer":   answerTone,
		"entry":    entryTone,
		"text":     func(v event.Value) string { return v.Text() },
		"duration": fault.Duration,
		"user":     delivery.UserOf,
		"id":       elementID,
		"keys":     func(key string) string { return strings.TrimSuffix(key, ",") },
		"modes":    func() []mode { return modes },
		"compares": fql.RowOperators,
		"next":     func(i int) int { return i + 1 },
	}
}

// renderPage responds with a complete page.
func (c *Console) renderPage(w http.ResponseWriter, r *http.Request, status int, name string, p page) {
	_, p.SignedIn = c.sessions.findSession(r, c.Guard.Key())
	c.renderTemplate(w, status, name, "layout", p)
}

// renderLive responds with a complete page, or with its part "live" if the refresh script asks for that.
func (c *Console) renderLive(w http.ResponseWriter, r *http.Request, status int, name string, p page) {
	if r.FormValue("part") != "" {
		c.renderPart(w, name, "live", p.Data)
		return
	}
	c.renderPage(w, r, status, name, p)
}

// renderPart responds with one part of a page, for the refresh script.
func (c *Console) renderPart(w http.ResponseWriter, name, part string, data any) {
	c.renderTemplate(w, http.StatusOK, name, part, data)
}

func (c *Console) renderTemplate(w http.ResponseWriter, status int, name, part string, data any) {
	var b bytes.Buffer
	if err := c.pages.execute(&b, name, part, data); err != nil {
		c.Log.Error("cannot render console page", "page", name, "error", err)
		http.Error(w, "This page cannot be shown. See the server log for the reason.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // the client may have disconnected
}

// notice is the content of a page that shows only a message.
type notice struct {
	Heading, Text string
	Back          string // link target below Path
	BackText      string
}

// renderError responds with a message page.
func (c *Console) renderError(w http.ResponseWriter, r *http.Request, status int, section, heading, text string) {
	c.renderPage(w, r, status, "notice", page{Title: heading, Section: section, Data: notice{heading, text, section, "Back"}})
}

// lookupStatus returns the status of a page of something that cannot be read, or that does not exist if err is missing.
func lookupStatus(err, missing error) int {
	if errors.Is(err, missing) {
		return http.StatusNotFound
	}
	return http.StatusInternalServerError
}

// AssetHandler serves the style sheet, the scripts and the icon of the console below Path; other pages in its look use them.
func AssetHandler() http.Handler {
	files, err := fs.Sub(assetFiles, "assets")
	if err != nil {
		panic(err) // cannot happen: the files are embedded
	}
	return http.StripPrefix(Path+"assets/", http.FileServerFS(files))
}

// formatCount formats a number with narrow spaces between thousands.
func formatCount(n any) string {
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

// formatAgo formats the time since t, such as "3 min ago".
func formatAgo(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	if d := time.Since(t); d >= time.Second {
		return fault.Duration(d) + " ago"
	}
	return "just now"
}

// formatWhen returns a time as HTML: the local time, with zone and milliseconds when the pointer is on it.
func formatWhen(t time.Time) template.HTML {
	if t.IsZero() {
		return "—"
	}
	return timeElement(t, t.Local().Format(time.DateTime))
}

// formatSince returns the time since t as HTML, with the time when the pointer is on it.
func formatSince(t time.Time) template.HTML {
	if t.IsZero() {
		return template.HTML(formatAgo(t))
	}
	return timeElement(t, formatAgo(t))
}

// timeElement returns an element that shows a time as text. Its title has the zone and milliseconds.
func timeElement(t time.Time, text string) template.HTML {
	return template.HTML(fmt.Sprintf(`<time datetime="%s" title="%s">%s</time>`, t.UTC().Format("2006-01-02T15:04:05.000Z07:00"),
		template.HTMLEscapeString(t.Local().Format("2006-01-02 15:04:05.000 MST (-07:00)")), template.HTMLEscapeString(text)))
}

// indentJSON formats JSON over several lines and returns other text unchanged.
func indentJSON(v any) string {
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

// truncateText shortens text or JSON to fit on a line.
func truncateText(v any) string {
	const maxShown = 120
	text := ""
	switch v := v.(type) {
	case string:
		text = v
	case json.RawMessage:
		text = string(v)
	case event.Value:
		text = v.Text()
	}
	return fault.Shorten(text, maxShown)
}

// makeDict returns a map from alternating names and values, to pass several arguments to a template.
func makeDict(pairs ...any) map[string]any {
	m := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		m[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	return m
}

func capitalize(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// parametersOf returns URL parameters with the values that are not empty.
func parametersOf(values map[string]string) url.Values {
	q := url.Values{}
	for name, value := range values {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

// errorSentence returns the text of an error as a sentence.
func errorSentence(err error) string { return capitalize(err.Error()) + "." }

// badgeTone returns the CSS class of a status: good, warning, bad or quiet.
func badgeTone(outcome string) string {
	switch outcome {
	case "delivered", "would be delivered", "member", "delivering", "good", "ok", "running", "done":
		return "good"
	case "retry", "parked", "waiting", "uncertain", "interrupted", "pending":
		return "warning"
	case "refused", "dead", "dropped", "stopped", "invalid", "failed", "failing":
		return "bad"
	}
	return "quiet"
}
