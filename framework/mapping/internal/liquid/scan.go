package liquid

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
)

// disabledTags are those that Segment refuses, and those that only mean something inside of them.
var disabledTags = []string{"case", "for", "include", "layout", "render", "tablerow", "break", "continue", "when"}

// disabledFilters are those that Segment refuses.
var disabledFilters = []string{
	"array_to_sentence_string", "concat", "find", "find_exp", "find_index", "find_index_exp", "group_by", "group_by_exp", "has",
	"has_exp", "map", "newline_to_br", "reject", "reject_exp", "reverse", "sort", "sort_natural", "uniq", "where_exp", "type",
}

// scanned is a template looked over before it is parsed.
type scanned struct {
	text    string
	names   []string // identifiers in tags and outputs
	unknown []string // filters that do not exist
	blanks  []blank
}

var (
	part       = regexp.MustCompile(`(?s)\{\{-?(.*?)-?\}\}|\{%-?\s*(.*?)\s*-?%\}`)
	quoted     = regexp.MustCompile(`'[^']*'|"[^"]*"`)
	filterName = regexp.MustCompile(`\|\s*([A-Za-z_][A-Za-z0-9_]*)`)
	identifier = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_-]*`)
	comparison = regexp.MustCompile(`([A-Za-z_][\w.\[\]'"-]*)\s*(==|!=)\s*(?:blank|empty)\b`)
)

// scan looks over a template: it refuses disabled tags and filters, and rewrites comparisons with blank and empty, which the
// library does not know.
func scan(text string) (*scanned, error) {
	s := &scanned{}
	var b strings.Builder
	from, raw := 0, ""
	for _, at := range part.FindAllStringSubmatchIndex(text, -1) {
		b.WriteString(text[from:at[0]])
		from = at[1]
		whole := text[at[0]:at[1]]
		name := ""
		if at[4] >= 0 {
			name = identifier.FindString(text[at[4]:at[5]])
		}
		switch {
		case raw != "":
			if name == "end"+raw {
				raw = ""
			}
		case name == "raw" || name == "comment":
			raw = name
		default:
			var err error
			if whole, err = s.part(whole, name); err != nil {
				return nil, err
			}
		}
		b.WriteString(whole)
	}
	b.WriteString(text[from:])
	s.text = b.String()
	return s, nil
}

// part looks over one tag or output.
func (s *scanned) part(whole, tag string) (string, error) {
	if slices.Contains(disabledTags, tag) {
		return "", fmt.Errorf("tag %q is disabled", tag)
	}
	bare := quoted.ReplaceAllString(whole, "''")
	known := filters()
	for _, m := range filterName.FindAllStringSubmatch(bare, -1) {
		switch name := m[1]; {
		case slices.Contains(disabledFilters, name):
			return "", fmt.Errorf("filter %q is disabled", name)
		case known[name] == nil && !slices.Contains(s.unknown, name):
			s.unknown = append(s.unknown, name)
		}
	}
	for _, name := range identifier.FindAllString(bare, -1) {
		if !slices.Contains(s.names, name) {
			s.names = append(s.names, name)
		}
	}
	switch tag {
	case "capture":
		return strings.Replace(whole, tag, boundedCapture, 1), nil
	case "endcapture":
		return strings.Replace(whole, tag, "end"+boundedCapture, 1), nil
	}
	if tag == "if" || tag == "elsif" || tag == "unless" {
		whole = comparison.ReplaceAllStringFunc(whole, s.blank)
	}
	return whole, nil
}

// blank replaces a comparison with blank or empty by a variable that says whether it holds.
func (s *scanned) blank(found string) string {
	m := comparison.FindStringSubmatch(found)
	s.blanks = append(s.blanks, blank{path: event.NewPath(m[1]), not: m[2] == "!="})
	return blankName(len(s.blanks)-1) + " == true"
}

func blankName(i int) string { return fmt.Sprintf("landfall_blank_%d", i) }

// blank is a comparison of an event's value with blank.
type blank struct {
	path event.Path
	not  bool
}

// holds tells whether the value is blank: nothing, false, white space, or a list or object without parts.
func (b blank) holds(v event.Value) bool {
	v = b.path.Read(v)
	is := !v.Exists()
	switch v.Kind() {
	case event.False:
		is = true
	case event.String:
		is = strings.TrimSpace(v.Str()) == ""
	case event.Array, event.Object:
		is = v.Len() == 0
	}
	return is != b.not
}
