package event_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
)

func TestNullableDistinguishesAbsentFromNull(t *testing.T) {
	type payload struct {
		Name event.Nullable[string]  `json:"name,omitzero"`
		List event.Nullable[[]int64] `json:"list,omitzero"`
	}
	for text, want := range map[string]struct {
		null, absent, holds bool
		value               string
	}{
		`{}`:             {absent: true},
		`{"name":null}`:  {null: true},
		`{"name":""}`:    {holds: true},
		`{"name":"Ann"}`: {holds: true, value: "Ann"},
	} {
		v, err := event.ParseValue([]byte(text))
		require.NoError(t, err)
		p := payload{Name: event.ReadNullable(v.Get("name"), event.Value.Str)}
		value, holds := p.Name.Get()
		assert.Equal(t, want.value, value, text)
		assert.Equal(t, want.holds, holds, text)
		assert.Equal(t, want.null, p.Name.IsNull(), text)
		assert.Equal(t, want.absent, p.Name.IsZero(), text)
		written, err := json.Marshal(p)
		require.NoError(t, err)
		assert.Equal(t, text, string(written), "what is read is written")
	}
	written, err := json.Marshal(payload{Name: event.NullOf[string](), List: event.NewNullable([]int64{1})})
	require.NoError(t, err)
	assert.Equal(t, `{"name":null,"list":[1]}`, string(written))
}
