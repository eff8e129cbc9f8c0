package docs

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a search.
const (
	maxResults = 30
	maxWords   = 8
	excerptLen = 220 // bytes, about
)

// Result is a section that a search has found.
type Result struct {
	Page    string `json:"page"`              // its path
	ID      string `json:"id,omitempty"`      // the name of the section's heading; "" is the beginning of the page
	Title   string `json:"title"`             // of the page
	Section string `json:"section,omitempty"` // the section's heading
	Excerpt string `json:"excerpt"`

	score int
}

// Search returns the sections that contain all words, the best first. Words may be the beginnings or parts of longer ones.
func (s *Site) Search(query string) (results []Result) {
	words := strings.FieldsFunc(strings.ToLower(query), func(r rune) bool { return unicode.IsSpace(r) || r == '"' })
	words = words[:min(len(words), maxWords)]
	phrase := strings.Join(words, " ")
	if len(words) == 0 {
		return nil
	}
	for _, p := range s.Pages {
		for _, section := range p.sections {
			if score := scoreSection(p, section, words, phrase); score > 0 {
				r := Result{Page: p.Path, ID: section.ID, Title: p.Title, Excerpt: excerpt(section.text, append([]string{phrase}, words...)), score: score}
				if section.ID != "" {
					r.Section = section.Title
				}
				results = append(results, r)
			}
		}
	}
	slices.SortStableFunc(results, func(a, b Result) int { return cmp.Compare(b.score, a.score) })
	return results[:min(len(results), maxResults)]
}

// changelog is the page that names everything and explains nothing: its sections come last.
const changelog = "CHANGELOG.md"

// scoreSection returns how well a section matches, 0 if a word is missing. Words in headings count more, and so do words that follow each
// other as in the query.
func scoreSection(p *Page, s section, words []string, phrase string) (score int) {
	title, heading, content := strings.ToLower(p.Title), strings.ToLower(s.Title), strings.ToLower(s.text)
	for _, word := range words {
		points := min(strings.Count(content, word), 5)
		if strings.Contains(heading, word) {
			points += 20
		}
		if strings.Contains(title, word) {
			points += 5
			if s.ID == "" {
				points += 20 // the page itself rather than each of its sections
			}
		}
		if points == 0 {
			return 0
		}
		score += points
	}
	if len(words) > 1 {
		score += 4 * min(strings.Count(content, phrase), 5)
	}
	if p.Path == changelog {
		score = 1
	}
	return score
}

// excerpt returns the part of a text around the first of several texts that it contains.
func excerpt(content string, texts []string) string {
	content = strings.Join(strings.Fields(content), " ")
	at := 0
	for _, text := range texts {
		if i := strings.Index(strings.ToLower(content), text); i >= 0 {
			at = min(i, len(content))
			break
		}
	}
	from, to := max(at-excerptLen/3, 0), min(at+2*excerptLen/3, len(content))
	for from > 0 && content[from-1] != ' ' {
		from--
	}
	for to < len(content) && !utf8.RuneStart(content[to]) {
		to++
	}
	part := content[from:to]
	if from > 0 {
		part = "… " + part
	}
	if to < len(content) {
		part += " …"
	}
	return part
}
