package generate

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// The reference of a destination is between these lines of its README. The rest of the file is written by hand.
const (
	referenceBegins = "<!-- The rest follows from destination.yaml: landfall generate writes it. -->"
	referenceEnds   = "<!-- End of what is generated. -->"
)

// writeReference writes the settings and actions of a definition into a README: between the marker lines, or at the end if it has none.
func writeReference(path string, d *destination.Definition, changed *[]string) error {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(text) == 0 {
		text = []byte("# " + d.Name + "\n\n" + d.Description + "\n")
	}
	before, rest, found := strings.Cut(string(text), referenceBegins)
	_, after, ended := strings.Cut(rest, referenceEnds)
	switch {
	case !found:
		before, after = strings.TrimRight(before, "\n")+"\n\n", "\n"
	case !ended:
		return fmt.Errorf("%s: there is no line %q", path, referenceEnds)
	}
	return writeIfChanged(path, []byte(before+referenceBegins+"\n\n"+Reference(d)+"\n"+referenceEnds+after), changed)
}

// Reference returns the settings and the actions of a definition as Markdown.
func Reference(d *destination.Definition) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "## Settings\n\n")
	if len(d.Settings) == 0 {
		b.WriteString("None.\n")
	} else {
		writeTable(&b, d.Settings)
	}
	for _, a := range d.Actions {
		fmt.Fprintf(&b, "\n## %s (`%s`)\n", a.Title, a.Key)
		if a.Description != "" {
			fmt.Fprintf(&b, "\n%s\n", a.Description)
		}
		if len(a.Aliases) > 0 {
			fmt.Fprintf(&b, "\nAliases in configs: `%s`.\n", strings.Join(a.Aliases, "`, `"))
		}
		if a.DefaultSubscription != "" {
			fmt.Fprintf(&b, "\nDefault subscription: `%s`.\n", a.DefaultSubscription)
		}
		b.WriteString("\n")
		writeTable(&b, a.Fields)
	}
	return b.String()
}

func writeTable(b *bytes.Buffer, fields fieldschema.Fields) {
	b.WriteString("| key | description | type | default |\n|---|---|---|---|\n")
	writeRows(b, fields, "")
}

func writeRows(b *bytes.Buffer, fields fieldschema.Fields, prefix string) {
	for _, f := range fields {
		what := "**" + f.Label + "**"
		if f.Description != "" {
			what += " " + f.Description
		}
		fmt.Fprintf(b, "| `%s%s` | %s | %s | %s |\n", prefix, f.Key, tableCell(what), kindOf(f), tableCell(mapping.Describe(f.Default)))
		writeRows(b, f.Properties, prefix+f.Key+".")
	}
}

// kindOf returns a field's type in words, and whether the field is required.
func kindOf(f fieldschema.Field) string {
	kind := string(f.Type)
	if f.Multiple {
		kind = "list of " + kind
	}
	switch {
	case f.Required.Always:
		kind += ", required"
	case len(f.Required.Conditions) > 0:
		kind += ", sometimes required"
	}
	return kind
}

// tableCell escapes a text for a cell of a table.
func tableCell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(strings.TrimSpace(text))
}
