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
	"github.com/landfall-dev/landfall/internal/textfile"
)

// Schemas returns the JSON Schemas of a definition by file name: one for the settings, and one for the payload of each action. The
// runtime validates cleaned and coerced settings and payloads with the same schemas.
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

// writeSchemas updates a directory of schemas and deletes those of actions that no longer exist.
func writeSchemas(dir string, d *destination.Definition, changed *[]string) error {
	files, err := Schemas(d)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	old, err := textfile.Glob(dir, "*"+schemaSuffix)
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
		if err := writeIfChanged(filepath.Join(dir, name), files[name], changed); err != nil {
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
