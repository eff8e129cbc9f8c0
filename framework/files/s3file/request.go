package s3file

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/internal/pause"
)

// maxAnswer is the size of the largest list or error in bytes.
const maxAnswer = 8 << 20

// answerError is a refusal of the server.
type answerError struct {
	status       int
	Code         string `xml:"Code"`
	Message      string `xml:"Message"`
	Region       string `xml:"Region"` // that the bucket is in
	missingLogin bool
}

func (e *answerError) Error() string {
	said := ""
	if e.Code != "" {
		said = fmt.Sprintf(" (%s)", fault.Shorten(e.Code, 60))
	}
	reason := reasonOfCode(e.Code)
	switch {
	case e.Region != "":
		return fmt.Sprintf("the bucket is in the region %s: set AWS_REGION=%s", fault.Shorten(e.Region, 40), fault.Shorten(e.Region, 40))
	case e.status == http.StatusForbidden && e.missingLogin && e.Code != "InvalidObjectState":
		return "access is denied" + said + ": set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
	case reason != "":
		return reason + said
	case e.status == http.StatusNotFound:
		return "there is no such object"
	case e.status == http.StatusForbidden, e.status == http.StatusUnauthorized:
		return "access is denied" + said + ": check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, and the permissions s3:GetObject and, for folders and patterns, s3:ListBucket"
	case e.status == http.StatusPreconditionFailed:
		return "the object was replaced while it was read"
	}
	return fmt.Sprintf("the server answers with the status %d%s", e.status, said)
}

// reasonOfCode says what a code of S3 means and what to do, or "" for a code whose status says enough.
func reasonOfCode(code string) string {
	switch code {
	case "NoSuchBucket":
		return "there is no such bucket"
	case "InvalidBucketName":
		return "this cannot be the name of a bucket: check the URL"
	case "ExpiredToken", "TokenRefreshRequired":
		return "the credentials have expired: get new ones, and set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN"
	case "InvalidToken":
		return "the server does not know the session token: set AWS_SESSION_TOKEN to the one that was issued with the access key, or unset it"
	case "InvalidAccessKeyId":
		return "the server does not know the access key: check AWS_ACCESS_KEY_ID, AWS_SESSION_TOKEN and AWS_ENDPOINT_URL"
	case "SignatureDoesNotMatch":
		return "the secret key does not belong to the access key: check AWS_SECRET_ACCESS_KEY"
	case "RequestTimeTooSkewed":
		return "the clock of this machine differs from the server's by more than the server accepts: set the clock"
	case "InvalidObjectState":
		return "the object is in an archive (Glacier, Deep Archive): restore it first, and read it when that is done"
	case "AllAccessDisabled", "AccountProblem", "NotSignedUp":
		return "the server refuses all access to this bucket or account: ask who administers it"
	}
	return ""
}

// isTemporary reports whether a request may succeed later.
func isTemporary(err error) bool {
	var refused *answerError
	if errors.As(err, &refused) {
		return refused.status == http.StatusTooManyRequests || refused.status >= 500
	}
	return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}

// attempts is the number of further attempts that are left, and the pause before the next.
type attempts struct {
	left  int
	pause time.Duration
}

func (c *Client) newAttempts() attempts {
	return attempts{cmp.Or(c.Retries, 4), cmp.Or(c.Pause, time.Second/2)}
}

// next waits before another attempt. It returns false if there is none.
func (a *attempts) next(ctx context.Context, err error) bool {
	if a.left <= 0 || !isTemporary(err) || ctx.Err() != nil {
		return false
	}
	a.left--
	wait := a.pause
	a.pause *= 2
	return pause.For(ctx, wait) == nil
}

// errStalled is the cause of the end of a request whose response stalls.
var errStalled = errors.New("the server sends nothing")

// watch ends a request whose response sends nothing for a time.
type watch struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	after  time.Duration
}

