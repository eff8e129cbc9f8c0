package s3file_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/files/s3file"
)

// answering is a client whose requests a function answers.
func answering(env map[string]string, answer func(r *http.Request) (status int, body string)) (client *s3file.Client, requests *[]*http.Request) {
	requests = &[]*http.Request{}
	client = s3file.FromEnvironment(map2env(env))
	client.Pause = 1
	client.HTTP = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		*requests = append(*requests, r)
		status, body := answer(r)
		return &http.Response{StatusCode: status, Header: http.Header{}, Request: r, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body))}, nil
	})}
	return client, requests
}

// TestOnlyTemporaryRefusalsAreTriedAgain checks how often a request is sent that the server refuses.
func TestOnlyTemporaryRefusalsAreTriedAgain(t *testing.T) {
	for status, want := range map[int]int{400: 1, 401: 1, 403: 1, 404: 1, 412: 1, 429: 5, 499: 1, 500: 5, 503: 5} {
		client, requests := answering(nil, func(*http.Request) (int, string) { return status, "" })
		_, err := client.Open(t.Context(), "s3://shop/users")
		assert.Error(t, err, status)
		assert.Len(t, *requests, want, status)
		client.Retries = -1
		_, err = client.Expand(t.Context(), "s3://shop/exports/")
		assert.Error(t, err, status)
		assert.Len(t, *requests, want+1, status)
	}
}

