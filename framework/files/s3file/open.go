package s3file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
)

// Object is an object that is read from its beginning to its end. It is not safe for concurrent use.
type Object struct {
	client      *Client
	ctx         context.Context
	url         string
	bucket, key string
	body        io.ReadCloser
	size        int64  // -1 if the server does not say it
	version     string // the object's ETag
	at          int64
	tries       attempts
	ended       error
}

// Open begins to read an object. The error is an *Error. A lost connection is continued where it was lost; Read returns io.EOF only if all bytes of one version
// of the object were read, and otherwise an *Error. The caller closes the object.
func (c *Client) Open(ctx context.Context, address string) (*Object, error) {
	bucket, key, err := split(address)
	if err == nil && key == "" {
		err = &Error{URL: address, Reason: "the URL should be like s3://BUCKET/KEY"}
	}
	if err != nil {
		return nil, err
	}
	response, err := c.get(ctx, bucket, key, nil, nil)
	if err != nil {
		return nil, described(address, err)
	}
	if response.ContentLength < 0 && !response.Uncompressed && !slices.Contains(response.TransferEncoding, "chunked") {
		_ = response.Body.Close()
		return nil, &Error{URL: address, Reason: "the server does not say how long the object is, so that a part of it could be taken for the whole"}
	}
	return &Object{
		client: c, ctx: ctx, url: address, bucket: bucket, key: key, body: response.Body,
		size: response.ContentLength, version: response.Header.Get("Etag"), tries: c.newAttempts(),
	}, nil
}

// Read reads the next bytes.
func (o *Object) Read(p []byte) (int, error) {
	for o.ended == nil {
		n, err := o.body.Read(p)
		o.at += int64(n)
		switch {
		case n > 0:
			o.tries = o.client.newAttempts()
			return n, nil
		case err == nil:
			return 0, nil
		case errors.Is(err, io.EOF) && (o.size < 0 || o.at == o.size):
			o.ended = io.EOF
		default:
			o.resume(err)
		}
	}
	return 0, o.ended
}

// resume requests the rest of the object after an error. If that is not possible, it ends the object.
func (o *Object) resume(cause error) {
	_ = o.body.Close()
	fail := func(reason string, err error) {
		o.ended = &Error{o.url, fmt.Sprintf("the download was cut off after %d bytes: %s", o.at, reason), err}
	}
	for {
		if o.size < 0 || o.version == "" || !o.tries.next(o.ctx, cause) {
			if o.ctx.Err() != nil {
				o.ended = o.ctx.Err()
				return
			}
			fail(reasonText(cause), cause)
			return
		}
		header := http.Header{"Range": {fmt.Sprintf("bytes=%d-", o.at)}, "If-Match": {o.version}}
		response, err := o.client.getOnce(o.ctx, o.bucket, o.key, nil, header)
		if err != nil {
			cause = err
			continue
		}
		if response.StatusCode != http.StatusPartialContent || response.ContentLength != o.size-o.at || response.Header.Get("Etag") != o.version {
			_ = response.Body.Close()
			fail("the server cannot continue it", nil)
			return
		}
		o.body = response.Body
		return
	}
}

// reasonText says why a download could not be continued.
func reasonText(err error) string {
	var refused *answerError
	if errors.As(err, &refused) {
		return refused.Error()
	}
	return reasonOf(err)
}

// Close ends the download.
func (o *Object) Close() error { return o.body.Close() }
