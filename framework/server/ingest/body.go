package ingest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/landfall-dev/landfall/framework/event"
)

const (
	firstBuffer = 4 << 10
	// parseFactor is the approximate size of a parsed body, as a multiple of its text.
	parseFactor = 8
	// maxRatio limits the compression ratio of bodies that expand beyond freeExpansion. JSON of events compresses 10 to 30 times.
	maxRatio      = 100
	freeExpansion = 512 << 10
)

var gzipReaders sync.Pool // of *gzip.Reader

// readBody reads, decompresses and parses the body. It reserves memory as the bytes arrive.
func (q *request) readBody() (body event.Value, refused *refusal) {
	limit := q.config.MaxBatch
	if q.r.ContentLength > int64(limit) {
		return body, q.tooLarge()
	}
	encoding := strings.ToLower(strings.TrimSpace(strings.Join(q.r.Header.Values("Content-Encoding"), ",")))
	zipped := encoding == "gzip" || encoding == "x-gzip"
	if !zipped && encoding != "" && encoding != "identity" {
		return body, &refusal{outcome: "refused", status: http.StatusUnsupportedMediaType, message: "unsupported Content-Encoding: use gzip or none"}
	}
	raw, refused := q.receiveRaw(!zipped)
	if refused == nil && zipped {
		packed := raw
		raw, refused = q.decompressBody(packed)
		q.buffers.put(packed)
	}
	if refused != nil {
		return body, refused
	}
	q.body = raw
	q.work = len(raw)
	if refused = q.checkCharset(raw); refused != nil {
		return body, refused
	}
	return q.parseBody(raw)
}

// checkCharset refuses a body that is not UTF-8 if its Content-Type names another character set, since its letters would be lost. Clients that name
// another one but send UTF-8 are accepted.
func (q *request) checkCharset(raw []byte) *refusal {
	contentType := q.r.Header.Get("Content-Type")
	if !strings.Contains(contentType, "=") { // almost all requests
		return nil
	}
	_, parameters, err := mime.ParseMediaType(contentType)
	charset := strings.ToLower(parameters["charset"])
	if err != nil || charset == "" || charset == "utf-8" || charset == "utf8" || utf8.Valid(raw) {
		return nil
	}
	return &refusal{outcome: "refused", status: http.StatusUnsupportedMediaType, message: "the body is not UTF-8, and no other charset is supported: send it as UTF-8"}
}

