package docs

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"path"
	"strings"

	"github.com/landfall-dev/landfall/framework/server/console"
)

//go:embed templates/page.html
var layout string

//go:embed assets/docs.css
var assets embed.FS

// Home is the page at /.
const Home = "README.md"

// policy allows only what this site serves.
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// view is the data of the template.
type view struct {
	Title, Query string
	Page         *Page // nil for a search
	Body         template.HTML
	Results      []Result
	Groups       []group
	Missing      string // a path without a page
}

// Contents returns the headings of the page.
func (v view) Contents() (list []section) {
	for _, s := range v.Page.sections[1:] {
		if s.Level == 2 {
			list = append(list, s)
		}
	}
	return list
}

// Handler serves the pages at their paths below /, and the search at /search?q=.
func (s *Site) Handler() http.Handler {
	page := template.Must(template.New("page").Parse(layout))
	mux := http.NewServeMux()
	mux.Handle("GET "+console.Path+"assets/", console.AssetHandler())
	mux.Handle("GET /assets/docs.css", http.FileServerFS(assets))
	show := func(w http.ResponseWriter, status int, v view) {
		v.Groups = s.groups()
		var b bytes.Buffer
		if err := page.Execute(&b, v); err != nil {
			http.Error(w, "This page cannot be shown: "+err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(status)
		_, _ = b.WriteTo(w) // the client may have disconnected
	}
	mux.HandleFunc("GET /search", func(w http.ResponseWriter, r *http.Request) {
		query := r.FormValue("q")
		show(w, http.StatusOK, view{Title: "Search", Query: query, Results: s.Search(query)})
	})
	mux.HandleFunc("GET /{path...}", func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("path")
		switch p := s.Find(name); {
		case p != nil && name != p.Path && name != "":
			http.Redirect(w, r, "/"+p.Path, http.StatusMovedPermanently)
		case p != nil:
			show(w, http.StatusOK, view{Title: p.Title, Page: p, Body: template.HTML(p.html)})
		case path.Ext(name) == ".png":
			http.ServeFileFS(w, r, s.files, name)
		default:
			show(w, http.StatusNotFound, view{Title: "There is no such page", Missing: name})
		}
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		mux.ServeHTTP(w, r)
	})
}

// group is a part of the navigation.
type group struct {
	Name  string
	Pages []*Page
}

// groupNames are the parts of the navigation by the beginnings of paths; the first that matches counts.
var groupNames = []struct{ prefix, name string }{
	{"cmd/", "Run it"}, {"destinations/", "Destinations"}, {"framework/language/", "Languages"}, {"framework/", "How it works"}, {"", "The project"},
}

// groups returns the navigation, with the project's own pages first.
func (s *Site) groups() []group {
	groups := make([]group, len(groupNames))
	for i, g := range groupNames {
		groups[i].Name = g.name
	}
	for _, p := range s.Pages {
		for i, g := range groupNames {
			if strings.HasPrefix(p.Path, g.prefix) {
				groups[i].Pages = append(groups[i].Pages, p)
				break
			}
		}
	}
	return groups
}
