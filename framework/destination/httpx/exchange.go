package httpx

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"
)

// Exchange is a request and what came of it, for people to read: secrets are replaced by Hidden, and long bodies are cut
// off with a note. The URL is the real one, also where a Redirect sends the request elsewhere.
type Exchange struct {
	Method         string        `json:"method"`
	URL            string        `json:"url"`
	Header         http.Header   `json:"header,omitempty"` // as sent; what Authorize has set is hidden
	Body           []byte        `json:"-"`
	Status         int           `json:"status,omitempty"` // 0 where no answer came
	ResponseHeader http.Header   `json:"responseHeader,omitempty"`
	ResponseBody   []byte        `json:"-"`
	Start          time.Time     `json:"start"`
	Duration       time.Duration `json:"-"` // to the end of the answer, the wait for a rate limit included
	Err            error         `json:"-"` // a *fault.Error, or nil where an answer came, whatever its status
}

// MarshalJSON writes bodies that are JSON as such and others as strings, and the duration in milliseconds.
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
	quoted, _ := json.Marshal(string(body)) // a string can always be written
	return quoted
}

// truncateBody shortens a body to at most most bytes of text and a note.
func truncateBody(body []byte, most int) []byte {
	if len(body) <= most {
		return body
	}
	end := most
	for end > 0 && most-end < utf8.UTFMax && !utf8.RuneStart(body[end]) {
		end--
	}
	return fmt.Appendf(body[:end:end], "… [%d bytes in all]", len(body))
}
