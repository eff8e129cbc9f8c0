package liquid

import "github.com/landfall-dev/landfall/framework/language/reference"

// Filters lists the filters. Their examples are templates.
func Filters() []reference.Entry {
	var list []reference.Entry
	for _, f := range filterTable() {
		e := reference.Entry{Name: f.name, Usage: f.name, Summary: f.summary, Example: "{{ " + f.example + " }}"}
		if f.args != "" {
			e.Usage += ": " + f.args
		}
		list = append(list, e)
	}
	return list
}

// Tags lists the tags that open a block or stand alone.
func Tags() []reference.Entry {
	var list []reference.Entry
	for _, t := range tagTable() {
		if t.syntax != "" {
			list = append(list, reference.Entry{Name: t.name, Usage: t.syntax, Summary: t.summary})
		}
	}
	return list
}

// Disabled returns the names of the tags and filters that are refused.
func Disabled() (tags, filters []string) {
	for _, t := range tagTable() {
		if t.disabled {
			tags = append(tags, t.name)
		}
	}
	return tags, disabledFilters
}
