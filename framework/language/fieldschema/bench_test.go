package fieldschema_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	brazecohorts "github.com/landfall-dev/landfall/destinations/braze-cohorts"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

// audiencePayload returns the schema of Braze Cohorts and a valid payload, as the default mapping produces it.
func audiencePayload(t testing.TB) (*fieldschema.Schema, event.Value) {
	d, err := brazecohorts.Plugin().Load()
	require.NoError(t, err)
	action := d.Action("syncAudiences")
	s, err := fieldschema.Compile(action.Fields)
	require.NoError(t, err)
	m, err := mapping.Compile(event.NewObject(append(membersOf(action.DefaultMapping()), event.Member{Key: "personas_audience_key", Value: event.NewString("vip")})))
	require.NoError(t, err)
	payload, err := m.Resolve(event.MustParse(`{"userId":"u1","timestamp":"2026-03-04T05:06:07.008Z","context":{"personas":{"computation_id":"aud_1","computation_key":"vip"}},"properties":{"vip":true}}`))
	require.NoError(t, err)
	return s, payload
}

func membersOf(v event.Value) (members []event.Member) {
	for key, m := range v.Members() {
		members = append(members, event.Member{Key: key, Value: m})
	}
	return members
}

// BenchmarkValidatePayload cleans, coerces and validates a valid payload of Braze Cohorts.
func BenchmarkValidatePayload(b *testing.B) {
	s, payload := audiencePayload(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Process(payload); err != nil {
			b.Fatal(err)
		}
	}
}

func TestValidPayloadsAllocateNothing(t *testing.T) {
	s, payload := audiencePayload(t)
	assert.Zero(t, testing.AllocsPerRun(100, func() { _, _ = s.Process(payload) }))
}
