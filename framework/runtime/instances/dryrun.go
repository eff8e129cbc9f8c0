package instances

import (
	"net/http"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
)

// dryRun is the transport of a dry run, which sends nothing. The sandbox answers, because some requests depend on the answers to others.
// A change that the sandbox refuses counts as accepted: it lacks what earlier events have created at the remote.
type dryRun struct{ sandbox http.RoundTripper }

// newDryRun returns the transport of a dry run. Without a sandbox, each request gets an empty object.
func newDryRun(p destination.Plugin) http.RoundTripper {
	if p.Sandbox == nil || p.Sandbox.Mistakes(nil) != nil {
		return httpx.Discard()
	}
	return dryRun{sandbox.Transport(p.Sandbox.New(nil))}
}

func (d dryRun) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := d.sandbox.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if response.StatusCode < http.StatusBadRequest || r.Method == http.MethodGet {
		return response, nil
	}
	_ = response.Body.Close()
	return httpx.Discard().RoundTrip(r)
}
