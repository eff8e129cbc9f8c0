package destination_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fieldschema"
)

// What identifies the remote is its host and what says so; never a password, and never the secret part of a URL.
func TestRemote(t *testing.T) {
	fields, err := fieldschema.ParseFields(event.MustParse(`{
		"endpoint": {"label": "Endpoint", "type": "string", "format": "uri", "default": "https://One.example.com"},
		"account": {"label": "Account", "type": "string", "identifiesRemote": true},
		"number": {"label": "Number", "type": "integer", "identifiesRemote": true},
		"key": {"label": "Key", "type": "password", "identifiesRemote": true, "format": "uri"},
		"note": {"label": "Note", "type": "string"}
	}`))
	require.NoError(t, err)
	d := &destination.Definition{Settings: fields}
	for settings, want := range map[string]map[string]string{
		`{}`: {"endpoint": "one.example.com"},
		`{"endpoint": null, "note": "n", "key": "https://k.example.com"}`:             {"endpoint": "one.example.com"},
		`{"endpoint": "https://user:secret@TWO.example.com:8443/a?token=secret"}`:     {"endpoint": "two.example.com:8443"},
		`{"endpoint": "https://two.example.com/", "account": " acme ", "number": 12}`: {"endpoint": "two.example.com", "account": "acme", "number": "12"},
	} {
		assert.Equal(t, want, d.Remote(event.MustParse(settings)), settings)
	}
}
