package request

import (
	"net/http"
	"slices"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// graphQL says how errors of a GraphQL API are read, which come with the status 200.
type graphQL struct {
	retryCodes []string
}

// graphQLStatuses are the HTTP statuses of the codes that GraphQL servers have in common.
var graphQLStatuses = map[string]int{
	"UNAUTHENTICATED": http.StatusUnauthorized, "FORBIDDEN": http.StatusForbidden, "INTERNAL_SERVER_ERROR": http.StatusInternalServerError,
}

// compileGraphQL compiles how the errors of a GraphQL API are read; nil if v is absent.
func (c *compiler) compileGraphQL(v event.Value, errors []*errorList, place string) *graphQL {
	if v.Kind() == event.Absent {
		return nil
	}
	for _, l := range errors {
		if slices.Equal(l.path.Keys(), []string{"errors"}) {
			c.problems.Add(place, "fails all payloads if there are errors: leave it out, since errors reads the same list for single payloads")
		}
	}
	g := &graphQL{}
	for _, code := range v.Get("retryCodes").Items() {
		g.retryCodes = append(g.retryCodes, code.Text())
	}
	return g
}

// failure returns the failure that the errors of a response report; nil if there are none.
func (g *graphQL) failure(body event.Value) *fault.Error {
	list := body.Get("errors")
	if g == nil || !list.Exists() || list.Len() == 0 && list.Kind() == event.Array {
		return nil
	}
	first := list.Index(0)
	code, message := first.Get("extensions").Get("code").Text(), first.Get("message").Text()
	if message == "" {
		message = list.JSON()
	}
	if code != "" {
		message = code + ": " + message
	}
	status, known := graphQLStatuses[code]
	if !known {
		status = http.StatusBadRequest
	}
	e := fault.FromStatus(status, message)
	e.Retry = e.Retry || slices.Contains(g.retryCodes, code)
	return e
}
