package brazecohorts

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// If the settings have no key, it is that of the cluster's region in the environment, otherwise the one of all regions.
func TestPartnerKeyOfTheRegion(t *testing.T) {
	const all = "BRAZE_COHORTS_PARTNER_API_KEY"
	for host, region := range map[string]string{
		"rest.iad-01.braze.com": "US", "rest.us-10.braze.com": "US", "REST.IAD-08.BRAZE.COM": "US", "iad-01.braze.com": "US",
		"rest.fra-01.braze.eu": "EU", "rest.fra-02.braze.com": "EU", "rest.iad-01.braze.eu": "EU",
		"rest.au-01.braze.com": "AU", "rest.id-01.braze.com": "ID", "rest.jp-01.braze.com": "JP",
		"rest.kr-01.braze.com": "", "rest.fra-01.other.eu": "", "rest.au.example.com": "", "braze.eu": "", "localhost": "",
	} {
		values := map[string]string{}
		for _, other := range []string{"US", "EU", "AU", "ID", "JP"} {
			values[all+"_"+other] = other
		}
		env := func(name string) (string, bool) { v, ok := values[name]; return v, ok }
		key, err := partnerKey(host, env)
		assert.Equal(t, region, key, host)
		assert.Equal(t, region == "", err != nil, host)
		values[all+"_"+region] = ""
		if region != "" {
			_, err = partnerKey(host, env)
			assert.ErrorContains(t, err, all+"_"+region+" or "+all, host)
		}
		values[all] = "of all"
		key, err = partnerKey(host, env)
		assert.NoError(t, err, host)
		assert.Equal(t, "of all", key, host)
	}
}

// What a user alias lacks is named, and an alias that is whole identifies a user.
func TestIncompleteAliases(t *testing.T) {
	for _, c := range []struct{ name, label, want string }{
		{"", "", "User Alias has no Alias Name and no Alias Label"},
		{"n", "", "User Alias has no Alias Label"},
		{"", "l", "User Alias has no Alias Name"},
		{" ", "l", "User Alias has no Alias Name"},
		{"n", "\t", "User Alias has no Alias Label"},
		{"n", "l", ""},
	} {
		id, err := identityOf(&SyncAudiencesPayload{ExternalID: " ", DeviceID: "\u00a0", UserAlias: &SyncAudiencesPayloadUserAlias{AliasName: c.name, AliasLabel: c.label}})
		if c.want == "" {
			assert.NoError(t, err)
			assert.Equal(t, destination.Identity{Kind: "user_alias", Name: "n", Label: "l"}, id)
			continue
		}
		require.Error(t, err)
		assert.True(t, strings.HasSuffix(err.Error(), c.want), err)
		assert.Equal(t, fault.CauseNoIdentifier, fault.As(err).Cause)
	}
}

// Settings without a partner key are an error of their check and of the test of the credentials, which sends nothing then.
func TestCredentialsWithoutAPartnerKey(t *testing.T) {
	settings := event.MustParse(`{"endpoint":"https://rest.iad-01.braze.com","client_secret":"c"}`)
	env := func(string) (string, bool) { return "", false }
	assert.ErrorContains(t, checkSettings(settings, env), "no partner key")
	assert.ErrorContains(t, testCredentials(t.Context(), settings, destination.Deps{Env: env}), "no partner key")
}

// A time that Braze can parse is sent as it is, any other in ISO 8601.
func TestTimesOfCohorts(t *testing.T) {
	for text, want := range map[string]string{
		"2026-01-02T03:04:05.5+02:00": "2026-01-02T03:04:05.5+02:00",
		"2026-01-02T03:04:05Z":        "2026-01-02T03:04:05Z",
		"1767323045":                  "2026-01-02T03:04:05Z",
		"2026-01-02":                  "2026-01-02T00:00:00Z",
	} {
		assert.Equal(t, want, isoTime(text), text)
	}
}

// A refusal of the keys says which setting is wrong, and keeps what Braze says. Other errors stay as they are.
func TestRefusedKeysAreExplained(t *testing.T) {
	for message, advice := range map[string]string{
		"Invalid Partner API key for x": "the partner key does not belong to this cluster",
		"Invalid client secret":         "Client Secret Key is not a data import key of this cluster",
		"Partner not enabled for y":     "Client Secret Key does not allow this partner",
		"Something else":                "Braze refuses the keys",
	} {
		err := explainError(fault.FromStatus(http.StatusUnauthorized, message))
		assert.True(t, strings.HasPrefix(err.Error(), advice), err)
		assert.ErrorContains(t, err, "(Braze says: "+message)
		other := fault.FromStatus(http.StatusForbidden, message)
		assert.Equal(t, error(other), explainError(other))
	}
	assert.NoError(t, explainError(nil))
}
