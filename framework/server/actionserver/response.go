package actionserver

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/fault"
)

// exchangeSummary is a request that was sent with its response, in the format of Segment's server.
type exchangeSummary struct {
	Request  requestSummary  `json:"request"`
	Response responseSummary `json:"response"`
}

// requestSummary is a request that was sent.
type requestSummary struct {
	URL     string            `json:"url"`
	Method  string            `json:"method"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

// responseSummary is the response to a request.
type responseSummary struct {
	StatusCode    int               `json:"statusCode"`
	StatusMessage string            `json:"statusMessage"`
	Headers       map[string]string `json:"headers"`
	Body          any               `json:"body"` // JSON value, or a string if the body is not JSON
}

// exchangeSummaries returns the requests that were sent.
func (c *call) exchangeSummaries() []exchangeSummary {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]exchangeSummary, len(c.exchanges))
	for i, x := range c.exchanges {
		list[i] = newSummary(x)
	}
	return list
}

// newSummary returns the summary of an exchange.
func newSummary(x httpx.Exchange) exchangeSummary {
	s := exchangeSummary{
		requestSummary{URL: x.URL, Method: x.Method, Headers: flattenHeader(x.Header), Body: string(x.Body)},
		responseSummary{StatusCode: x.Status, StatusMessage: http.StatusText(x.Status), Headers: flattenHeader(x.ResponseHeader), Body: string(x.ResponseBody)},
	}
	if json.Valid(x.ResponseBody) {
		s.Response.Body = json.RawMessage(x.ResponseBody)
	}
	return s
}

// flattenHeader returns a header with lower-case names and joined values.
func flattenHeader(header http.Header) map[string]string {
	all := map[string]string{}
	for name, values := range header {
		all[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	return all
}

// failure says why an action failed.
type failure struct {
	StatusCode   int               `json:"statusCode"`
	Message      string            `json:"message"`
	Fields       map[string]string `json:"fields,omitempty"` // errors in the payload or the settings, by field
	RequestError bool              `json:"requestError"`
}

// failureList returns a failure in the format of Segment's server.
func failureList(status int, message string, fields map[string]string) []failure {
	return []failure{{status, message, fields, true}}
}

// failureOf returns the failure for a request that could not be started.
func failureOf(err error) []failure {
	return failureList(http.StatusBadRequest, err.Error(), byField(fault.ProblemsOf(err), "/settings/"))
}