// newWatch returns a watch that has begun. The caller calls stop.
func (c *Client) newWatch(ctx context.Context) *watch {
	w := &watch{after: cmp.Or(c.Stall, time.Minute)}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	w.timer = time.AfterFunc(w.after, func() { w.cancel(errStalled) })
	return w
}

func (w *watch) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// watchedBody is the body of an answer that a watch ends.
type watchedBody struct {
	io.ReadCloser
	watch *watch
}

// Read reads the next bytes, for which the server has its time again.
func (b watchedBody) Read(p []byte) (int, error) {
	b.watch.timer.Reset(b.watch.after)
	n, err := b.ReadCloser.Read(p)
	b.watch.timer.Stop()
	if err != nil && errors.Is(context.Cause(b.watch.ctx), errStalled) {
		err = errStalled
	}
	return n, err
}

// Close closes the body.
func (b watchedBody) Close() error {
	b.watch.stop()
	return b.ReadCloser.Close()
}

// get sends a request, again if it fails for now. The caller closes the body of the response.
func (c *Client) get(ctx context.Context, bucket, key string, query url.Values, header http.Header) (*http.Response, error) {
	tries := c.newAttempts()
	for {
		response, err := c.getOnce(ctx, bucket, key, query, header)
		if err == nil || !tries.next(ctx, err) {
			return response, err
		}
	}
}

func (c *Client) getOnce(ctx context.Context, bucket, key string, query url.Values, header http.Header) (*http.Response, error) {
	u, err := c.urlOf(bucket, key)
	if err != nil {
		return nil, &Error{scheme + bucket, err.Error(), err}
	}
	u.RawQuery = query.Encode()
	watch := c.newWatch(ctx)
	response, err := c.send(watch.ctx, u, header)
	watch.timer.Stop()
	if err != nil {
		if errors.Is(context.Cause(watch.ctx), errStalled) {
			err = errStalled
		}
		watch.stop()
		return nil, err
	}
	response.Body = watchedBody{response.Body, watch}
	if response.StatusCode == http.StatusOK || response.StatusCode == http.StatusPartialContent {
		return response, nil
	}
	return nil, c.readRefusal(response)
}

// send sends a request with its signature.
func (c *Client) send(ctx context.Context, u *url.URL, header http.Header) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	request.URL = u // with the same escapes as in the signature
	for name, values := range header {
		request.Header[name] = values
	}
	request.Header.Set("Accept-Encoding", "identity")
	if c.Credentials.AccessKeyID != "" {
		if err := c.sign(ctx, request); err != nil {
			return nil, err
		}
	}
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	return client.Do(request)
}

// sign adds a signature to a request without a body.
func (c *Client) sign(ctx context.Context, request *http.Request) error {
	empty := sha256.Sum256(nil)
	hash := hex.EncodeToString(empty[:])
	request.Header.Set("X-Amz-Content-Sha256", hash)
	return v4.NewSigner().SignHTTP(ctx, c.Credentials, request, hash, "s3", c.Region, time.Now(), func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
}

// readRefusal reads why the server has refused a request, and closes the body.
func (c *Client) readRefusal(response *http.Response) error {
	defer func() { _ = response.Body.Close() }()
	refused := &answerError{status: response.StatusCode, missingLogin: c.Credentials.AccessKeyID == ""}
	if text, err := io.ReadAll(io.LimitReader(response.Body, 64<<10)); err == nil {
		_ = xml.Unmarshal(text, refused)
	}
	if region := response.Header.Get("X-Amz-Bucket-Region"); region != "" && region != c.Region {
		refused.Region = region
	}
	if refused.Region == c.Region {
		refused.Region = ""
	}
	return refused
}

// described returns the error of a request with its URL.
func described(address string, err error) error {
	var known *Error
	var refused *answerError
	switch {
	case errors.As(err, &known), errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &refused):
		return &Error{address, refused.Error(), err}
	}
	return &Error{address, reasonOf(err), err}
}