// receiveRaw reads the body as it was sent. In an uncompressed body it looks for the write key early, so that a long request with an
// unknown key is refused before it has been read completely.
func (q *request) receiveRaw(text bool) (raw []byte, refused *refusal) {
	from := newPacedReader(q.w, http.MaxBytesReader(q.w, q.r.Body, int64(q.config.MaxBatch)), q.config.BodyGrace, q.config.BodyRate)
	defer from.clearDeadline()
	var first [1]byte
	n, err := from.Read(first[:]) // allocate no buffer before the first byte arrives
	expected := int(max(q.r.ContentLength, 0))
	if n > 0 {
		if raw, refused = q.makeSpace(nil, q.config.MaxBatch, expected); refused != nil {
			return nil, refused
		}
		raw = append(raw, first[0])
	}
	for err == nil {
		if raw, refused = q.makeSpace(raw, q.config.MaxBatch, expected); refused != nil {
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
	return nil, q.readError(err)
}

// readError returns the refusal for a failed read of the body.
func (q *request) readError(err error) *refusal {
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return q.tooLarge()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &refusal{outcome: "refused", status: http.StatusRequestTimeout, closeConn: true,
			message: fmt.Sprintf("the body arrives too slowly: send at least %d bytes per second", q.config.BodyRate)}
	}
	return &refusal{outcome: "refused", status: http.StatusBadRequest, closeConn: true,
		message: "the body is shorter than its Content-Length, or its chunks are invalid: send it again"}
}

// makeSpace returns raw with free capacity, usually in another buffer; raw must not be used afterwards. The buffer has at most limit + 1 bytes.
// expected is the size of the whole if it is known: the buffer gets that size at once when an eighth of it has arrived, so that a client must
// send what it lets the server allocate.
func (q *request) makeSpace(raw []byte, limit, expected int) ([]byte, *refusal) {
	if len(raw) < cap(raw) {
		return raw, nil
	}
	size := max(2*cap(raw), firstBuffer)
	if expected > 0 {
		size = min(max(8*cap(raw), firstBuffer), max(expected, cap(raw))+1)
	}
	size = min(roundUp(size), limit+1)
	if refused := q.reserveMemory(int64(size)); refused != nil {
		return nil, refused
	}
	q.memory.reserveBytes(-int64(cap(raw)))
	larger := append(q.buffers.get(size), raw...)
	q.buffers.put(raw)
	return larger, nil
}

// decompressBody decompresses a body, up to MaxBatch bytes and maxRatio.
func (q *request) decompressBody(raw []byte) ([]byte, *refusal) {
	z, _ := gzipReaders.Get().(*gzip.Reader)
	if z == nil {
		z = new(gzip.Reader)
	}
	defer gzipReaders.Put(z)
	invalid := &refusal{outcome: "refused", status: http.StatusBadRequest, message: "the body is not valid gzip although Content-Encoding says so"}
	if err := z.Reset(bytes.NewReader(raw)); err != nil {
		return nil, invalid
	}
	limit := min(q.config.MaxBatch, max(freeExpansion, maxRatio*len(raw)))
	var text []byte
	for {
		var refused *refusal
		if text, refused = q.makeSpace(text, limit, 0); refused != nil {
			return nil, refused
		}
		n, err := z.Read(text[len(text):cap(text)])
		text = text[:len(text)+n]
		q.work = len(text)
		switch {
		case len(text) > limit:
			return nil, q.tooLarge()
		case errors.Is(err, io.EOF):
			return text, nil
		case err != nil:
			return nil, invalid
		}
	}
}

// parseBody parses a body, which must be a JSON object.
func (q *request) parseBody(raw []byte) (body event.Value, refused *refusal) {
	if refused := q.reserveMemory(int64(parseFactor * len(raw))); refused != nil {
		return body, refused
	}
	body, err := q.parseJSON(raw)
	if err != nil {
		return body, &refusal{outcome: "refused", status: http.StatusBadRequest, message: "the body is not valid JSON: " + err.Error()}
	}
	if body.Kind() != event.Object {
		return body, &refusal{outcome: "refused", status: http.StatusBadRequest, message: "the body should be a JSON object but is " + body.Kind().WithArticle()}
	}
	return body, nil
}

// parseJSON parses a body. It sets items if the events of a batch are parsed by themselves.
func (q *request) parseJSON(raw []byte) (body event.Value, err error) {
	if q.isSingle() {
		return event.ParseValue(raw)
	}
	body, q.items, err = event.ParseBatch(raw, "batch")
	return body, err
}

// tooLarge returns the refusal of a request that exceeds MaxBatch.
func (q *request) tooLarge() *refusal {
	return &refusal{outcome: "refused", status: http.StatusRequestEntityTooLarge, message: fmt.Sprintf("the request is larger than %d KB, as sent or decompressed: send fewer events at once", q.config.MaxBatch>>10)}
}

// keyInPrefix returns the top-level member writeKey of an incomplete JSON object, if text contains it.
func keyInPrefix(text []byte) (key string, found bool) {
	tokens := json.NewDecoder(event.ReaderWithoutBOM(bytes.NewReader(text)))
	depth, isKey, wanted := 0, false, false
	for {
		token, err := tokens.Token()
		if err != nil {
			return "", false
		}
		if delim, ok := token.(json.Delim); ok {
			if depth == 0 && delim != '{' {
				return "", false
			}
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
