package httpx_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/fault"
)

// A request is reported without its secrets, and its failure says whether it may be repeated.
func ExampleNew() {
	remote := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	defer remote.Close()
	transport := httpx.New(httpx.Config{
		Base:    httpx.NewTransport(httpx.TransportConfig{}),
		Observe: func(x httpx.Exchange) { fmt.Println(x.Method, x.Header.Get("Authorization"), x.Status) },
	})
	request, err := http.NewRequest(http.MethodPost, remote.URL, strings.NewReader("{}"))
	if err != nil {
		fmt.Println(err)
		return
	}
	request.Header.Set("Authorization", "Bearer 1234")
	response, err := transport.RoundTrip(request)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	fmt.Println(fault.Retryable(response.StatusCode))
	// Output:
	// POST Bearer [hidden] 503
	// true
}
