package braze

import (
	"context"
	"errors"
	"net/http"

	"github.com/landfall-dev/landfall/destinations/internal/brazeendpoint"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
)

// api sends an instance's requests. The definition adds the key.
type api struct {
	endpoint string
	client   destination.Client
}

func newAPI(s Settings, client destination.Client) (*api, error) {
	endpoint, err := brazeendpoint.Parse(s.Endpoint)
	if err != nil {
		return nil, fault.Invalid("%v", err)
	}
	return &api{endpoint: endpoint.String(), client: client}, nil
}

// sendRequest sends one request with a number of objects. Braze requires a header if there are several, and then applies other
// limits.
func (a *api) sendRequest(ctx context.Context, method, path string, body []byte, objects int) (*destination.Response, error) {
	header := http.Header{}
	if objects > 1 && path == usersTrack.path {
		header.Set("X-Braze-Batch", "true")
	}
	response, err := a.client.Do(ctx, destination.Request{Method: method, URL: a.endpoint + path, Header: header, Body: body})
	return response, a.explainError(err)
}

// explainError adds Braze's reason for the first error of a refusal to the message.
func (a *api) explainError(err error) error {
	var refusal *destination.Refusal
	if !errors.As(err, &refusal) {
		return err
	}
	first := refusal.Body.Get("errors").Index(0)
	why := first.Get("message").Str()
	if why == "" {
		why = first.Get("type").Str()
	}
	if why == "" {
		return err
	}
	e := *fault.As(err)
	e.Message = a.client.Redact(why) + " (" + e.Error() + ")"
	return &e
}
