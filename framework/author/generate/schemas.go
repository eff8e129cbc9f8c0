package generate

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
)

// Schemas are the JSON Schemas of a definition by the names of their files: that of the settings, and one for the payload of each
// action. They are what the runtime holds settings and payloads against, once these are cleaned and coerced.
func Schemas(d *destination.Definition) (map[string][]byte, error) {
	files := map[string][]byte{}
	add := func(name, title string, fields fieldschema.Fields) error {
		s, err := fieldschema.Compile(fields)
		if err != nil {
			return err
		}
		members := []event.Member{}
		for key, v := range s.JSON().Members() {
			members = append(members, event.Member{Key: key, Value: v})
		}
		members = slices.Insert(members, 1, event.Member{Key: "title", Value: event.NewString(title)})
		var b bytes.Buffer
		err = json.Indent(&b, event.NewObject(members).AppendJSON(nil), "", "  ")
		files[name+schemaSuffix] = append(b.Bytes(), '\n')
		return err
	}
	if err := add("settings", "The settings of "+d.Name, d.Settings); err != nil {
		return nil, err
	}
	for _, a := range d.Actions {
		if err := add(a.Key, a.Title+": the payload", a.Fields); err != nil {
			return nil, err
		}
	}
	return files, nil
}

const schemaSuffix = ".schema.json"

// writeSchemas brings a directory of schemas up to date; those that no action is for any more go.
func writeSchemas(dir string, d *destination.Definition, changed *[]string) error {
	files, err := Schemas(d)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(dir, "*"+schemaSuffix))
	if err != nil {
		return err
	}
	for _, path := range old {
		if _, wanted := files[filepath.Base(path)]; !wanted {
			if err := os.Remove(path); err != nil {
				return err
			}
			*changed = append(*changed, path)
		}
	}
	for _, name := range sortedKeys(files) {
		if err := write(filepath.Join(dir, name), files[name], changed); err != nil {
			return err
		}
	}
	return nil
}

func sortedKeys(files map[string][]byte) []string {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
