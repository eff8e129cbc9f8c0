package httpx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/fault"
)

// trace is the outermost link. Reports, errors and responses that leave it contain no secrets.
type trace struct {
	next     http.RoundTripper
	redactor *Redactor
	observe  func(Exchange) // may be nil
	log      *slog.Logger
	maxBytes int64
	maxShown int
}

func (t *trace) RoundTrip(req *http.Request) (*http.Response, error) {
	start := time.Now()
	t.redactor.hideCredentials(req.Header)
	sent, err := withBufferedBody(req, t.maxBytes)
	if err == nil {
		err = t.checkURL(req.URL)
	}
	var response *http.Response
	if err == nil {
		response, err = t.next.RoundTrip(sent)
	}
	failed := t.asFault(err)
	kept := t.reportExchange(start, req, sent, response, failed)
	if failed != nil {
		return nil, attachExchange(failed, kept)
	}
	response.Request = requestWithExchange(req, kept) // without the credentials added by auth
	return response, nil
}

// checkURL returns a final error for a URL that no transport can send to.
func (t *trace) checkURL(u *url.URL) error {
	if u == nil {
		u = &url.URL{}
	}
	if u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") {
		return nil
	}
	return fault.As(fmt.Errorf("%q is not an http or https URL with a host", t.redactor.URL(u)))
}

// asFault returns err as a *fault.Error without secrets.
func (t *trace) asFault(err error) *fault.Error {
	if err == nil {
		return nil
	}
	err = t.redactor.Error(err)
	var known *fault.Error
	if errors.As(err, &known) {
		return known
	}
	return fault.ConnectionFailed(err)
}

// reportExchange passes an exchange to the observer and the log. It returns a failed exchange if the request's context keeps
// exchanges. Since redacting is expensive, it is done only if needed. sent is nil if the request body could not be read.
func (t *trace) reportExchange(start time.Time, req, sent *http.Request, response *http.Response, err *fault.Error) (kept *Exchange) {
	level := slog.LevelDebug
	if err != nil || response.StatusCode >= 300 {
		level = slog.LevelWarn
	}
	logged := t.log.Enabled(req.Context(), level)
	keep := level == slog.LevelWarn && keepsExchanges(req.Context())
	observe := observerOf(req.Context())
	if t.observe == nil && observe == nil && !keep && !logged {
		return nil
	}
	e := t.exchangeOf(start, req, sent, response, err)
	if t.observe != nil {
		t.observe(e)
	}
	if observe != nil {
		observe(e)
	}
	if logged {
		logExchange(req.Context(), t.log, level, e)
	}
	if keep {
		return &e
	}
	return nil
}

// exchangeOf returns an exchange without its secrets.
func (t *trace) exchangeOf(start time.Time, req, sent *http.Request, response *http.Response, err *fault.Error) Exchange {
	e := Exchange{Method: methodOf(req), Start: start, Duration: time.Since(start), Header: t.shownHeader(req, response)}
	if err != nil {
		e.Err = err
	}
	if req.URL != nil {
		e.URL = t.redactor.URL(req.URL)
	}
	most := t.maxShown
	if t.observe == nil {
		most = min(most, shownBytes(req.Context(), most))
	}
	if sent != nil {
		e.Body = t.shownBody(req.Header, bytesOf(sent.Body), most)
	}
	if response != nil {
		e.Status, e.ResponseHeader = response.StatusCode, t.redactor.Header(response.Header)
		e.ResponseBody = t.shownBody(response.Header, bytesOf(response.Body), most)
	}
	return e
}

func methodOf(req *http.Request) string {
	if req.Method == "" {
		return http.MethodGet
	}
	return req.Method
}

// shownHeader returns the request's header as it was sent, redacted. Headers that a link below has set are shown by name only.
func (t *trace) shownHeader(req *http.Request, response *http.Response) http.Header {
	shown := t.redactor.Header(req.Header)
	if response == nil || response.Request == nil {
		return shown
	}
	for name, values := range response.Request.Header {
		if !slices.Equal(values, req.Header[name]) {
			shown[name] = []string{hideValue(values[0])}
		}
	}
	return shown
}

// shownBody returns a body without its secrets, and a note instead of what is beyond most bytes.
func (t *trace) shownBody(header http.Header, raw []byte, most int) []byte {
	plain := PlainBody(header, raw)
	return truncateBody(t.redactor.bodyStart(header.Get("Content-Type"), plain, most), most, len(plain))
}

const maxLogged = 1000 // bytes of a response's body in the log

// logExchange logs an exchange; a failed one with the response body.
func logExchange(ctx context.Context, log *slog.Logger, level slog.Level, e Exchange) {
	attrs := []slog.Attr{slog.String("method", e.Method), slog.String("url", e.URL), slog.Duration("duration", e.Duration)}
	message := "request answered"
	switch {
	case e.Err != nil:
		message = "request failed"
		attrs = append(attrs, slog.String("error", e.Err.Error()))
	case level == slog.LevelWarn:
		message = "request refused"
		attrs = append(attrs, slog.Int("status", e.Status), slog.String("answer", string(truncateBody(e.ResponseBody, maxLogged, len(e.ResponseBody)))))
	default:
		attrs = append(attrs, slog.Int("status", e.Status))
	}
	log.LogAttrs(ctx, level, message, attrs...)
}
