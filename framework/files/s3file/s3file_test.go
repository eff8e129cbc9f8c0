package s3file_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/landfall-dev/landfall/framework/files/s3file"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a server of S3 with the bucket shop. It accepts only requests whose signature fits what has arrived.
type server struct {
	t       *testing.T
	backend gofakes3.Backend
	client  *s3file.Client
	around  func(next http.Handler) http.Handler // may be nil
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, backend: s3mem.New()}
	require.NoError(t, s.backend.CreateBucket("shop"))
	handler := gofakes3.New(s.backend, gofakes3.WithTimeSkewLimit(0)).Server()
	credentials := aws.Credentials{AccessKeyID: "key", SecretAccessKey: "secret", SessionToken: "session"}
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isSigned(t, r, credentials) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, "<Error><Code>SignatureDoesNotMatch</Code></Error>")
			return
		}
		next := http.Handler(handler)
		if s.around != nil {
			next = s.around(next)
		}
		next.ServeHTTP(w, r)
	}))
	t.Cleanup(listener.Close)
	s.client = s3file.FromEnvironment(map2env(map[string]string{
		"AWS_ENDPOINT_URL": listener.URL, "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "session",
	}))
	s.client.HTTP, s.client.Pause = listener.Client(), time.Millisecond
	return s
}

func map2env(m map[string]string) func(string) string {
	return func(name string) string { return m[name] }
}

// isSigned computes the signature of a request from what has arrived.
func isSigned(t *testing.T, r *http.Request, credentials aws.Credentials) bool {
	path, query, _ := strings.Cut(r.RequestURI, "?")
	again, err := http.NewRequest(r.Method, "http://"+r.Host, nil)
	require.NoError(t, err)
	again.URL.Opaque, again.URL.RawQuery = "//"+r.Host+path, query
	for _, name := range []string{"X-Amz-Content-Sha256", "Accept-Encoding", "Range", "If-Match"} {
		if v := r.Header.Get(name); v != "" {
			again.Header.Set(name, v)
		}
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		return false
	}
	require.NoError(t, v4.NewSigner().SignHTTP(t.Context(), credentials, again, r.Header.Get("X-Amz-Content-Sha256"), "s3", "eu-central-1", at,
		func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }))
	return again.Header.Get("Authorization") == r.Header.Get("Authorization")
}

func (s *server) put(key string, content []byte) {
	s.t.Helper()
	_, err := s.backend.PutObject("shop", key, map[string]string{}, bytes.NewReader(content), int64(len(content)), nil)
	require.NoError(s.t, err)
}

func (s *server) read(address string) ([]byte, error) {
	object, err := s.client.Open(s.t.Context(), address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = object.Close() }()
	return io.ReadAll(object)
}

func TestExpand(t *testing.T) {
	s := newServer(t)
	for _, key := range []string{"a.csv", "exports/part-2.csv", "exports/part-1.csv", "exports/_SUCCESS", "exports/.hidden", "exports/old/part-1.csv", "exports/part-3.parquet", "odd/Zoë +&=%20?.csv"} {
		s.put(key, []byte("external_id\n"+key))
	}
	for address, want := range map[string]string{
		"s3://shop/exports/":             "exports/part-1.csv exports/part-2.csv exports/part-3.parquet",
		"s3://shop/exports/part-*.csv":   "exports/part-1.csv exports/part-2.csv",
		"s3://shop/exports/part-[13].*":  "exports/part-1.csv exports/part-3.parquet",
		"s3://shop/*/*/*":                "exports/old/part-1.csv",
		"s3://shop":                      "a.csv",
		"s3://shop/gone.csv":             "gone.csv",
		"s3://shop/odd/":                 "odd/Zoë +&=%20?.csv",
		"s3://shop/exports/*.json":       "! s3://shop/exports/*.json: no object matches",
		"s3://shop/exports/[":            "! s3://shop/exports/[: the pattern cannot be read",
		"s3://gone/":                     "! s3://gone/: there is no such bucket",
		"s3:///x":                        "! s3:///x: the URL should be like s3://BUCKET/KEY",
		"s3://key:secret@example.com/x*": "the URL should be like s3://BUCKET/KEY",
	} {
		found, err := s.client.Expand(t.Context(), address)
		if err != nil {
			assert.Contains(t, "! "+err.Error(), want)
			continue
		}
		assert.Equal(t, want, strings.ReplaceAll(strings.Join(found, " "), "s3://shop/", ""), address)
	}
	odd, err := s.read("s3://shop/odd/Zoë +&=%20?.csv")
	require.NoError(t, err)
	assert.Equal(t, "external_id\nodd/Zoë +&=%20?.csv", string(odd))
}

// TestExpandReadsAllPages checks a list that does not fit into one answer.
func TestExpandReadsAllPages(t *testing.T) {
	s := newServer(t)
	for i := range 2100 {
		s.put(fmt.Sprintf("many/%04d", i), nil)
	}
	found, err := s.client.Expand(t.Context(), "s3://shop/many/")
	require.NoError(t, err)
	assert.Len(t, found, 2100)
	assert.Equal(t, "s3://shop/many/2099", found[2099])
}

