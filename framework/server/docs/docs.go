// Package docs serves the documentation: the Markdown pages of the repository, with links between them and a search. Nothing is loaded
// from other hosts, and nothing is written.
package docs

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

// Page is a page of the documentation.
type Page struct {
	Path  string `json:"path"`  // in the repository, such as framework/README.md
	Title string `json:"title"` // its first heading
	Lead  string `json:"lead"`  // its first paragraph

	Source   []byte    `json:"-"` // Markdown
	html     []byte    // without its first heading
	sections []section // for the search and the list of contents
	links    []link    // for tests
}

// section is a heading and the text up to the next one.
type section struct {
	ID, Title string
	Level     int
	text      string
}

// link is a link of a page as it is written, and where it leads to.
type link struct{ written, to string }

// Site is the set of all pages. It is safe for concurrent use.
type Site struct {
	Pages []*Page // by path

	files      fs.FS
	repository string // the URL of a directory with the files that are no pages
	byPath     map[string]*Page
}

// New reads the pages of a file system. repository is the URL where other files of the repository are, for links to them.
func New(files fs.FS, repository string) (*Site, error) {
	s := &Site{files: files, repository: repository, byPath: map[string]*Page{}}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "testdata":
			return fs.SkipDir
		case path.Ext(name) == ".md":
			s.byPath[name] = &Page{Path: name}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for name, p := range s.byPath {
		if err := s.read(p); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		s.Pages = append(s.Pages, p)
	}
	slices.SortFunc(s.Pages, func(a, b *Page) int { return strings.Compare(a.Path, b.Path) })
	return s, nil
}

// Find returns the page at a path, or in a directory: framework and framework/README.md are the same. It returns nil if there is none.
func (s *Site) Find(name string) *Page {
	name = strings.Trim(name, "/")
	for _, candidate := range []string{name, name + ".md", path.Join(name, "README.md")} {
		if p := s.byPath[candidate]; p != nil {
			return p
		}
	}
	return nil
}

// FindTitled returns the page with a title, in any case of letters, or nil if there is none.
func (s *Site) FindTitled(title string) *Page {
	i := slices.IndexFunc(s.Pages, func(p *Page) bool { return strings.EqualFold(p.Title, title) })
	if i < 0 {
		return nil
	}
	return s.Pages[i]
}

// markdown is the dialect of the pages: that of GitHub, without HTML.
var markdown = goldmark.New(goldmark.WithExtensions(extension.Table, extension.Linkify), goldmark.WithParserOptions(parser.WithAutoHeadingID()))

// read parses a page.
func (s *Site) read(p *Page) error {
	var err error
	if p.Source, err = fs.ReadFile(s.files, p.Path); err != nil {
		return err
	}
	doc := markdown.Parser().Parse(text.NewReader(p.Source), parser.WithContext(parser.NewContext(parser.WithIDs(newHeadingIDs()))))
	if err := ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			s.rewrite(p, n)
		}
		return ast.WalkContinue, nil
	}); err != nil {
		return err
	}
	p.split(doc)
	if first := doc.FirstChild(); first != nil && first.Kind() == ast.KindHeading {
		doc.RemoveChild(doc, first)
	}
	var b bytes.Buffer
	err = markdown.Renderer().Render(&b, p.Source, doc)
	p.html = focusable.ReplaceAll(b.Bytes(), []byte(`<$1 tabindex="0">`))
	return err
}

// focusable matches what may scroll, and must be reachable with the keyboard then. Texts have no tags: they are escaped.
var focusable = regexp.MustCompile(`<(pre|table)>`)

// rewrite makes a link or a picture lead to where it is served.
func (s *Site) rewrite(p *Page, n ast.Node) {
	switch n := n.(type) {
	case *ast.Link:
		written := string(n.Destination)
		n.Destination = []byte(s.resolve(p, written))
		p.links = append(p.links, link{written, string(n.Destination)})
	case *ast.Image:
		n.Destination = []byte(s.resolve(p, string(n.Destination)))
	}
}

// resolve returns where a link of a page leads to: a page or a picture of the site, another file in the repository, or another host.
func (s *Site) resolve(p *Page, to string) string {
	if strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") || strings.HasPrefix(to, "#") {
		return to
	}
	name, fragment, _ := strings.Cut(to, "#")
	if fragment != "" {
		fragment = "#" + fragment
	}
	name = path.Join(path.Dir(p.Path), name)
	if found := s.Find(name); found != nil {
		return "/" + found.Path + fragment
	}
	if info, err := fs.Stat(s.files, name); err == nil && !info.IsDir() {
		return "/" + name
	}
	return s.repository + name
}

// split takes the title, the lead and the sections from the document.
func (p *Page) split(doc ast.Node) {
	p.sections = []section{{}}
	for n := doc.FirstChild(); n != nil; n = n.NextSibling() {
		current := &p.sections[len(p.sections)-1]
		content := plainText(n, p.Source)
		heading, ok := n.(*ast.Heading)
		switch {
		case ok && p.Title == "":
			p.Title, current.Title, current.Level = content, content, heading.Level
		case ok:
			id, _ := heading.AttributeString("id")
			name, _ := id.([]byte)
			p.sections = append(p.sections, section{ID: string(name), Title: content, Level: heading.Level})
		default:
			if p.Lead == "" && n.Kind() == ast.KindParagraph {
				p.Lead = content
			}
			current.text += content + "\n"
		}
	}
	if p.Title == "" {
		p.Title = p.Path
	}
}

// plainText returns the text of a node without marks.
func plainText(n ast.Node, source []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // the function never fails
		if !entering {
			if n.Type() == ast.TypeBlock || n.Kind() == ast.KindLink {
				b.WriteByte(' ')
			}
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Text:
			b.Write(n.Segment.Value(source))
			if n.SoftLineBreak() || n.HardLineBreak() {
				b.WriteByte(' ')
			}
		case *ast.String:
			b.Write(n.Value)
		case *ast.FencedCodeBlock, *ast.CodeBlock:
			lines := n.Lines()
			for i := range lines.Len() {
				line := lines.At(i)
				b.Write(line.Value(source))
			}
		}
		return ast.WalkContinue, nil
	})
	return strings.Join(strings.Fields(b.String()), " ")
}
