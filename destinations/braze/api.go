package braze

import (
	"context"
	"errors"
	"net/http"

	"github.com/landfall-dev/landfall/destinations/internal/brazeendpoint"
	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
)

// api is where an instance's requests go. Their key is the definition's to add.
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

// send sends one request that holds so many objects. Braze wants to be told of more than one: its limits are others then.
func (a *api) send(ctx context.Context, method, path string, body []byte, objects int) (*destination.Response, error) {
	header := http.Header{}
	if objects > 1 && path == usersTrack.path {
		header.Set("X-Braze-Batch", "true")
	}
	answer, err := a.client.Do(ctx, destination.Request{Method: method, URL: a.endpoint + path, Header: header, Body: body})
	return answer, a.explained(err)
}

// explained is a refusal with what Braze says of the first thing that is wrong behind its message.
func (a *api) explained(err error) error {
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