// cut is a handler that ends answers after some bytes.
func cut(next http.Handler, after int, requests *atomic.Int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		next.ServeHTTP(&cutWriter{ResponseWriter: w, left: after}, r)
	})
}

type cutWriter struct {
	http.ResponseWriter
	left int
}

func (w *cutWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p[:min(len(p), w.left)])
	if w.left -= n; w.left == 0 {
		_ = http.NewResponseController(w.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

func TestOpenContinuesALostConnection(t *testing.T) {
	s := newServer(t)
	content := make([]byte, 1<<20)
	_, _ = rand.Read(content)
	s.put("users", content)
	var requests atomic.Int64
	s.around = func(next http.Handler) http.Handler { return cut(next, 300_000, &requests) }
	read, err := s.read("s3://shop/users")
	require.NoError(t, err)
	assert.True(t, bytes.Equal(content, read))
	assert.Equal(t, int64(4), requests.Load())
}

// TestOpenIsNeverShort checks that what cannot be read to its end is an error, not the end.
func TestOpenIsNeverShort(t *testing.T) {
	content := bytes.Repeat([]byte("user\n"), 200_000)
	for name, c := range map[string]struct {
		second func(s *server, w http.ResponseWriter, r *http.Request)
		want   string
	}{
		"the server fails":          {func(_ *server, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, "the server answers with the status 503"},
		"the object was replaced":   {func(_ *server, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(412) }, "the object was replaced while it was read"},
		"the server ignores ranges": {func(_ *server, w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) }, "the server cannot continue it"},
		"the server sends another part": {func(_ *server, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Etag", r.Header.Get("If-Match"))
			w.WriteHeader(206)
			_, _ = w.Write(content[300_001:])
		}, "the server cannot continue it"},
		"the server sends a part as a whole": {func(_ *server, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Etag", r.Header.Get("If-Match"))
			w.Header().Set("Content-Length", strconv.Itoa(len(content)-300_000))
			_, _ = w.Write(content[300_000:])
		}, "the server cannot continue it"},
		"the server sends another version": {func(_ *server, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Etag", `"other"`)
			w.Header().Set("Content-Length", strconv.Itoa(len(content)-300_000))
			w.WriteHeader(206)
			_, _ = w.Write(content[300_000:])
		}, "the server cannot continue it"},
		"the object is gone": {func(_ *server, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, "there is no such object"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.put("users", content)
			var requests atomic.Int64
			s.around = func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if requests.Load() == 0 {
						cut(next, 300_000, &requests).ServeHTTP(w, r)
						return
					}
					requests.Add(1)
					c.second(s, w, r)
				})
			}
			read, err := s.read("s3://shop/users")
			var failed *s3file.Error
			require.ErrorAs(t, err, &failed)
			assert.Contains(t, err.Error(), "s3://shop/users: the download was cut off after 300000 bytes: "+c.want)
			assert.Len(t, read, 300_000)
			assert.LessOrEqual(t, requests.Load(), int64(6))
		})
	}
}

// TestOpenNeedsALength checks that an answer which ends with its connection is refused: it could be cut anywhere.
func TestOpenNeedsALength(t *testing.T) {
	for encoding, want := range map[string]string{"identity": "the server does not say how long the object is", "chunked": ""} {
		s := newServer(t)
		s.around = func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Transfer-Encoding", encoding)
				_, _ = w.Write([]byte("u1\n"))
				_ = http.NewResponseController(w).Flush()
				_, _ = w.Write([]byte("u2\n"))
			})
		}
		read, err := s.read("s3://shop/users")
		if want == "" {
			require.NoError(t, err)
			assert.Equal(t, "u1\nu2\n", string(read))
			continue
		}
		assert.ErrorContains(t, err, want)
	}
}

// TestOpenLeavesAServerThatSendsNothing checks that an answer which stops is requested again, before its first byte and in its middle.
func TestOpenLeavesAServerThatSendsNothing(t *testing.T) {
	s := newServer(t)
	content := bytes.Repeat([]byte("user\n"), 100_000)
	s.put("users", content)
	s.client.Stall = time.Second
	var requests atomic.Int64
	s.around = func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch requests.Add(1) {
			case 1:
				<-r.Context().Done()
			case 2:
				w.Header().Set("Content-Length", fmt.Sprint(len(content)))
				w.Header().Set("Etag", fmt.Sprintf("\"%x\"", md5.Sum(content)))
				_, _ = w.Write(content[:1000])
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			default:
				next.ServeHTTP(w, r)
			}
		})
	}
	read, err := s.read("s3://shop/users")
	require.NoError(t, err)
	assert.True(t, bytes.Equal(content, read))
	assert.GreaterOrEqual(t, requests.Load(), int64(3), "on a slow machine others stop, too")
	s.around = func(http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	}
	s.client.Retries, s.client.Stall = 1, 200*time.Millisecond
	_, err = s.read("s3://shop/users")
	assert.EqualError(t, err, "s3://shop/users: the server sends nothing")
}

