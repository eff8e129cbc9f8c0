package server

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCheckCertificate(t *testing.T) {
	certificate, private := newCertificate(t, 1)
	_, other := newCertificate(t, 2)
	cert, key, otherKey := string(certificate), string(private), string(other)
	encrypted := string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")}))
	damaged := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}))
	for name, tc := range map[string]struct{ cert, key, want string }{
		"right":              {cert, key, ""},
		"right, in one file": {cert + key, cert + key, ""},
		"exchanged":          {key, cert, "tls.cert and tls.key are exchanged: DIR/cert contains the key"},
		"two certificates":   {cert, cert, "DIR/key has no private key in PEM form"},
		"two keys":           {key, key, "DIR/cert has no certificate in PEM form"},
		"junk":               {"junk", key, "DIR/cert has no certificate in PEM form"},
		"empty":              {"", "", "DIR/cert has no certificate in PEM form"},
		"DER":                {"\x30\x82\x01", key, "DIR/cert has no certificate in PEM form"},
		"other key":          {cert, otherKey, "the key in DIR/key is damaged, or is not that of the first certificate in DIR/cert"},
		"encrypted key":      {cert, encrypted, "the key in DIR/key is encrypted: write it without a passphrase"},
		"damaged":            {damaged, key, "the certificate in DIR/cert is damaged"},
		"no key":             {cert, "MISSING", "the key: DIR/key: there is no such file"},
		"no certificate":     {"MISSING", key, "the certificate: DIR/cert: there is no such file"},
	} {
		dir := t.TempDir()
		for file, text := range map[string]string{"cert": tc.cert, "key": tc.key} {
			if text != "MISSING" {
				require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600))
			}
		}
		got := strings.ReplaceAll(CheckCertificate(filepath.Join(dir, "cert"), filepath.Join(dir, "key")), dir, "DIR")
		assert.True(t, strings.HasPrefix(got, tc.want) && (got == "") == (tc.want == ""), "%s: %s", name, got)
	}
}
