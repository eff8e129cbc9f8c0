package httpx_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
)

func TestIsSecretName(t *testing.T) {
	for _, name := range []string{
		"auth_token", "authToken", "X-Auth-Token", "AUTH.TOKEN", "token", "tokens", "access_token", "accessTokens", "refreshToken", "id_token",
		"Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "api_key", "apiKey", "x-api-key", "API-KEY", "apikeys", "partner_api_key",
		"client_secret", "clientSecret", "clientsecret", "webhook_secret", "secrets", "password", "passwd", "user_password", "password_confirmation", "PASSWORD_CONFIRMATION", "dbPasswordOld",
		"privateKey", "private_key_id_secret", "aws_secret_access_key", "accessKey", "writeKey", "signing_key", "passphrase", "X-Signature",
		"X-Hub-Signature-256", "stripe-signature", "jwt", "credentials", "x-amz-security-token", "csrf_token", "bearer", "session_id", "Ocp-Apim-Subscription-Key",
	} {
		assert.True(t, httpx.IsSecretName(name), name)
	}
	for _, name := range []string{
		"", "key", "keys", "id", "user_id", "audience_key", "personas_audience_key", "computation_key", "page_token", "nextPageToken", "next_token",
		"tokenize", "token_type", "signature_header", "cookie_consent", "authorization_url", "token_url", "secretary", "monkey", "hotkey", "name", "authorized_at", "author",
		"keyword", "compass", "signatory", "created_at", "session",
	} {
		assert.False(t, httpx.IsSecretName(name), name)
	}
}

// TestSecretNamesInBodies checks that secrets are redacted under every spelling of their names, in headers, queries, forms and JSON
// bodies.
func TestSecretNamesInBodies(t *testing.T) {
	r := httpx.NewRedactor(nil, nil)
	for _, name := range []string{"auth_token", "authToken", "webhookSecret", "x-api-key", "user_password"} {
		assert.NotContains(t, string(r.Body("application/json", []byte(`{"a":[{"`+name+`":"hunter22"}]}`))), "hunter22", name)
		assert.NotContains(t, string(r.Body("application/json", []byte(`{"cut": {"`+name+`":"hunter22"`))), "hunter22", name)
		assert.NotContains(t, string(r.Body("application/x-www-form-urlencoded", []byte("a=1&"+name+"=hunter22"))), "hunter22", name)
	}
}
