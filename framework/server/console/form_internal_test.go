package console

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/event"
)

func TestHolds(t *testing.T) {
	values := `{"kind":"a","on":true,"n":5,"empty":"","deep":{"x":1}}`
	for _, c := range []struct {
		conditions string
		want       bool
	}{
		{`{}`, true},
		{`{"conditions":[{"fieldKey":"kind","operator":"is","value":"a"}]}`, true},
		{`{"conditions":[{"fieldKey":"kind","operator":"is","value":["b","a"]}]}`, true},
		{`{"conditions":[{"fieldKey":"kind","operator":"is_not","value":"a"}]}`, false},
		{`{"conditions":[{"fieldKey":"deep.x","operator":"is","value":1}]}`, true},
		{`{"conditions":[{"fieldKey":"nope","operator":"is"}]}`, true},
		{`{"conditions":[{"fieldKey":"empty","operator":"is_not"}]}`, false},
		{`{"conditions":[{"fieldKey":"on","operator":"is_not"}]}`, true},
		{`{"match":"all","conditions":[{"fieldKey":"on","operator":"is","value":true},{"fieldKey":"n","operator":"is","value":6}]}`, false},
		{`{"match":"any","conditions":[{"fieldKey":"on","operator":"is","value":false},{"fieldKey":"n","operator":"is","value":5}]}`, true},
		{`{"match":"any","conditions":[{"fieldKey":"on","operator":"is","value":false},{"fieldKey":"n","operator":"is","value":6}]}`, false},
	} {
		assert.Equal(t, c.want, holds(event.MustParse(c.conditions), event.MustParse(values)), c.conditions)
	}
}

// What a form shows of a mapping is what it makes of it again.
func TestModesGoThereAndBack(t *testing.T) {
	for _, text := range []string{
		`{"@path":"$.userId"}`, `{"@template":"{{a}} b "}`, `"text"`, `"5"`, `{"@path":"$.a","@x":1}`, `{"a":[1,2]}`, `["a"]`, `null`, `{"@if":{"exists":{"@path":"$.a"},"then":1}}`,
	} {
		v := event.MustParse(text)
		in := &fieldInput{}
		in.Mode, in.Text = modeOf(v)
		assert.Equal(t, text, in.mapped().JSON(), in.Mode)
	}
}

func TestCharts(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var list []tally
	for i := range 100 {
		list = append(list, tally{at: now.Add(time.Duration(i-100) * 5 * time.Second), delivered: int64(i * i), dead: int64(-i)})
	}
	b := chartOf(list, 5*time.Minute, now)
	assert.NotEmpty(t, b.Bars)
	for _, bar := range b.Bars {
		assert.Equal(t, "delivered", bar.Class, "what becomes fewer is no bar")
		assert.True(t, bar.X >= chartSide && bar.X+bar.Width <= chartWidth && bar.Y >= 0 && bar.Height > 0 && bar.Y+bar.Height <= chartHeight, "%+v", bar)
	}
	assert.Contains(t, b.Words, "0 dead")
	assert.Empty(t, chartOf(nil, time.Hour, now).Bars)
	assert.Nil(t, lineOf(nil, 10, 10))
	assert.Equal(t, "2.0,5.0 8.0,5.0", lineOf([]size{{now, 7}}, 10, 10).Points)
}

func TestRoundUp(t *testing.T) {
	for n, want := range map[int64]int64{0: 2, 1: 2, 2: 2, 3: 4, 7: 10, 11: 20, 99: 100, 101: 200, 2114: 4000, 9_999_999: 10_000_000} {
		assert.Equal(t, want, roundUp(n), n)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	h := history{tallies: map[string][]tally{}, sizes: map[[2]string][]size{}}
	for i := range 3 * maxSamplesKept {
		h.look([]delivery.Status{{Instance: "a", Counts: map[string]int64{"delivered": int64(i)}}}, time.Unix(int64(i), 0))
	}
	list := h.of("a")
	assert.Len(t, list, maxSamplesKept)
	assert.Equal(t, int64(3*maxSamplesKept-1), list[len(list)-1].delivered)
	h.look(nil, time.Now())
	assert.Empty(t, h.of("a"))
}

func TestDraftsAreBounded(t *testing.T) {
	var d drafts
	var ids []string
	for i := range maxDrafts + 5 {
		ids = append(ids, d.put(draft{text: fmt.Append(nil, i), made: time.Now().Add(time.Duration(i) * time.Millisecond)}))
	}
	assert.Len(t, d.kept, maxDrafts)
	_, ok := d.get(ids[0])
	assert.False(t, ok)
	_, ok = d.get(ids[len(ids)-1])
	assert.True(t, ok)
}

func TestCountAndLag(t *testing.T) {
	assert.Equal(t, "1\u202f234\u202f567", count(1234567))
	assert.Equal(t, "-12", count(-12))
	assert.Equal(t, "999", count(999))
	assert.Equal(t, "3 min", lag(200*time.Second))
	assert.Equal(t, "0 ms", lag(-time.Second))
}
