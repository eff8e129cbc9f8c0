package fieldschema_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
)

func TestFormatTimes(t *testing.T) {
	fields, err := fieldschema.ParseFields(event.MustParse(`{
		"at": {"label": "At", "type": "datetime", "allowNull": true},
		"list": {"label": "List", "type": "datetime", "multiple": true},
		"items": {"label": "Items", "type": "object", "multiple": true, "properties": {"at": {"label": "At", "type": "datetime"}, "name": {"label": "Name", "type": "string"}}},
		"inner": {"label": "Inner", "type": "object", "properties": {"at": {"label": "At", "type": "datetime"}}},
		"free": {"label": "Free", "type": "object"},
		"text": {"label": "Text", "type": "string"}}`))
	require.NoError(t, err)
	for _, c := range []struct{ payload, want string }{
		{`{"at":"2026-01-02T03:04:05.678+01:00"}`, `{"at":"2026-01-02T02:04:05.678Z"}`},
		{`{"at":"2026-01-02T03:04:05Z"}`, `{"at":"2026-01-02T03:04:05.000Z"}`},
		{`{"at":"Fri, 02 Jan 2026 03:04:05 GMT"}`, `{"at":"2026-01-02T03:04:05.000Z"}`},
		{`{"at":"April 15, 1990"}`, `{"at":"1990-04-15T00:00:00.000Z"}`},
		{`{"at":"1990-04-15"}`, `{"at":"1990-04-15T00:00:00.000Z"}`},
		{`{"at":1767323045}`, `{"at":"2026-01-02T03:04:05.000Z"}`},
		{`{"at":1767323045123}`, `{"at":"2026-01-02T03:04:05.123Z"}`},
		{`{"at":null}`, `{"at":null}`},
		{`{"at":"soon"}`, `{"at":"soon"}`},
		{`{"list":["1990-04-15",1767323045]}`, `{"list":["1990-04-15T00:00:00.000Z","2026-01-02T03:04:05.000Z"]}`},
		{`{"items":[{"at":"1990-04-15","name":"1990-04-15"}],"inner":{"at":"1990-04-15"}}`, `{"items":[{"at":"1990-04-15T00:00:00.000Z","name":"1990-04-15"}],"inner":{"at":"1990-04-15T00:00:00.000Z"}}`},
		{`{"text":"1990-04-15","free":{"at":"1990-04-15"},"other":"1990-04-15"}`, `{"text":"1990-04-15","free":{"at":"1990-04-15"},"other":"1990-04-15"}`},
	} {
		assert.JSONEq(t, c.want, fields.FormatTimes(event.MustParse(c.payload)).JSON(), c.payload)
	}
}
