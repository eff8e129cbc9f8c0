package console

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/event"
)

func TestFormConditionsAreEvaluated(t *testing.T) {
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
		assert.Equal(t, c.want, conditionsHold(event.MustParse(c.conditions), event.MustParse(values)), c.conditions)
	}
}

// A mapping that is shown in a form and read back is unchanged.
func TestInputModesRoundTrip(t *testing.T) {
	for _, text := range []string{
		`{"@path":"$.userId"}`, `{"@template":"{{a}} b "}`, `"text"`, `"5"`, `{"@path":"$.a","@x":1}`, `{"a":[1,2]}`, `["a"]`, `null`, `{"@if":{"exists":{"@path":"$.a"},"then":1}}`,
	} {
		v := event.MustParse(text)
		in := &fieldInput{}
		in.Mode, in.Text = inputMode(v)
		assert.Equal(t, text, in.mappedValue().JSON(), in.Mode)
	}
}

func TestCharts(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var list []snapshot
	for i := range 100 {
		list = append(list, snapshot{at: now.Add(time.Duration(i-100) * 5 * time.Second), delivered: int64(i * i), dead: int64(-i)})
	}
	b := newBarChart(list, 5*time.Minute, now)
	assert.NotEmpty(t, b.Bars)
	for _, bar := range b.Bars {
		assert.Equal(t, "delivered", bar.Class, "decreasing counts have no bar")
		assert.True(t, bar.X >= chartSide && bar.X+bar.Width <= chartWidth && bar.Y >= 0 && bar.Height > 0 && bar.Y+bar.Height <= chartHeight, "%+v", bar)
	}
	assert.Contains(t, b.Summary, "0 dead")
	assert.Empty(t, newBarChart(nil, time.Hour, now).Bars)
	assert.Nil(t, newSparkline(nil, 10, 10))
	assert.Equal(t, "2.0,5.0 8.0,5.0", newSparkline([]cohortSize{{now, 7}}, 10, 10).Points)
}

func TestRoundUpScale(t *testing.T) {
	for n, want := range map[int64]int64{0: 2, 1: 2, 2: 2, 3: 4, 7: 10, 11: 20, 99: 100, 101: 200, 2114: 4000, 9_999_999: 10_000_000} {
		assert.Equal(t, want, roundUpScale(n), n)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	h := chartHistory{snapshots: map[string][]snapshot{}, sizes: map[[2]string][]cohortSize{}}
	for i := range 3 * maxSnapshots {
		h.recordStatus([]delivery.Status{{Instance: "a", Counts: map[string]int64{"delivered": int64(i)}}}, time.Unix(int64(i), 0))
	}
	list := h.deliverySnapshots("a")
	assert.Len(t, list, maxSnapshots)
	assert.Equal(t, int64(3*maxSnapshots-1), list[len(list)-1].delivered)
	h.recordStatus(nil, time.Now())
	assert.Empty(t, h.deliverySnapshots("a"))
}

func TestDraftsAreBounded(t *testing.T) {
	var d drafts
	var ids []string
	for i := range maxDrafts + 5 {
		ids = append(ids, d.storeDraft(draft{text: fmt.Append(nil, i), made: time.Now().Add(time.Duration(i) * time.Millisecond)}))
	}
	assert.Len(t, d.byID, maxDrafts)
	_, ok := d.findDraft(ids[0])
	assert.False(t, ok)
	_, ok = d.findDraft(ids[len(ids)-1])
	assert.True(t, ok)
}

func TestFormatCountAndDuration(t *testing.T) {
	assert.Equal(t, "1\u202f234\u202f567", formatCount(1234567))
	assert.Equal(t, "-12", formatCount(-12))
	assert.Equal(t, "999", formatCount(999))
}
