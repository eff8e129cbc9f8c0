package actionserver

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/fault"
)

// summary is a request that was made, and its answer, as Segment's server shows them.
type summary struct {
	Request  asked    `json:"request"`
	Response answered `json:"response"`
}

type asked struct {
	URL     string            `json:"url"`
	Method  string            `json:"method"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

type answered struct {
	StatusCode    int               `json:"statusCode"`
	StatusMessage string            `json:"statusMessage"`
	Headers       map[string]string `json:"headers"`
	Body          any               `json:"body"` // JSON where it is some, else text
}

// summaries are the requests that were made.
func (c *call) summaries() []summary {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]summary, len(c.exchanges))
	for i, x := range c.exchanges {
		list[i] = summarize(x)
	}
	return list
}

func summarize(x httpx.Exchange) summary {
	s := summary{
		asked{URL: x.URL, Method: x.Method, Headers: plain(x.Header), Body: string(x.Body)},
		answered{StatusCode: x.Status, StatusMessage: http.StatusText(x.Status), Headers: plain(x.ResponseHeader), Body: string(x.ResponseBody)},
	}
	if json.Valid(x.ResponseBody) {
		s.Response.Body = json.RawMessage(x.ResponseBody)
	}
	return s
}

func plain(header http.Header) map[string]string {
	all := map[string]string{}
	for name, values := range header {
		all[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	return all
}

// failure is why an action was not performed.
type failure struct {
	StatusCode   int               `json:"statusCode"`
	Message      string            `json:"message"`
	Fields       map[string]string `json:"fields,omitempty"` // what is wrong with the payload, or the settings
	RequestError bool              `json:"requestError"`
}

func failed(status int, message string, fields map[string]string) []failure {
	return []failure{{status, message, fields, true}}
}

// refusal is the failure of what cannot even begin.
func refusal(err error) []failure {
	e := fault.As(err)
	status := http.StatusBadRequest
	if e.Status != 0 && e.Code != fault.CodeInternal {
		status = e.Status
	}
	return failed(status, err.Error(), byField(fault.ProblemsOf(err), "/settings/"))
}
