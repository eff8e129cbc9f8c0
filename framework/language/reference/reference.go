// Package reference has the form in which the languages list what they offer: directives, functions, filters, tags, types, formats.
// The documentation and the JSON Schemas that editors use are generated from these lists.
package reference

// Entry describes one thing that a language offers.
type Entry struct {
	Name    string
	Usage   string // how it is written; "" if that is the name alone
	Summary string // what it is or results in, as Markdown
	Example string // "" if there is none
	Schema  string // the JSON Schema of its argument or values; "" if any text is accepted
}
