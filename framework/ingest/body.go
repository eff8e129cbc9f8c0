package ingest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/landfall-dev/landfall/framework/event"
)

var gunzips sync.Pool // of *gzip.Reader

// read reads the body of a request within its bound; the problem is for the client.
func (h *Handler) read(w http.ResponseWriter, r *http.Request) (body event.Value, status int, problem string) {
	most := h.config.MaxBatch
	tooLarge := fmt.Sprintf("the request is larger than %d KB", most>>10)
	if r.ContentLength > int64(most) {
		return body, http.StatusRequestEntityTooLarge, tooLarge
	}
	var from io.Reader = http.MaxBytesReader(w, r.Body, int64(most))
	switch strings.ToLower(r.Header.Get("Content-Encoding")) {
	case "", "identity":
	case "gzip":
		z, _ := gunzips.Get().(*gzip.Reader)
		if z == nil {
			z = new(gzip.Reader)
		}
		defer gunzips.Put(z)
		if err := z.Reset(from); err != nil {
			return body, http.StatusBadRequest, "the body is no gzip, though Content-Encoding says so"
		}
		from = io.LimitReader(z, int64(most)+1)
	default:
		return body, http.StatusUnsupportedMediaType, "Content-Encoding should be gzip or nothing"
	}
	var raw bytes.Buffer
	if r.ContentLength > 0 {
		raw.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	_, err := raw.ReadFrom(from)
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over) || raw.Len() > most:
		return body, http.StatusRequestEntityTooLarge, tooLarge
	case err != nil:
		return body, http.StatusBadRequest, "the body cannot be read: " + err.Error()
	}
	if body, err = event.ParseValue(raw.Bytes()); err != nil {
		return body, http.StatusBadRequest, "the body is no JSON: " + err.Error()
	}
	if body.Kind() != event.Object {
		return body, http.StatusBadRequest, "the body should be a JSON object but is " + body.Kind().WithArticle()
	}
	return body, http.StatusOK, ""
}
