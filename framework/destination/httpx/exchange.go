package httpx

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"
)

// Exchange is a request and its response, for showing to users: secrets are replaced by Hidden, and long bodies are truncated
// with a note. The URL is the original one, also with Redirect.
type Exchange struct {
	Method         string        `json:"method"`
	URL            string        `json:"url"`
	Header         http.Header   `json:"header,omitempty"` // as sent; headers that Authorize has set are hidden
	Body           []byte        `json:"-"`
	Status         int           `json:"status,omitempty"` // 0 if there was no response
	ResponseHeader http.Header   `json:"responseHeader,omitempty"`
	ResponseBody   []byte        `json:"-"`
	Start          time.Time     `json:"start"`
	Duration       time.Duration `json:"-"` // until the end of the response, including the wait for a rate limit
	Err            error         `json:"-"` // a *fault.Error; nil if there was a response, whatever its status
}

// MarshalJSON encodes JSON bodies as JSON and others as strings, and the duration in milliseconds.
func (e Exchange) MarshalJSON() ([]byte, error) {
	type plain Exchange
	view := struct {
		plain
		Body         json.RawMessage `json:"body,omitempty"`
		ResponseBody json.RawMessage `json:"responseBody,omitempty"`
		Milliseconds float64         `json:"durationMs"`
		Error        string          `json:"error,omitempty"`
	}{
		plain: plain(e), Body: bodyJSON(e.Body), ResponseBody: bodyJSON(e.ResponseBody),
		Milliseconds: float64(e.Duration.Microseconds()) / 1000,
	}
	if e.Err != nil {
		view.Error = e.Err.Error()
	}
	return json.Marshal(view)
}

func bodyJSON(body []byte) json.RawMessage {
	if len(body) == 0 || json.Valid(body) {
		return body
	}
	quoted, _ := json.Marshal(string(body)) // cannot fail for a string
	return quoted
}

// truncateBody shortens a body to at most most bytes and a note with the size of the whole.
func truncateBody(body []byte, most, whole int) []byte {
	if len(body) <= most {
		return body
	}
	end := most
	for end > 0 && most-end < utf8.UTFMax && !utf8.RuneStart(body[end]) {
		end--
	}
	return fmt.Appendf(body[:end:end], "… [%d bytes in all]", whole)
}
