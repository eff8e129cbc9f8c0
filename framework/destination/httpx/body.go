package httpx

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/landfall-dev/landfall/framework/fault"
)

// memoryBody is a body in memory. Seek rewinds it.
type memoryBody struct {
	*bytes.Reader
	raw []byte // the whole body; read-only
}

// Body returns a request body that is already in memory, so that a chain does not copy it. raw must not be changed while the
// request may be sent.
func Body(raw []byte) io.ReadCloser { return newMemoryBody(raw) }

func newMemoryBody(raw []byte) *memoryBody {
	return &memoryBody{Reader: bytes.NewReader(raw), raw: raw}
}

func (*memoryBody) Close() error { return nil }

// bytesOf returns the bytes of a memoryBody, and nil for any other.
func bytesOf(body io.Reader) []byte {
	if h, ok := body.(*memoryBody); ok {
		return h.raw
	}
	return nil
}

var errTooLarge = errors.New("the body is too large")

// readBounded reads a body to its end and closes it. It returns errTooLarge if it is longer than most bytes.
func readBounded(body io.ReadCloser, most int64) ([]byte, error) {
	defer body.Close()
	if raw := bytesOf(body); raw != nil {
		if int64(len(raw)) > most {
			return nil, errTooLarge
		}
		return raw, nil
	}
	raw, err := io.ReadAll(io.LimitReader(body, most+1))
	if err == nil && int64(len(raw)) > most {
		return nil, errTooLarge
	}
	return raw, err
}

// ReadRequestBody reads and closes the body of a request that is to be sent. It returns nil for none. A body that is longer than most bytes
// is an error.
func ReadRequestBody(req *http.Request, most int64) ([]byte, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return nil, nil
	}
	raw, err := readBounded(req.Body, most)
	if errors.Is(err, errTooLarge) {
		return nil, fault.FromStatus(http.StatusRequestEntityTooLarge, fmt.Sprintf("the request was not sent: its body is larger than %d bytes", most))
	}
	if err != nil {
		return nil, fmt.Errorf("reading the request body: %w", err)
	}
	return raw, nil
}

// withBufferedBody returns the request with its body in memory. It always closes the body of req.
func withBufferedBody(req *http.Request, most int64) (*http.Request, error) {
	raw, err := ReadRequestBody(req, most)
	switch {
	case err != nil:
		return nil, err
	case raw == nil:
		return req, nil
	}
	copied := *req
	copied.Body = newMemoryBody(raw)
	copied.GetBody = func() (io.ReadCloser, error) { return newMemoryBody(raw), nil }
	copied.ContentLength = int64(len(raw))
	copied.TransferEncoding = nil
	return &copied, nil
}

// PlainBody returns a body without the compression that its Content-Encoding names, for showing it. A body that is not valid gzip, or larger
// than DefaultMaxBytes, is returned as it is.
func PlainBody(header http.Header, raw []byte) []byte {
	if header.Get("Content-Encoding") != "gzip" {
		return raw
	}
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return raw
	}
	plain, err := readBounded(z, DefaultMaxBytes)
	if err != nil {
		return raw
	}
	return plain
}
