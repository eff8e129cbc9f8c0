package runtime_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
)

func TestIntegrationsTurnADestinationOff(t *testing.T) {
	p := (&acme{}).plugin()
	d, err := p.Load()
	if err != nil {
		t.Fatal(err)
	}
	in := `{"id":"my-instance","settings":{"key":"k"},"subscriptions":[{"action":"single","subscribe":"type = \"track\""}]}`
	keys := append([]string{d.Name, d.Name + " (Actions)", d.Slug, "my-instance", "MY-Instance", "acme cloud"}, d.Aliases...)
	cases := map[string]bool{ // whether the event is skipped
		`null`: false, `{}`: false, `false`: false, `[]`: false,
		`{"All":true}`: false, `{"All":false}`: true, `{"all":false}`: true, `{"All":"false"}`: false, `{"All":0}`: false, `{"All":null}`: false,
		`{"Other":false}`: false, `{"All":false,"Other":true}`: true, `{"All":false,"All Else":true}`: true,
		`{"` + d.Name + `":false,"my-instance":true}`: false, `{"` + d.Name + `":true,"my-instance":false}`: true,
		`{"` + d.Name + `":true,"` + d.Slug + `x":false}`: false,
	}
	for _, key := range keys {
		cases[`{"`+key+`":false}`] = true
		cases[`{"All":true,"`+key+`":false}`] = true
		cases[`{"All":false,"`+key+`":true}`] = false
		cases[`{"All":false,"`+key+`":{"a":1}}`] = false
		cases[`{"All":false,"`+key+`":{}}`] = false
		cases[`{"All":false,"`+key+`":"true"}`] = true
		cases[`{"`+key+`":"false"}`] = false
	}
	for integrations, skipped := range cases {
		v := verdictOf(t, in, `{"type":"track","userId":"u","integrations":`+integrations+`}`)
		assert.Equal(t, skipped, v.Outcome == runtime.Skipped, integrations)
		if skipped {
			assert.Equal(t, fault.CauseOptedOut, v.Cause, integrations)
		}
	}
}

// TestIntegrationsOfEachEventCount checks that what an event's integrations say is not used for an event with other ones.
func TestIntegrationsOfEachEventCount(t *testing.T) {
	plan := planOf(t, &taken{}, destination.NewMemoryMembers(), `{"name":"all","action":"syncAudiences","mapping":{"personas_audience_key":"k"}}`)
	long := `{"All":false,"x":"` + strings.Repeat("x", 2000) + `"}`
	all := []string{`{"All":false}`, `{"All":true }`, `{"All": true}`, long, `null`, `{}`, `[]`, `"All"`}
	for i := range 4 * len(all) * len(all) {
		integrations := all[(i*i/3+i/5)%len(all)]
		e, err := event.Parse([]byte(`{"event":"Audience Entered","type":"track","integrations":` + integrations + `}`))
		require.NoError(t, err)
		off := plan.Run(t.Context(), e)[0].Cause == fault.CauseOptedOut
		assert.Equal(t, strings.HasPrefix(integrations, `{"All":false`), off, integrations)
	}
}
