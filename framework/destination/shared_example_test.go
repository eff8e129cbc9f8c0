package destination_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/fault"
)

func archive(ctx context.Context, call destination.Call[Settings, ContactPayload]) (*destination.Response, error) {
	return call.Client.Do(ctx, destination.Request{
		Method: http.MethodPost, URL: crm + "/archive", JSON: call.Event, Query: url.Values{"email": {call.Mapping.Get("email").JSON()}},
	})
}

// An action that declares it gets the event and the mapping.
func ExampleCall() {
	plugin := destination.Plugin{Actions: contacts(destination.Handler[Settings, ContactPayload]{Perform: archive})}
	send(planOf(plugin, "\nactions:\n    reads: [event, mapping]\n", "", ""), ada)
	// Output:
	// POST /archive?email=%7B%22%40path%22%3A%22%24.traits.email%22%7D {"type":"identify","userId":"1","traits":{"email":"ada@x.test"}}
	// → delivered
}

// crmSDK stands for the SDK of a vendor, which takes an http.Client.
type crmSDK struct {
	base string
	http *http.Client
}

// CreateContact creates a contact.
func (s crmSDK) CreateContact(ctx context.Context, address string) error {
	body, err := json.Marshal(map[string]string{"email": address})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+"/contacts", strings.NewReader(string(body)))
	if err != nil {
		return err
	}
	response, err := s.http.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		return fault.FromStatus(response.StatusCode, "the SDK was refused")
	}
	return nil
}

func createWithSDK(ctx context.Context, call destination.Call[Settings, ContactPayload]) (*destination.Response, error) {
	sdk := crmSDK{base: crm, http: call.Client.HTTPClient()}
	return nil, sdk.CreateContact(ctx, call.Payload.Email)
}

// The SDK of a vendor sends with the client.
func ExampleClient_HTTPClient() {
	plugin := destination.Plugin{Actions: contacts(destination.Handler[Settings, ContactPayload]{Perform: createWithSDK})}
	send(planOf(plugin, "", "", ""), ada)
	// Output:
	// POST /contacts {"email":"ada@x.test"}
	// → delivered
}

type session struct {
	client destination.Client
	id     string
}

func (s *session) Close(ctx context.Context) error {
	_, err := s.client.Do(ctx, destination.Request{Method: http.MethodDelete, URL: crm + "/sessions/" + s.id})
	return err
}

func openSession(ctx context.Context, in destination.OpenInput) (destination.Opened, error) {
	response, err := in.Client.Do(ctx, destination.Request{Method: http.MethodPost, URL: crm + "/sessions"})
	if err != nil {
		return nil, err
	}
	return &session{client: in.Client, id: response.Body.Get("id").Str()}, nil
}

func createInSession(ctx context.Context, call destination.Call[Settings, ContactPayload]) (*destination.Response, error) {
	return call.Client.Do(ctx, destination.Request{
		Method: http.MethodPost, URL: crm + "/contacts", JSON: email(call.Payload.Email), Query: url.Values{"session": {call.Opened.(*session).id}},
	})
}

// The handlers of an instance share a session, which is closed with the plan.
func ExamplePlugin_open() {
	plugin := destination.Plugin{Actions: contacts(destination.Handler[Settings, ContactPayload]{Perform: createInSession}), Open: openSession}
	plan := planOf(plugin, "", "", "")
	send(plan, ada, bob)
	_ = plan.Close(context.Background())
	// Output:
	// POST /sessions
	// POST /contacts?session=l1 {"email":"ada@x.test"}
	// POST /contacts?session=l1 {"email":"bob@x.test"}
	// → delivered
	// → delivered
	// DELETE /sessions/l1
}
