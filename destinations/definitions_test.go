package destinations_test

import (
	"bytes"
	"cmp"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
)

// TestDefinitionsEqualTheReference compares settings, fields, default mappings, default subscriptions, sync modes, hooks and presets with
// those of Segment's destinations. Each difference must be listed with its reason and our value, in testdata/differences.yaml of the
// destination or in differences.yaml for several, and each listed difference must exist.
func TestDefinitionsEqualTheReference(t *testing.T) {
	const page = "../framework/COMPATIBILITY.md"
	registry := sharedRegistry(t)
	general := readDefinitionReasons(t, "differences.yaml", page)
	lines := bytes.Split(bytes.TrimSpace(readGzip(t, "../fixtures/conformance/definitions.ndjson.gz")), []byte("\n"))
	require.Greater(t, len(lines), 20)
	for _, line := range lines {
		reference := event.MustParse(string(line))
		slug := reference.Get("slug").Str()
		t.Run(slug, func(t *testing.T) {
			entry, err := registry.Find(slug)
			require.NoError(t, err)
			requireNames(t, entry.Definition, reference)
			own := readDefinitionReasons(t, filepath.Join(slug, "testdata", "differences.yaml"), filepath.Join(slug, "README.md"), page)
			for _, difference := range differencesOf(t, entry.Definition, reference) {
				inGeneral, inOwn := general.explain(slug+": "+difference.name, difference.ours), own.explain(difference.name, difference.ours)
				if !inGeneral && !inOwn {
					t.Errorf("no reason explains a difference from the reference: %s is %s here", difference.name, cmp.Or(difference.ours.JSON(), "null"))
				}
			}
			own.requireUsed(t)
		})
	}
	general.requireUsed(t)
}

// requireNames checks that the name and the slug of the reference's destination mean this one: in the integrations of events, and in configs.
func requireNames(t *testing.T, d *destination.Definition, reference event.Value) {
	for _, alias := range reference.Get("aliases").Items() {
		require.Contains(t, d.Names(), alias.Str())
	}
	name := reference.Get("name").Str()
	require.True(t, slices.ContainsFunc(append([]string{d.Name, d.Name + " (Actions)"}, d.IntegrationNames...), func(known string) bool {
		return strings.EqualFold(known, name)
	}), "%q is no name of the destination: add it to integrationNames", name)
}

// differencesOf returns where a definition differs from the reference's.
func differencesOf(t *testing.T, d *destination.Definition, reference event.Value) []factDifference {
	want, got := definitionFacts{}, definitionFacts{}
	want.addDefinition(t, reference)
	got.addDefinition(t, d.Document.Value())
	fields, defaults := map[string][]string{}, map[string]event.Value{}
	for key, action := range reference.Get("actions").Members() {
		for field := range action.Get("fields").Members() {
			fields[key] = append(fields[key], field)
		}
		if ours := d.Action(key); ours != nil {
			defaults[key] = ours.DefaultMapping()
		}
	}
	want.addPresets(t, reference, fields, nil)
	got.addPresets(t, d.Document.Value(), fields, defaults)
	return want.differences(got)
}

// definitionReason is a reason, and a place at which definitions differ from the reference on purpose.
type definitionReason struct {
	text   string
	places string      // where a star is any text
	ours   event.Value // the only value that the reason explains
	used   bool
}

type definitionReasons []*definitionReason

// readDefinitionReasons reads the reasons of a file that are about definitions, and checks that the pages give each.
func readDefinitionReasons(t *testing.T, file string, pages ...string) (reasons definitionReasons) {
	text, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(t, err)
	doc, err := yamldoc.Parse(file, text)
	require.NoError(t, err)
	words := map[string]string{}
	for _, page := range pages {
		words[page] = joinedText(t, page)
	}
	for _, d := range doc.Value().Items() {
		reason := d.Get("reason").Str()
		if d.Get("definition").Exists() {
			for _, page := range pages {
				assert.Contains(t, words[page], reason, "%s does not give the reason", page)
			}
		}
		for place, ours := range d.Get("definition").Members() {
			reasons = append(reasons, &definitionReason{text: reason, places: place, ours: factNamed(t, place, ours)})
		}
	}
	return reasons
}

// explain reports whether a reason explains a difference and our value there, and notes which one does.
func (reasons definitionReasons) explain(difference string, ours event.Value) (explained bool) {
	for _, r := range reasons {
		if ok, _ := path.Match(r.places, difference); ok && event.Equal(r.ours, ours) {
			r.used, explained = true, true
		}
	}
	return explained
}

// requireUsed checks that each reason explains a difference.
func (reasons definitionReasons) requireUsed(t *testing.T) {
	for _, r := range reasons {
		assert.True(t, r.used, "nothing differs at %s with this value any longer. Correct the reason, or remove the place from it: %s", r.places, r.text)
	}
}
