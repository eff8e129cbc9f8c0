package sqlsource

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// snowflakeToken is how long a token that the key signs is valid. Snowflake accepts at most an hour.
const snowflakeToken = 50 * time.Minute

// snowflakeAuthorization returns a function that adds the credentials of a URL to a request: its token, or one that the key of a file signs.
func snowflakeAuthorization(u *url.URL, keyFile string) (func(context.Context, *http.Request) error, error) {
	token, hasToken := u.User.Password()
	if hasToken == (keyFile != "") {
		return nil, &OptionError{"the URL has no credentials, or two: " + snowflakeExample}
	}
	if hasToken {
		return func(_ context.Context, r *http.Request) error {
			setSnowflakeToken(r, token, "PROGRAMMATIC_ACCESS_TOKEN")
			return nil
		}, nil
	}
	text, err := readKeyFile(keyFile)
	if err != nil {
		return nil, err
	}
	key, err := parseRSAKey(text)
	if err != nil {
		return nil, err
	}
	account, _, _ := strings.Cut(u.Host, ".") // without the region of an account locator
	subject := strings.ToUpper(account + "." + u.User.Username())
	return func(_ context.Context, r *http.Request) error {
		signed, err := signSnowflakeToken(key, subject, time.Now())
		if err == nil {
			setSnowflakeToken(r, signed, "KEYPAIR_JWT")
		}
		return err
	}, nil
}

func setSnowflakeToken(r *http.Request, token, kind string) {
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("X-Snowflake-Authorization-Token-Type", kind)
}

// signSnowflakeToken returns a JWT of a user, which names the public key by its hash.
func signSnowflakeToken(key *rsa.PrivateKey, subject string, now time.Time) (string, error) {
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(public)
	claims, err := json.Marshal(map[string]any{
		"iss": subject + ".SHA256:" + base64.StdEncoding.EncodeToString(sum[:]), "sub": subject,
		"iat": now.Unix(), "exp": now.Add(snowflakeToken).Unix(),
	})
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + encode(claims)
	hash := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, hash[:])
	return signed + "." + encode(signature), err
}

// parseRSAKey parses a private key in PEM.
func parseRSAKey(text []byte) (*rsa.PrivateKey, error) {
	wrong := &OptionError{"the file of the URL's key is not an RSA private key in PEM without a passphrase"}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, wrong
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*rsa.PrivateKey)
	if err != nil || !ok {
		return nil, wrong
	}
	return key, nil
}
