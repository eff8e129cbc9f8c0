package cli

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/internal/testport"
)

// startProxy starts a real proxy as a separate process.
func startProxy(t *testing.T, address string, name string, args ...string) {
	cmd := exec.Command(name, args...)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		_ = log.Close()
	})
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, time.Minute, 20*time.Millisecond, "%s does not listen", name)
}

// requireProgram skips a test if a program is not installed.
func requireProgram(t *testing.T, name string) {
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed: apt-get install %s", name, name)
	}
}

func writeFile(t *testing.T, dir, name, text string) string {
	file := filepath.Join(dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// startNginx runs nginx with the text of its http block.
func startNginx(t *testing.T, address, http string) {
	requireProgram(t, "nginx")
	dir := t.TempDir()
	file := writeFile(t, dir, "nginx.conf", fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log stderr;
events { worker_connections 256; }
http {
	access_log off;
	client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
%s
}
`, dir, http))
	out, err := exec.Command("nginx", "-t", "-p", dir, "-c", file).CombinedOutput()
	require.NoError(t, err, "%s", out)
	startProxy(t, address, "nginx", "-p", dir, "-c", file)
}

// startHAProxy runs HAProxy with a configuration.
func startHAProxy(t *testing.T, address, text string) {
	requireProgram(t, "haproxy")
	file := writeFile(t, t.TempDir(), "haproxy.cfg", text)
	out, err := exec.Command("haproxy", "-c", "-f", file).CombinedOutput()
	require.NoError(t, err, "%s", out)
	startProxy(t, address, "haproxy", "-db", "-f", file)
}

// plainProxies are ways to forward a port that add no header, so that each request seems to come from this machine.
var plainProxies = map[string]func(t *testing.T, address, to string){
	"nginx without headers": func(t *testing.T, address, to string) {
		startNginx(t, address, fmt.Sprintf("server { listen %s; location / { proxy_pass http://%s; } }", address, to))
	},
	"HAProxy mode http": func(t *testing.T, address, to string) {
		startHAProxy(t, address, fmt.Sprintf("defaults\n mode http\n timeout connect 5s\n timeout client 30s\n timeout server 30s\nfrontend f\n bind %s\n default_backend b\nbackend b\n server s %s\n", address, to))
	},
	"HAProxy mode tcp": func(t *testing.T, address, to string) {
		startHAProxy(t, address, fmt.Sprintf("defaults\n mode tcp\n timeout connect 5s\n timeout client 30s\n timeout server 30s\nfrontend f\n bind %s\n default_backend b\nbackend b\n server s %s\n", address, to))
	},
	"a TCP forwarder": forwardTCP,
}

// forwardTCP copies the bytes of connections.
func forwardTCP(t *testing.T, address, to string) {
	listener, err := net.Listen("tcp", address)
	require.NoError(t, err)
	var running sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); _ = listener.Close(); running.Wait() })
	running.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { forwardConn(ctx, from, to) })
		}
	})
}

func forwardConn(ctx context.Context, from net.Conn, to string) {
	defer from.Close()
	onward, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer onward.Close()
	done := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{from, onward}, {onward, from}} {
		go func() { _, _ = io.Copy(pair[1], pair[0]); done <- struct{}{} }()
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
	_, _ = from.Close(), onward.Close()
	<-done
}

// TestProxiedRequestsNeedTheKey checks that requests through a proxy, which all seem to come from this machine, need the key: on
// the ingest port, on the admin listener, and if both are one.
func TestProxiedRequestsNeedTheKey(t *testing.T) {
	separate := newServed(t, keyedConfig, "--sandbox")
	separate.start()
	one := newServed(t, strings.Replace(keyedConfig, "admin: {", "admin: {listen: ingest, ", 1), "--sandbox", "--admin-listen", "")
	one.start()
	program, err := binary()
	require.NoError(t, err)
	console := testport.Free(t)
	cmd := exec.Command(program, "console", "--config", filepath.Join(separate.dir, "landfall.yaml"), "--listen", console, "--sandbox")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() })
	require.Eventually(t, func() bool {
		answer, err := http.Get("http://" + console + "/console/login")
		if err == nil {
			_ = answer.Body.Close()
		}
		return err == nil
	}, time.Minute, 20*time.Millisecond)

	for name, start := range plainProxies {
		t.Run(name, func(t *testing.T) {
			for _, port := range []struct {
				name, to string
				admin    int // the status of the admin API and the metrics
				console  int
			}{
				{"events", separate.url, 404, 404}, {"admin", separate.admin.URL, 401, 303}, {"one port", one.url, 401, 303}, {"landfall console", "http://" + console, 404, 303},
			} {
				address := testport.Free(t)
				start(t, address, strings.TrimPrefix(port.to, "http://"))
				s := &served{t: t, client: &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true},
					CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
				for path, want := range map[string]int{
					"/admin/status": port.admin, "/admin/letters": port.admin, "/metrics": port.admin, "/console/": port.console, "/console/setup": port.console, "/console/letters": port.console,
				} {
					for _, header := range [][]string{
						nil, {"Host", "localhost"}, {"Host", "127.0.0.1", "Landfall-Admin", "1"}, {"Host", "localhost:8081", "Landfall-Admin", "1", "X-Forwarded-For", "127.0.0.1"},
					} {
						status, text := s.get("http://"+address+path, header...)
						assert.Equal(t, want, status, "%s %s %v", port.name, path, header)
						assert.NotContains(t, text, "braze-main")
					}
				}
			}
		})
	}
}

// The host names in the fragments, and deployed, a server behind a proxy that one of the fragments configures.
const eventsName, consoleName = "events.example.com", "console.example.com"

type deployed struct {
	*served
	address string
	roots   *x509.CertPool
	dir     string // with certificates
}

// newDeployed starts a server as the fragments require it, and creates certificates for their host names.
func newDeployed(t *testing.T) *deployed {
	d := &deployed{served: newServed(t, keyedConfig+"trustedProxies: [127.0.0.1]\n", "--sandbox"), address: testport.Free(t), roots: x509.NewCertPool(), dir: t.TempDir()}
	d.start()
	d.makeCertificates()
	return d
}

// makeCertificates creates certificates for the host names of the fragments.
func (d *deployed) makeCertificates() {
	t := d.t
	for short, name := range map[string]string{"events": eventsName, "console": consoleName} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		template := &x509.Certificate{
			SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		}
		raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		require.NoError(t, err)
		private, err := x509.MarshalPKCS8PrivateKey(key)
		require.NoError(t, err)
		certificate := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}))
		secret := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
		d.roots.AppendCertsFromPEM([]byte(certificate))
		writeFile(t, d.dir, short+".pem", certificate)
		writeFile(t, d.dir, short+".key", secret)
		writeFile(t, d.dir, "both/"+short+".pem", certificate+secret)
	}
}

// fragment reads a file of deploy and inserts the ports, certificates and networks of this test.
func (d *deployed) fragment(name string, replacements ...string) string {
	text, err := os.ReadFile(filepath.Join("../../cmd/landfall/deploy", name))
	require.NoError(d.t, err)
	replacements = append(replacements, "127.0.0.1:8080", strings.TrimPrefix(d.url, "http://"), "127.0.0.1:8081", strings.TrimPrefix(d.served.admin.URL, "http://"))
	for i := 0; i < len(replacements); i += 2 {
		require.Contains(d.t, string(text), replacements[i], name)
	}
	return strings.NewReplacer(replacements...).Replace(string(text))
}

// clientAs returns a client that connects from one of this machine's addresses to one of the host names.
func (d *deployed) clientAs(from, name string) *http.Client {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	return &http.Client{
		Timeout: time.Minute,
		Transport: &http.Transport{
			DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: d.roots, ServerName: name},
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, "tcp", d.address)
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// check sends events through the proxy. All other paths must be closed, and the server must know its clients by their own addresses.
func (d *deployed) check() {
	t, events := d.t, "https://"+eventsName
	d.client = d.clientAs("127.0.0.5", eventsName)
	require.Equal(t, 200, d.postAs("wk", events+"/v1/track", `{"userId":"u1","event":"A"}`))
	require.Equal(t, 401, d.postAs("other", events+"/v1/track", `{"userId":"u1","event":"A"}`))
	for path, want := range map[string]int{"/readyz": 200, "/metrics": 404, "/admin/status": 404, "/console/": 404} {
		status, _ := d.get(events + path)
		assert.Equal(t, want, status, path)
	}

	console := "https://" + consoleName
	d.client = d.clientAs("127.1.0.5", consoleName)
	status, _ := d.get(console + "/console/")
	assert.Equal(t, 403, status, "another network")
	d.client = d.clientAs("127.0.0.5", consoleName)
	for _, path := range []string{"/metrics", "/admin/status"} {
		status, _ = d.get(console+path, "Landfall-Admin", "1")
		assert.Equal(t, 401, status)
		status, _ = d.get(console+path, "Authorization", "Bearer "+testKey)
		assert.Equal(t, 200, status)
	}
	d.signIn(console)

	d.client = d.clientAs("127.0.0.6", consoleName) // another client gives wrong keys, and pretends to be others
	wrong := 0
	for status = 401; status == 401 && wrong < 60; wrong++ { // one more is allowed every ten seconds
		status, _ = d.get(console+"/metrics", "Authorization", "Bearer wrong", "X-Forwarded-For", fmt.Sprintf("192.0.2.%d", wrong))
	}
	assert.Equal(t, 429, status)
	assert.Greater(t, wrong, 10)
	d.client = d.clientAs("127.0.0.5", consoleName)
	status, _ = d.get(console+"/metrics", "Authorization", "Bearer "+testKey)
	assert.Equal(t, 200, status, "the first one is not locked out")
	d.logs(`msg=audit action=request who=unknown from=127.0.0.6 outcome=refused`)
	d.logs(`msg=audit action=login who="admin key" from=127.0.0.5 outcome=ok`)
}

// signIn signs in to the console as a browser does, and changes something.
func (d *deployed) signIn(console string) {
	post := func(path, body, cookie string) *http.Response {
		r, err := http.NewRequest(http.MethodPost, console+path, strings.NewReader(body))
		require.NoError(d.t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", console)
		r.Header.Set("Cookie", cookie)
		answer, err := d.client.Do(r)
		require.NoError(d.t, err)
		_ = answer.Body.Close()
		return answer
	}
	answer := post("/console/login", "key="+testKey, "")
	require.Equal(d.t, 303, answer.StatusCode)
	require.Len(d.t, answer.Cookies(), 1)
	assert.True(d.t, answer.Cookies()[0].Secure)
	cookie := answer.Cookies()[0].Name + "=" + answer.Cookies()[0].Value
	status, text := d.get(console+"/console/deliveries", "Cookie", cookie)
	assert.Equal(d.t, 200, status)
	assert.Contains(d.t, text, "braze-main")
	assert.Equal(d.t, 303, post("/console/letters", "do=drop&id=none", cookie).StatusCode)
	d.logs("action=letters.drop who=\"console session ")
}

func TestTheNginxFragment(t *testing.T) {
	requireProgram(t, "nginx")
	d := newDeployed(t)
	startNginx(t, d.address, d.fragment("nginx.conf", "listen 443 ssl", "listen "+d.address+" ssl", "/etc/ssl/landfall/", d.dir+"/", "10.0.0.0/8", "127.0.0.0/16"))
	d.check()
}

func TestTheHAProxyFragment(t *testing.T) {
	requireProgram(t, "haproxy")
	d := newDeployed(t)
	startHAProxy(t, d.address, d.fragment("haproxy.cfg", "bind :443", "bind "+d.address, "/etc/haproxy/landfall/", d.dir+"/both/", "10.0.0.0/8", "127.0.0.0/16"))
	d.check()
}

func TestTheCaddyFragment(t *testing.T) {
	requireProgram(t, "caddy")
	d := newDeployed(t)
	_, port, err := net.SplitHostPort(d.address)
	require.NoError(t, err)
	text := "{\n\tadmin off\n\tauto_https off\n\tskip_install_trust\n}\n" + d.fragment("Caddyfile",
		eventsName+" {\n", fmt.Sprintf("%s:%s {\n\tbind 127.0.0.1\n\ttls %[3]s/events.pem %[3]s/events.key\n", eventsName, port, d.dir),
		consoleName+" {\n", fmt.Sprintf("%s:%s {\n\tbind 127.0.0.1\n\ttls %[3]s/console.pem %[3]s/console.key\n", consoleName, port, d.dir), "10.0.0.0/8", "127.0.0.0/16")
	file := writeFile(t, t.TempDir(), "Caddyfile", text)
	t.Setenv("HOME", t.TempDir())
	startProxy(t, d.address, "caddy", "run", "--adapter", "caddyfile", "--config", file)
	d.check()
}