// TestRefusalsSayWhatToDo checks the messages that depend on more than the code of the server.
func TestRefusalsSayWhatToDo(t *testing.T) {
	login := map[string]string{"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
	for _, c := range []struct {
		env    map[string]string
		status int
		body   string
		want   string
	}{
		{login, 401, "", "access is denied: check AWS_ACCESS_KEY_ID"},
		{login, 403, "", "access is denied: check AWS_ACCESS_KEY_ID"},
		{nil, 403, "<Error><Code>AccessDenied</Code></Error>", "access is denied (AccessDenied): set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"},
		{nil, 403, "<Error><Code>InvalidObjectState</Code></Error>", "the object is in an archive"},
		{nil, 404, "<Error><Code>NoSuchBucket</Code></Error>", "there is no such bucket (NoSuchBucket)"},
		{login, 418, "<Error><Code>Teapot</Code></Error>", "the server answers with the status 418 (Teapot)"},
		{login, 418, "tea", "the server answers with the status 418"},
		{login, 400, "<Error><Code>AuthorizationHeaderMalformed</Code><Region>us-west-2</Region></Error>", "the bucket is in the region us-west-2: set AWS_REGION=us-west-2"},
		{login, 400, "<Error><Code>Other</Code><Region>eu-west-1</Region></Error>", "the server answers with the status 400 (Other)"},
	} {
		client, _ := answering(c.env, func(*http.Request) (int, string) { return c.status, c.body })
		_, err := client.Open(t.Context(), "s3://shop/users")
		if assert.ErrorContains(t, err, "s3://shop/users: "+c.want, c.body) {
			assert.NotContains(t, err.Error(), "secret ")
		}
	}
}

// TestListsAreBounded checks that a list ends: at the limit of matching objects, and if the server has no or the same next page.
func TestListsAreBounded(t *testing.T) {
	page := func(first, n int, next string) string {
		var b strings.Builder
		b.WriteString("<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>" + next + "</NextContinuationToken>")
		for i := range n {
			fmt.Fprintf(&b, "<Contents><Key>exports/%d</Key></Contents>", first+i)
		}
		return b.String() + "</ListBucketResult>"
	}
	n := 0
	client, requests := answering(nil, func(*http.Request) (int, string) { n += 1000; return 200, page(n, 1000, fmt.Sprint(n)) })
	_, err := client.Expand(t.Context(), "s3://shop/exports/")
	assert.EqualError(t, err, "s3://shop/exports/: more than 10000 objects match: choose a longer prefix")
	assert.Len(t, *requests, 11)
	assert.Equal(t, "1000", (*requests)[1].URL.Query().Get("continuation-token"))
	for _, next := range []string{"", "same"} {
		client, requests = answering(nil, func(*http.Request) (int, string) { return 200, page(0, 1, next) })
		_, err = client.Expand(t.Context(), "s3://shop/exports/")
		assert.ErrorContains(t, err, "choose a longer prefix before the first of the characters")
		assert.LessOrEqual(t, len(*requests), 2)
	}
	client, _ = answering(nil, func(*http.Request) (int, string) {
		return 200, "<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>exports/%zz</Key></Contents></ListBucketResult>"
	})
	_, err = client.Expand(t.Context(), "s3://shop/exports/")
	assert.EqualError(t, err, "s3://shop/exports/: the server lists a key that cannot be read")
}

// TestEnvironment checks which variables name the server, and that requests without a key have no signature.
func TestEnvironment(t *testing.T) {
	for _, c := range []struct {
		env         map[string]string
		url, signed string
	}{
		{nil, "https://shop.s3.us-east-1.amazonaws.com/users", ""},
		{map[string]string{"AWS_DEFAULT_REGION": "eu-west-1"}, "https://shop.s3.eu-west-1.amazonaws.com/users", ""},
		{map[string]string{"AWS_DEFAULT_REGION": "eu-west-1", "AWS_REGION": "eu-west-2"}, "https://shop.s3.eu-west-2.amazonaws.com/users", ""},
		{map[string]string{"AWS_ENDPOINT_URL": "https://minio.example.com:9000"}, "https://minio.example.com:9000/shop/users", ""},
		{map[string]string{"AWS_ENDPOINT_URL": "https://a.example", "AWS_ENDPOINT_URL_S3": "http://user:pass@b.example/base/?x=1#y"}, "http://b.example/base/shop/users", ""},
		{map[string]string{"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}, "https://shop.s3.us-east-1.amazonaws.com/users", "AWS4-HMAC-SHA256 Credential=key/"},
	} {
		client, requests := answering(c.env, func(*http.Request) (int, string) { return 200, "u1" })
		object, err := client.Open(t.Context(), "s3://shop/users")
		require.NoError(t, err)
		content, err := io.ReadAll(object)
		require.NoError(t, err)
		require.NoError(t, object.Close())
		assert.Equal(t, "u1", string(content))
		r := (*requests)[0]
		assert.Equal(t, c.url, r.URL.String())
		assert.True(t, strings.HasPrefix(r.Header.Get("Authorization"), c.signed) && (c.signed == "") == (r.Header.Get("Authorization") == ""), r.Header)
		assert.Equal(t, "identity", r.Header.Get("Accept-Encoding"), "an encoded answer would have another length")
	}
	escaped, asked := answering(nil, func(*http.Request) (int, string) { return 200, "" })
	object, err := escaped.Open(t.Context(), "s3://shop/AZaz09-._~/@[`{^|é!")
	require.NoError(t, err)
	require.NoError(t, object.Close())
	assert.Equal(t, "/AZaz09-._~/%40%5B%60%7B%5E%7C%C3%A9%21", (*asked)[0].URL.EscapedPath(), "the signature is of this form")
	for _, endpoint := range []string{"ftp://a.example", "https://", "://", "a.example"} {
		client, requests := answering(map[string]string{"AWS_ENDPOINT_URL": endpoint}, func(*http.Request) (int, string) { return 200, "" })
		_, err := client.Open(t.Context(), "s3://shop/users")
		assert.ErrorContains(t, err, "the endpoint in AWS_ENDPOINT_URL should be a URL", endpoint)
		assert.Empty(t, *requests)
	}
	client, _ := answering(nil, func(*http.Request) (int, string) { return 200, "" })
	_, err = client.Open(t.Context(), "s3://shop/")
	assert.EqualError(t, err, "s3://shop/: the URL should be like s3://BUCKET/KEY")
}

// stalling is a body that sends some bytes and then nothing.
type stalling struct {
	io.Reader
	r *http.Request
}

func (s stalling) Read(p []byte) (int, error) {
	if n, _ := s.Reader.Read(p); n > 0 {
		return n, nil
	}
	<-s.r.Context().Done()
	return 0, s.r.Context().Err()
}

func (s stalling) Close() error { return nil }

// TestDownloadsThatStopSayWhy checks the error of a download that brings nothing more and cannot be continued.
func TestDownloadsThatStopSayWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := s3file.FromEnvironment(map2env(nil))
		client.Stall, client.Retries = 20*time.Millisecond, -1
		client.HTTP = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{"Etag": {"1"}}, Request: r, ContentLength: 10, Body: stalling{strings.NewReader("u1\n"), r}}, nil
		})}
		object, err := client.Open(t.Context(), "s3://shop/users")
		require.NoError(t, err)
		content, err := io.ReadAll(object)
		assert.Equal(t, "u1\n", string(content))
		assert.EqualError(t, err, "s3://shop/users: the download was cut off after 3 bytes: the server sends nothing")
		require.NoError(t, object.Close())
	})
}
