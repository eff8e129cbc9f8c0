package sample

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// record is a user to import.
type record struct{ id, n string }

// Decode sets the record from a value that has passed its schema.
func (r *record) Decode(v event.Value) { r.id, r.n = v.Get("id").Str(), v.Get("n").Text() }

// importUsers starts an import of all users. An operation is the id of the import and of the user.
func importUsers(ctx context.Context, call destination.BatchCall[settings, record]) (*destination.MultiStatus, error) {
	lines := make([]string, len(call.Payloads))
	for i, r := range call.Payloads {
		lines[i] = r.id + " " + r.n
	}
	response, err := call.Client.Do(ctx, destination.Request{Method: http.MethodPost, URL: base + "/imports", Text: strings.Join(lines, "\n")})
	if err != nil {
		return nil, err
	}
	ms := destination.NewMultiStatus(len(lines))
	for i := range lines {
		ms.Pend(i, response.Body.Get("id").Str()+"/"+call.Payloads[i].id)
	}
	return ms, nil
}

// pollImports polls all imports with one request.
func pollImports(ctx context.Context, call destination.PollCall[settings]) (*destination.MultiStatus, error) {
	response, err := call.Client.Do(ctx, destination.Request{Method: http.MethodGet, URL: base + "/imports", Query: url.Values{"of": call.Operations}})
	if err != nil {
		return nil, err
	}
	ms := destination.NewMultiStatus(len(call.Operations))
	for i, operation := range call.Operations {
		switch response.Body.Get(operation).Str() {
		case "done":
			ms.Deliver(i)
		case "working":
			ms.Pend(i, operation)
		default:
			ms.Fail(i, fault.Invalid("the import has refused the user"))
		}
	}
	return ms, nil
}
