package brazeweb_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	brazeweb "github.com/landfall-dev/landfall/destinations/braze-web"
	"github.com/landfall-dev/landfall/framework/event"
)

func TestSettingsAreChecked(t *testing.T) {
	for _, c := range []struct{ settings, problem string }{
		{`{"endpoint":"sdk.fra-01.braze.eu"}`, ""},
		{`{"endpoint":"https://sdk.example.com/"}`, ""},
		{`{"endpoint":"http://127.0.0.1:8900","sdkUrl":"http://localhost:8080/braze.mjs?v=1"}`, ""},
		{`{"endpoint":"sdk.fra-01.braze.eu","sdkUrl":"https://cdn.example.com/braze.js"}`, ""},
		{`{"endpoint":"sdk"}`, "SDK Endpoint should be a host name"},
		{`{"endpoint":"http://sdk.example.com"}`, "SDK Endpoint"},
		{`{"endpoint":"https://sdk.example.com/api?x=1"}`, "SDK Endpoint"},
		{`{"endpoint":"https://sdk.example.com/api"}`, "SDK Endpoint"},
		{`{"endpoint":"https://sdk.example.com/?x=1"}`, "SDK Endpoint"},
		{`{"endpoint":"https://sdk.example.com/#x"}`, "SDK Endpoint"},
		{`{"endpoint":"https://user@sdk.example.com"}`, "SDK Endpoint"},
		{`{"endpoint":"https://:443"}`, "SDK Endpoint"},
		{`{"endpoint":"https://[::1"}`, "SDK Endpoint"},
		{`{"endpoint":"http://[::1]:8900"}`, ""},
		{`{"endpoint":"sdk.fra-01.braze.eu","sdkUrl":"javascript:alert(1)"}`, "SDK URL should be an https URL"},
		{`{"endpoint":"sdk.fra-01.braze.eu","sdkUrl":"https://cdn.example.com/braze.js#x"}`, "SDK URL"},
		{`{"endpoint":"sdk.fra-01.braze.eu","sdkUrl":"ftp://localhost/braze.js"}`, "SDK URL"},
		{`{"endpoint":"sdk.fra-01.braze.eu","sdkUrl":"http://cdn.example.com/braze.js"}`, "SDK URL"},
		{`{"endpoint":"sdk.fra-01.braze.eu","sdkUrl":"https://user:password@cdn.example.com/braze.js"}`, "SDK URL"},
	} {
		settings, err := event.ParseValue([]byte(c.settings))
		require.NoError(t, err)
		err = brazeweb.Plugin().CheckSettings(settings, nil)
		if c.problem == "" {
			assert.NoError(t, err, c.settings)
		} else {
			assert.ErrorContains(t, err, c.problem, c.settings)
		}
	}
}

// TestEverySettingIsPublic checks that browsers get every setting, since each of them concerns the browser.
func TestEverySettingIsPublic(t *testing.T) {
	d, err := brazeweb.Plugin().Load()
	require.NoError(t, err)
	assert.Len(t, d.Settings, 26)
	for _, f := range d.Settings {
		public, _ := f.Raw.Get("public").Bool()
		assert.True(t, public, f.Key)
	}
}
