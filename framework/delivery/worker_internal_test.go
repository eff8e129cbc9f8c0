package delivery

import (
	"errors"
	"net/url"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
)

func TestFailureStatusNamesNoUser(t *testing.T) {
	const user = "https://a.example/users/ann@example.com"
	for want, x := range map[string]*httpx.Exchange{
		"connection refused: nothing listens there": {Err: &url.Error{Op: "Get", URL: user, Err: syscall.ECONNREFUSED}},
		"the request failed":                        {Err: &url.Error{Op: "Get", URL: user, Err: errors.New("unexpected EOF")}},
		"Not Found":                                 {Status: 404, ResponseBody: []byte(`{"error": "no user ann@example.com"}`)},
	} {
		assert.Equal(t, want, failureStatus(x))
	}
}
