package s3file_test

import (
	"context"
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

// sized is an answer whose body has another length than it says.
func sized(r *http.Request, size int64, body string) *http.Response {
	return &http.Response{StatusCode: 200, Header: http.Header{}, Request: r, ContentLength: size, Body: io.NopCloser(strings.NewReader(body))}
}

// An object ends where the server has said, or at the end of an answer in chunks. An answer that ends before it is cut off.
func TestEndsOfObjects(t *testing.T) {
	for name, c := range map[string]struct {
		size    int64
		chunked bool
		opened  string // the error of Open
		read    string // the error of Read
	}{
		"complete":         {size: 3},
		"in chunks":        {size: -1, chunked: true},
		"cut off":          {size: 4, read: "s3://shop/users: the download was cut off after 3 bytes: the connection failed"},
		"longer":           {size: 2, read: "s3://shop/users: the download was cut off after 3 bytes: the connection failed"},
		"without a length": {size: -1, opened: "s3://shop/users: the server does not say how long the object is, so that a part of it could be taken for the whole"},
	} {
		client := s3file.FromEnvironment(map2env(nil))
		client.HTTP = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			answer := sized(r, c.size, "u1\n")
			if c.chunked {
				answer.TransferEncoding = []string{"chunked"}
			}
			return answer, nil
		})}
		object, err := client.Open(t.Context(), "s3://shop/users")
		if c.opened != "" {
			assert.EqualError(t, err, c.opened, name)
			continue
		}
		require.NoError(t, err, name)
		content, err := io.ReadAll(object)
		assert.Equal(t, "u1\n", string(content))
		if c.read != "" {
			assert.EqualError(t, err, c.read, name)
			_, again := object.Read(make([]byte, 1))
			assert.Equal(t, err, again)
		} else {
			assert.NoError(t, err, name)
		}
		require.NoError(t, object.Close())
	}
}

// A command that ends does not blame the server for a download that it has cancelled.
func TestCancelledDownloads(t *testing.T) {
	client := s3file.FromEnvironment(map2env(nil))
	client.HTTP = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{"Etag": {"1"}}, Request: r, ContentLength: 10, Body: stalling{strings.NewReader("u1\n"), r}}, nil
	})}
	ctx, cancel := context.WithCancel(t.Context())
	object, err := client.Open(ctx, "s3://shop/users")
	require.NoError(t, err)
	_, err = object.Read(make([]byte, 3))
	require.NoError(t, err)
	cancel()
	_, err = object.Read(make([]byte, 3))
	assert.Equal(t, context.Canceled, err)
	require.NoError(t, object.Close())
}

// A server that does not answer at all is asked again, after a longer pause each time, and the error says what it does not do.
func TestServersThatDoNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := s3file.FromEnvironment(map2env(nil))
		var times []time.Time
		client.HTTP = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			times = append(times, time.Now())
			<-r.Context().Done()
			return nil, r.Context().Err()
		})}
		_, err := client.Open(t.Context(), "s3://shop/users")
		assert.EqualError(t, err, "s3://shop/users: the server sends nothing")
		require.Len(t, times, 5)
		for i, pause := range []time.Duration{500, 1000, 2000, 4000} {
			assert.Equal(t, time.Minute+pause*time.Millisecond, times[i+1].Sub(times[i]))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = client.Expand(ctx, "s3://shop/exports/")
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Len(t, times, 6)
	})
}

// The object with the name of a folder, which some programs create, is not one of the files in it.
func TestFoldersAreNoFiles(t *testing.T) {
	client, _ := answering(nil, func(*http.Request) (int, string) {
		return 200, "<ListBucketResult><Contents><Key>exports/</Key></Contents><Contents><Key>exports/a</Key></Contents><Contents><Key>exports/b/</Key></Contents>" +
			"<Contents><Key>exports/.c</Key></Contents><Contents><Key>exports/_d</Key></Contents></ListBucketResult>"
	})
	found, err := client.Expand(t.Context(), "s3://shop/exports/")
	require.NoError(t, err)
	assert.Equal(t, []string{"s3://shop/exports/a"}, found)
}

// failing is a body that ends with an error.
type failing struct{ io.Reader }

func (f failing) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// An object without a length cannot be continued, since its end would not be known.
func TestObjectsWithoutALengthAreNotContinued(t *testing.T) {
	client := s3file.FromEnvironment(map2env(nil))
	requests := 0
	client.HTTP = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		requests++
		body := io.NopCloser(failing{strings.NewReader("u1\n")})
		return &http.Response{StatusCode: 200, Header: http.Header{"Etag": {"1"}}, Request: r, ContentLength: -1, TransferEncoding: []string{"chunked"}, Body: body}, nil
	})}
	object, err := client.Open(t.Context(), "s3://shop/users")
	require.NoError(t, err)
	_, err = io.ReadAll(object)
	assert.EqualError(t, err, "s3://shop/users: the download was cut off after 3 bytes: the connection failed")
	assert.Equal(t, 1, requests)
	require.NoError(t, object.Close())
}