// TestSchemeInCapitals checks that the scheme of a URL may be in capitals, as in any URL.
func TestSchemeInCapitals(t *testing.T) {
	s := newServer(t)
	s.put("exports/users.csv", []byte("u1"))
	for _, scheme := range []string{"S3://", "s3://"} {
		read, err := s.read(scheme + "shop/exports/users.csv")
		require.NoError(t, err)
		assert.Equal(t, "u1", string(read))
		found, err := s.client.Expand(t.Context(), scheme+"shop/exports/")
		require.NoError(t, err)
		assert.Equal(t, []string{"s3://shop/exports/users.csv"}, found)
		assert.True(t, s3file.IsURL(scheme))
	}
	for _, name := range []string{"", "s3", "s3:/shop/a", "s3x://shop/a"} {
		assert.False(t, s3file.IsURL(name), name)
	}
}

func TestRefusals(t *testing.T) {
	s := newServer(t)
	s.put("users", []byte("u1"))
	refuse := func(status int, region, body string) {
		s.around = func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if region != "" {
					w.Header().Set("X-Amz-Bucket-Region", region)
				}
				w.WriteHeader(status)
				_, _ = io.WriteString(w, body)
			})
		}
	}
	_, err := s.read("s3://shop/gone")
	assert.EqualError(t, err, "s3://shop/gone: there is no such object")
	refuse(301, "us-west-2", "")
	_, err = s.read("s3://shop/users")
	assert.EqualError(t, err, "s3://shop/users: the bucket is in the region us-west-2: set AWS_REGION=us-west-2")
	refuse(403, "", "<Error><Code>AccessDenied</Code></Error>")
	_, err = s.read("s3://shop/users")
	assert.ErrorContains(t, err, "access is denied (AccessDenied): check AWS_ACCESS_KEY_ID")
	for code, want := range map[string]string{
		"400 ExpiredToken":         "the credentials have expired: get new ones",
		"400 InvalidToken":         "the server does not know the session token",
		"403 InvalidAccessKeyId":   "the server does not know the access key: check AWS_ACCESS_KEY_ID",
		"403 RequestTimeTooSkewed": "the clock of this machine differs from the server's",
		"403 InvalidObjectState":   "the object is in an archive (Glacier, Deep Archive): restore it first",
		"400 InvalidBucketName":    "this cannot be the name of a bucket",
		"404 NoSuchBucket":         "there is no such bucket",
		"403 AllAccessDisabled":    "the server refuses all access to this bucket or account",
	} {
		var status int
		var name string
		_, err := fmt.Sscan(code, &status, &name)
		require.NoError(t, err)
		refuse(status, "", "<Error><Code>"+name+"</Code></Error>")
		_, err = s.read("s3://shop/users")
		assert.ErrorContains(t, err, "s3://shop/users: "+want)
		assert.ErrorContains(t, err, "("+name+")")
	}
	refuse(200, "", "<html>")
	_, err = s.client.Expand(t.Context(), "s3://shop/")
	assert.ErrorContains(t, err, "is AWS_ENDPOINT_URL the address of a server of S3?")
	s.around = nil
	s.client.Credentials.SecretAccessKey = "wrong"
	_, err = s.read("s3://shop/users")
	assert.ErrorContains(t, err, "the secret key does not belong to the access key: check AWS_SECRET_ACCESS_KEY (SignatureDoesNotMatch)")
	s.client.Credentials = aws.Credentials{}
	_, err = s.read("s3://shop/users")
	assert.ErrorContains(t, err, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	s.client.Endpoint = "http://127.0.0.1:1"
	_, err = s.read("s3://shop/users")
	assert.EqualError(t, err, "s3://shop/users: connection refused: nothing listens there")
	s.client.Endpoint = "minio:9000"
	_, err = s.read("s3://shop/users")
	assert.ErrorContains(t, err, "the endpoint in AWS_ENDPOINT_URL should be a URL")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.client.Open(ctx, "s3://shop/users")
	assert.Error(t, err)
}

// TestAddressesOfAWS checks the hosts without an endpoint.
func TestAddressesOfAWS(t *testing.T) {
	var asked []string
	client := s3file.FromEnvironment(func(string) string { return "" })
	client.Retries = -1
	client.HTTP = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.URL.String())
		return nil, &url.Error{Op: "Get", URL: r.URL.String(), Err: errors.New("no")}
	})}
	for _, address := range []string{"s3://shop/a b", "s3://shop.example.com/a"} {
		_, err := client.Open(t.Context(), address)
		assert.EqualError(t, err, address+": the connection failed")
	}
	assert.Equal(t, []string{"https://shop.s3.us-east-1.amazonaws.com/a%20b", "https://s3.us-east-1.amazonaws.com/shop.example.com/a"}, asked)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
