package ingest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/landfall-dev/landfall/framework/event"
)

const (
	firstBuffer = 4 << 10
	// parseFactor is about how many bytes the index of a body takes for each byte of it.
	parseFactor = 8
	// maxRatio bounds how far a body may expand, beyond freeExpansion. JSON of events compresses 10 to 30 times.
	maxRatio      = 100
	freeExpansion = 512 << 10
)

var gunzips sync.Pool // of *gzip.Reader

// read reads the body, decompresses and parses it. Memory is reserved and used as the bytes arrive.
func (q *request) read() (body event.Value, refused *refusal) {
	most := q.config.MaxBatch
	if q.r.ContentLength > int64(most) {
		return body, q.tooLarge()
	}
	encoding := strings.ToLower(strings.TrimSpace(q.r.Header.Get("Content-Encoding")))
	zipped := encoding == "gzip" || encoding == "x-gzip"
	if !zipped && encoding != "" && encoding != "identity" {
		return body, &refusal{outcome: "refused", status: http.StatusUnsupportedMediaType, message: "Content-Encoding should be gzip or nothing"}
	}
	raw, refused := q.receive(!zipped)
	if refused == nil && zipped {
		raw, refused = q.decompress(raw)
	}
	if refused != nil {
		return body, refused
	}
	q.work = len(raw)
	return q.parse(raw)
}

// receive reads the body as it is sent. If it is text, the write key is looked for in what has come, so that a long request
// without a valid one is refused early.
func (q *request) receive(text bool) (raw []byte, refused *refusal) {
	from := newPaced(q.w, http.MaxBytesReader(q.w, q.r.Body, int64(q.config.MaxBatch)), q.config.BodyGrace, q.config.BodyRate)
	defer from.end()
	var first [1]byte
	n, err := from.Read(first[:]) // a client that sends nothing gets no buffer
	if n > 0 {
		if raw, refused = q.makeSpace(nil, q.config.MaxBatch); refused != nil {
			return nil, refused
		}
		raw = append(raw, first[0])
	}
	for err == nil {
		if raw, refused = q.makeSpace(raw, q.config.MaxBatch); refused != nil {
			return nil, refused
		}
		n, err = from.Read(raw[len(raw):cap(raw)])
		raw = raw[:len(raw)+n]
		q.work = len(raw)
		if text && q.from == nil && len(raw) >= q.config.MaxEvent {
			if refused = q.findKey(raw); refused != nil {
				return nil, refused
			}
		}
	}
	if errors.Is(err, io.EOF) {
		return raw, nil
	}
	return nil, q.unreadable(err)
}

// unreadable returns why a body cannot be read to its end.
func (q *request) unreadable(err error) *refusal {
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return q.tooLarge()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &refusal{outcome: "refused", status: http.StatusRequestTimeout, hangUp: true,
			message: fmt.Sprintf("the body comes too slowly: send at least %d bytes a second", q.config.BodyRate)}
	}
	return &refusal{outcome: "refused", status: http.StatusBadRequest, hangUp: true,
		message: "the body ends before its length, or its chunks are not valid: send it again"}
}

// makeSpace returns a buffer with space for more, of at most one byte more than most.
func (q *request) makeSpace(raw []byte, most int) ([]byte, *refusal) {
	if len(raw) < cap(raw) {
		return raw, nil
	}
	size := min(max(2*cap(raw), firstBuffer), most+1)
	if refused := q.reserve(int64(size)); refused != nil {
		return nil, refused
	}
	q.memory.grow(-int64(cap(raw)))
	return append(make([]byte, 0, size), raw...), nil
}

// decompress expands a body within the bound of a request and within maxRatio.
func (q *request) decompress(raw []byte) ([]byte, *refusal) {
	z, _ := gunzips.Get().(*gzip.Reader)
	if z == nil {
		z = new(gzip.Reader)
	}
	defer gunzips.Put(z)
	invalid := &refusal{outcome: "refused", status: http.StatusBadRequest, message: "the body is not valid gzip although Content-Encoding says so"}
	if err := z.Reset(bytes.NewReader(raw)); err != nil {
		return nil, invalid
	}
	most := min(q.config.MaxBatch, max(freeExpansion, maxRatio*len(raw)))
	var text []byte
	for {
		var refused *refusal
		if text, refused = q.makeSpace(text, most); refused != nil {
			return nil, refused
		}
		n, err := z.Read(text[len(text):cap(text)])
		text = text[:len(text)+n]
		q.work = len(text)
		switch {
		case len(text) > most:
			return nil, q.tooLarge()
		case errors.Is(err, io.EOF):
			return text, nil
		case err != nil:
			return nil, invalid
		}
	}
}

func (q *request) parse(raw []byte) (body event.Value, refused *refusal) {
	if refused := q.reserve(int64(parseFactor * len(raw))); refused != nil {
		return body, refused
	}
	body, err := event.ParseValue(raw)
	if err != nil {
		return body, &refusal{outcome: "refused", status: http.StatusBadRequest, message: "the body is no JSON: " + err.Error()}
	}
	if body.Kind() != event.Object {
		return body, &refusal{outcome: "refused", status: http.StatusBadRequest, message: "the body should be a JSON object but is " + body.Kind().WithArticle()}
	}
	return body, nil
}

func (q *request) tooLarge() *refusal {
	return &refusal{outcome: "refused", status: http.StatusRequestEntityTooLarge, message: fmt.Sprintf("the request is larger than %d KB, as sent or decompressed: send fewer events at once", q.config.MaxBatch>>10)}
}

// keyInPrefix returns the writeKey among the members of the object that a text begins with, as far as the text goes.
func keyInPrefix(text []byte) (key string, found bool) {
	tokens := json.NewDecoder(event.ReaderWithoutBOM(bytes.NewReader(text)))
	depth, isKey, wanted := 0, false, false
	for {
		token, err := tokens.Token()
		if err != nil {
			return "", false
		}
		if delim, ok := token.(json.Delim); ok {
			if delim == '{' || delim == '[' {
				depth++
			} else {
				depth--
			}
			isKey = depth == 1
			continue
		}
		if depth != 1 {
			continue
		}
		text, isText := token.(string)
		switch {
		case isKey:
			wanted = text == "writeKey"
		case wanted && isText:
			return text, true
		}
		isKey = !isKey
	}
}
