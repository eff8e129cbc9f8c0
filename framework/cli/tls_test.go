package cli

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/internal/acmetest"
	"github.com/landfall-dev/landfall/internal/testport"
)

// TestServeWithTLS checks that a server with a certificate accepts events with TLS, that commands still reach it, and that it uses a
// renewed certificate while it runs.
func TestServeWithTLS(t *testing.T) {
	t.Parallel()
	d := &deployed{served: newServed(t, serveConfig+"tls: {cert: cert.pem, key: key.pem}\n", "--sandbox"), roots: x509.NewCertPool(), dir: t.TempDir()}
	d.makeCertificates()
	use := func(name string) {
		for from, to := range map[string]string{".key": "key.pem", ".pem": "cert.pem"} {
			text, err := os.ReadFile(filepath.Join(d.dir, name+from))
			require.NoError(t, err)
			writeFile(t, d.served.dir, to, string(text))
		}
	}
	use("events")
	d.scheme, d.address = "https", testport.Free(t)
	d.listen, d.client = d.address, d.clientAs("127.0.0.1", eventsName)
	d.start()
	d.post(entered("u1", "vip"))
	d.client = &http.Client{Timeout: time.Minute}
	assert.Equal(t, int64(1), d.waitSettled(1)["delivered"])
	assert.True(t, strings.HasPrefix(d.served.admin.Ingest, "https://127.0.0.1:"), d.served.admin.Ingest)
	assert.Contains(t, d.cli("status"), "delivered")
	_, metrics := d.ask("/metrics")
	assert.Contains(t, metrics, "landfall_tls_expiry_timestamp_seconds 1.")

	use("console")
	require.Eventually(t, func() bool {
		conn, err := tls.Dial("tcp", d.address, &tls.Config{RootCAs: d.roots, ServerName: consoleName})
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, time.Minute, 50*time.Millisecond)
}

// TestServeWithACME checks that a server requests its certificate when it starts, and that its metrics say when that expires.
func TestServeWithACME(t *testing.T) {
	authority := acmetest.New(t)
	settings := "tls: {acme: {domains: [" + eventsName + "], directory: '" + authority.Directory + "', roots: " + authority.Roots + "}}\n"
	d := &deployed{served: newServed(t, serveConfig+settings, "--sandbox"), address: testport.Free(t), roots: authority.Issuers}
	authority.Verify(d.address)
	d.scheme, d.listen, d.client = "https", d.address, d.clientAs("127.0.0.1", eventsName)
	d.start()
	d.post(entered("u1", "vip"))
	d.client = &http.Client{Timeout: time.Minute}
	assert.Equal(t, int64(1), d.waitSettled(1)["delivered"])
	_, metrics := d.ask("/metrics")
	assert.Contains(t, metrics, "landfall_tls_expiry_timestamp_seconds 1.")
	d.logs("TLS certificate received")
}
