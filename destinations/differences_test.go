package destinations_test

import (
	"cmp"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/mapping"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
	"github.com/landfall-dev/landfall/internal/author/harness"
)

// differenceReason is a reason for which a destination does not do what the reference does, and the rule by which it is recognized.
type differenceReason struct {
	text   string
	when   *mapping.Mapping // over a situation; true if the reason applies
	places *regexp.Regexp   // the places that the reason explains
	events *mapping.Mapping // over a situation with one payload and its actual result; true if the reason explains the result. nil explains all
	own    bool             // it is one of the destination, not of all
	unseen bool             // no case of the reference that is at hand differs for this reason
}

// readReasons reads a file of reasons, and checks that page gives each of them and that a case in a file of our own holds it.
func readReasons(t *testing.T, file, page, held string) []differenceReason {
	text, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(t, err)
	doc, err := yamldoc.Parse(file, text)
	require.NoError(t, err)
	require.Equal(t, event.Array, doc.Value().Kind())
	words := joinedText(t, page)
	holding := map[string]bool{}
	for _, c := range parseCases(t, held) {
		holding[strings.TrimPrefix(c.Name, "differs on purpose: ")] = true
	}
	var reasons []differenceReason
	for _, d := range doc.Value().Items() {
		if d.Get("definition").Exists() { // TestDefinitionsEqualTheReference reads it
			continue
		}
		reason := d.Get("reason").Str()
		require.NotEmpty(t, reason, file)
		assert.Contains(t, words, reason, "%s does not give the reason", page)
		assert.True(t, holding[reason], "%s has no case for the reason %q", held, reason)
		var events *mapping.Mapping
		if d.Get("events").Exists() {
			events = compileRule(t, reason, d.Get("events"))
		}
		places, err := regexp.Compile(cmp.Or(d.Get("places").Str(), "^"))
		require.NoError(t, err, reason)
		reasons = append(reasons, differenceReason{
			text: reason, when: compileRule(t, reason, d.Get("when")), places: places, events: events, own: filepath.Base(page) == "README.md", unseen: d.Get("unseen").Kind() == event.True,
		})
	}
	return reasons
}

// compileRule compiles the rule of a reason.
func compileRule(t *testing.T, reason string, rule event.Value) *mapping.Mapping {
	compiled, err := mapping.Compile(event.NewObject([]event.Member{{Key: "applies", Value: rule}}))
	require.NoError(t, err, reason)
	return compiled
}

// applies reports whether a rule of a reason holds.
func applies(t *testing.T, reason string, rule *mapping.Mapping, situation event.Value) bool {
	got, err := rule.Resolve(situation)
	require.NoError(t, err, reason)
	return got.Get("applies").Kind() == event.True
}

// placeOfResult is a place in the result of an event.
var placeOfResult = regexp.MustCompile("^/results/([0-9]+)/")

// explains reports whether a reason that applies explains a place.
func (r *differenceReason) explains(t *testing.T, situation event.Value, place string) bool {
	if !r.places.MatchString(place) {
		return false
	}
	at := placeOfResult.FindStringSubmatch(place)
	if r.events == nil || at == nil {
		return true
	}
	i, err := strconv.Atoi(at[1])
	require.NoError(t, err)
	return applies(t, r.text, r.events, destination.Overlay(situation, event.NewObject([]event.Member{
		{Key: "payload", Value: situation.Get("payloads").Index(i)}, {Key: "result", Value: situation.Get("got").Get("results").Index(i)},
	})))
}

// joinedText returns the text of a page on one line.
func joinedText(t *testing.T, page string) string {
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	return strings.Join(strings.Fields(string(text)), " ")
}

func parseCases(t *testing.T, file string) []harness.Case {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	cases, err := harness.Parse(file, text)
	require.NoError(t, err)
	return cases
}

// explain returns the places that no reason explains, and notes the reasons that explain one.
func explain(t *testing.T, situation event.Value, places []string, reasons []differenceReason, used map[string]bool) []string {
	open := places
	for _, reason := range reasons {
		if !applies(t, reason.text, reason.when, situation) {
			continue
		}
		var rest []string
		for _, place := range open {
			if reason.explains(t, situation, place) {
				used[reason.text] = true
			} else {
				rest = append(rest, place)
			}
		}
		open = rest
	}
	return open
}

// situationOf returns what rules read: the case, its events, their payloads before they are checked, its responses, the expected (want)
// and the actual (got) requests and results.
func situationOf(t *testing.T, registry *destination.Registry, r harness.Result) event.Value {
	c := r.Case.Body()
	entry, err := registry.Find(c.Get("destination").Str())
	require.NoError(t, err)
	whole := destination.Overlay(event.NewObject(nil), c.Get("mapping"))
	if useDefaults := c.Get("useDefaultMappings"); useDefaults.Kind() == event.True || useDefaults.Kind() == event.Absent && !c.Get("mapping").Exists() {
		whole = destination.Overlay(entry.Definition.Action(c.Get("action").Str()).DefaultMapping(), whole)
	}
	compiled, err := mapping.Compile(whole)
	require.NoError(t, err)
	events := c.Get("events")
	if events.Kind() != event.Array {
		events = event.NewArray([]event.Value{c.Get("event")})
	}
	payloads := make([]event.Value, events.Len())
	for i, e := range events.Items() {
		payloads[i], err = compiled.Resolve(e)
		require.NoError(t, err)
	}
	return event.NewObject([]event.Member{
		{Key: "case", Value: c}, {Key: "events", Value: events}, {Key: "payloads", Value: event.NewArray(payloads)},
		{Key: "responses", Value: c.Get("responses")}, {Key: "settings", Value: c.Get("settings")}, {Key: "batch", Value: event.NewBool(c.Get("events").Exists())},
		{Key: "want", Value: c.Get("expect")}, {Key: "got", Value: r.Actual},
	})
}
