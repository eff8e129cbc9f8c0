package request

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"mime/multipart"
	"net/textproto"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// The keys of a file in a multipart body.
const (
	fileName    = "filename"
	fileType    = "contentType"
	fileContent = "content"
)

// encodeParts encodes an object as multipart/form-data in its order, and returns the body and its Content-Type. A list repeats its key,
// an object with a filename is a file, any other object is JSON; absent and null members are dropped. The boundary follows from the
// object, so that equal objects have equal bodies.
func encodeParts(v event.Value) (body []byte, contentType string, err error) {
	if v.Kind() != event.Object {
		return nil, "", fault.Invalid("a multipart form needs an object, not %s", v.Kind().WithArticle())
	}
	sum := sha256.Sum256(v.AppendJSON(nil))
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	if err := w.SetBoundary(hex.EncodeToString(sum[:16])); err != nil {
		return nil, "", err
	}
	for key, m := range v.Members() {
		if err := addPart(w, key, m); err != nil {
			return nil, "", err
		}
	}
	if err := w.Close(); err != nil {
		return nil, "", err
	}
	return b.Bytes(), w.FormDataContentType(), nil
}

// addPart adds the part of a member, or the parts of a list.
func addPart(w *multipart.Writer, key string, v event.Value) error {
	switch {
	case v.Kind() == event.Array:
		for _, item := range v.Items() {
			if err := addPart(w, key, item); err != nil {
				return err
			}
		}
		return nil
	case v.Kind() == event.Object && v.Get(fileName).Exists():
		return addFile(w, key, v)
	case !v.Exists():
		return nil
	}
	field, err := w.CreateFormField(key)
	if err == nil {
		_, err = field.Write([]byte(v.Text()))
	}
	return err
}

// addFile adds the part of a file. A content that is a list or an object is JSON.
func addFile(w *multipart.Writer, key string, v event.Value) error {
	content := v.Get(fileContent)
	kind := v.Get(fileType).Text()
	if kind == "" {
		kind = "application/octet-stream"
	}
	if !httpguts.ValidHeaderFieldValue(kind) {
		return fault.Invalid("the contentType of the file %q is not valid", key)
	}
	header := textproto.MIMEHeader{
		"Content-Disposition": {multipart.FileContentDisposition(key, v.Get(fileName).Text())}, "Content-Type": {strings.TrimSpace(kind)},
	}
	part, err := w.CreatePart(header)
	if err != nil || !content.Exists() {
		return err
	}
	raw := []byte(content.Text())
	if content.Kind() == event.Array {
		raw = content.AppendJSON(nil)
	}
	_, err = part.Write(raw)
	return err
}
