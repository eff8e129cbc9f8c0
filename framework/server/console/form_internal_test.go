package console

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

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

func TestRoundUpScale(t *testing.T) {
	for n, want := range map[int64]int64{0: 2, 1: 2, 2: 2, 3: 4, 7: 10, 11: 20, 99: 100, 101: 200, 2114: 4000, 9_999_999: 10_000_000} {
		assert.Equal(t, want, roundUpScale(n), n)
	}
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
