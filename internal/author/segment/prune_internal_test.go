package segment

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/event"
)

// TestPartsThatAreDropped checks which part of a definition is left out because of a problem at a place: as little as can be left out.
func TestPartsThatAreDropped(t *testing.T) {
	for pointer, want := range map[string]string{
		"/actions/send/fields/a/default/@path":          "/actions/send/fields/a/default",
		"/actions/send/fields/a/required/conditions/0":  "/actions/send/fields/a/required",
		"/actions/send/fields/a/depends_on/x":           "/actions/send/fields/a/depends_on",
		"/actions/send/fields/o/properties/p/choices/0": "/actions/send/fields/o/properties/p/choices",
		"/audienceFields/a/default/x":                   "/audienceFields/a/default",
		"/authentication/fields/a/default":              "/authentication/fields/a/default",
		"/presets/0/mapping/x/@path":                    "/presets/0",
		"/presets/1/subscribe":                          "/presets/1",
		"/presets/1/subscribe/x":                        "/presets/1/subscribe/x",
		"/actions/send/title":                           "/actions/send",
		"/actions/send/fields/a/type":                   "/actions/send/fields/a",
		"/actions/send/fields/default/label":            "/actions/send/fields/default",
		"/actions/send/fields/a/dynamic":                "/actions/send/fields/a/dynamic",
		"/actions/default/fields/mapping/format":        "/actions/default/fields/mapping/format",
		"/slug":                                         "/slug",
		"/label":                                        "/label",
		"":                                              "",
	} {
		assert.Equal(t, want, droppablePart(pointer), pointer)
	}
	v := event.MustParse(`{"a":{"b":[1,{"c":2}],"d":3}}`)
	for want, steps := range map[string][]string{
		`{"a":{"d":3}}`: {"a", "b"}, `{"a":{"b":[{"c":2}],"d":3}}`: {"a", "b", "0"}, `{"a":{"b":[1,{}],"d":3}}`: {"a", "b", "1", "c"}, `{}`: {"a"},
	} {
		got, dropped := removeAt(v, steps)
		assert.True(t, dropped, want)
		assert.Equal(t, want, got.JSON())
	}
	for _, steps := range [][]string{{}, {"x"}, {"a", "d", "e"}, {"a", "b", "2"}} {
		got, dropped := removeAt(v, steps)
		assert.False(t, dropped, steps)
		assert.Equal(t, v.JSON(), got.JSON())
	}
}

// TestPlacesAfterARemovedPreset checks that the places of the presets move up when a whole one is removed, and not when a part of one is.
func TestPlacesAfterARemovedPreset(t *testing.T) {
	for part, want := range map[string]map[string]string{
		"/presets/0":           {"/presets/0": "b", "/presets/1": "c"},
		"/presets/1":           {"/presets/0": "a", "/presets/1": "c"},
		"/presets/2":           {"/presets/0": "a", "/presets/1": "b"},
		"/presets/1/subscribe": {"/presets/0": "a", "/presets/1": "b", "/presets/2": "c"},
		"/actions/presets":     {"/presets/0": "a", "/presets/1": "b", "/presets/2": "c"},
	} {
		r := &reader{origin: map[string]string{"/presets/0": "a", "/presets/1": "b", "/presets/2": "c"}}
		r.shiftPresets(part)
		assert.Equal(t, want, r.origin, part)
	}
}
