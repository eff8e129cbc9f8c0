package destination_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
)

func TestIsolationDependsOnStatusAndSettings(t *testing.T) {
	for _, c := range []struct {
		isolate, settings string
		want              []int
	}{
		{"true", `{}`, []int{400}},
		{"false", `{}`, nil},
		{"{statuses: [413, 422]}", `{}`, []int{413, 422}},
		{`{when: {"@path": $.settings.split}}`, `{"split":true}`, []int{400}},
		{`{when: {"@path": $.settings.split}}`, `{"split":false}`, nil},
		{`{when: {"@path": $.settings.split}}`, `{}`, nil},
		{`{when: {"@expr": "settings.split + 1"}}`, `{"split":true}`, nil}, // it cannot be evaluated
		{`{when: "{{settings.split}}", statuses: [409]}`, `{"split":true}`, []int{409}},
	} {
		d, err := destination.ParseDefinition("d.yaml", []byte(`
name: A
slug: a
mode: cloud
authentication: {scheme: custom, fields: {split: {label: S, type: boolean}}}
actions: {send: {title: Send, fields: {}, isolate: `+c.isolate+`}}
`))
		require.NoError(t, err, c.isolate)
		var got []int
		for status := 200; status < 600; status++ {
			if d.Action("send").Isolate.Divides(status, event.MustParse(c.settings)) {
				got = append(got, status)
			}
		}
		assert.Equal(t, c.want, got, "%s with %s", c.isolate, c.settings)
	}
}

func TestAudiencesAreNeededByTheirActions(t *testing.T) {
	var none *destination.AudienceConfig
	assert.False(t, none.NeededBy("send"))
	assert.True(t, (&destination.AudienceConfig{}).NeededBy("send"))
	some := &destination.AudienceConfig{Actions: []string{"sync"}}
	assert.True(t, some.NeededBy("sync"))
	assert.False(t, some.NeededBy("send"))
}
