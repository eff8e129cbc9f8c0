package fql

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/event"
)

const (
	defaultSubscription = `event = "Audience Entered" or event = "Audience Exited"`
	audienceEvent       = `{"type":"track","userId":"user-000001","messageId":"m1","event":"Audience Exited","context":{"personas":{"computation_key":"vip"}},"properties":{"vip":true}}`
)

// BenchmarkMatchDefault matches the default subscription of Braze Cohorts, at its second alternative.
func BenchmarkMatchDefault(b *testing.B) { benchmarkMatch(b, defaultSubscription, audienceEvent) }

func benchmarkMatch(b *testing.B, query, text string) {
	q, e := compile(b, query), event.MustParse(text)
	b.ReportAllocs()
	for b.Loop() {
		if !q.Match(e) {
			b.Fatal("no match")
		}
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	q, e := compile(t, defaultSubscription), event.MustParse(audienceEvent)
	assert.Zero(t, testing.AllocsPerRun(100, func() { q.Match(e) }))
}
