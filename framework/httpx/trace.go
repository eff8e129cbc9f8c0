package httpx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/landfall-dev/landfall/framework/fault"
)

// trace is the outermost link: what passes it upwards, in reports and in errors, holds no secrets.
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
	sent, err := withHeldBody(req, t.maxBytes)
	if err == nil {
		err = checkURL(req)
	}
	var answer *http.Response
	if err == nil {
		answer, err = t.next.RoundTrip(sent)
	}
	err = t.failure(err)
	t.report(start, req, sent, answer, err)
	if err != nil {
		return nil, err
	}
	answer.Request = req // without the credentials that were added below
	return answer, nil
}

// checkURL refuses, for good, what no transport could send.
func checkURL(req *http.Request) error {
	if u := req.URL; u != nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http") {
		return nil
	}
	return fault.As(fmt.Errorf("%q is no http or https URL with a host", req.URL))
}

// failure is err as a *fault.Error without secrets.
func (t *trace) failure(err error) error {
	if err == nil {
		return nil
	}
	err = t.redactor.Error(err)
	var known *fault.Error
	if errors.As(err, &known) {
		return known
	}
	return fault.NoAnswer(err)
}

type failureKey struct{}

// OnFailure is ctx for requests whose failures, and answers of 300 and above, are to be seen by f. It is called before the
// caller has the answer.
func OnFailure(ctx context.Context, f func(Exchange)) context.Context {
	return context.WithValue(ctx, failureKey{}, f)
}

// report tells the observers and the log of an exchange. Redacting is work, and done only if someone listens. A nil sent
// is a request whose body could not be read.
func (t *trace) report(start time.Time, req, sent *http.Request, answer *http.Response, err error) {
	level := slog.LevelDebug
	if err != nil || answer.StatusCode >= 300 {
		level = slog.LevelWarn
	}
	logged := t.log.Enabled(req.Context(), level)
	var failed func(Exchange)
	if level == slog.LevelWarn {
		failed, _ = req.Context().Value(failureKey{}).(func(Exchange))
	}
	if t.observe == nil && failed == nil && !logged {
		return
	}
	e := Exchange{Method: methodOf(req), Start: start, Duration: time.Since(start), Err: err}
	if req.URL != nil {
		e.URL = t.redactor.URL(req.URL)
	}
	e.Header = t.header(req, answer)
	if sent != nil {
		e.Body = t.body(req.Header, rawOf(sent.Body))
	}
	if answer != nil {
		e.Status, e.ResponseHeader = answer.StatusCode, t.redactor.Header(answer.Header)
		e.ResponseBody = t.body(answer.Header, rawOf(answer.Body))
	}
	if t.observe != nil {
		t.observe(e)
	}
	if failed != nil {
		failed(e)
	}
	if logged {
		write(req.Context(), t.log, level, e)
	}
}

func methodOf(req *http.Request) string {
	if req.Method == "" {
		return http.MethodGet
	}
	return req.Method
}

// header is the request's header as it was sent, as far as that is known. What a link below has set is shown by name.
func (t *trace) header(req *http.Request, answer *http.Response) http.Header {
	shown := t.redactor.Header(req.Header)
	if answer == nil || answer.Request == nil {
		return shown
	}
	for name, values := range answer.Request.Header {
		if !slices.Equal(values, req.Header[name]) {
			shown[name] = []string{hideValue(values[0])}
		}
	}
	return shown
}

func (t *trace) body(header http.Header, raw []byte) []byte {
	return cut(t.redactor.Body(header.Get("Content-Type"), raw), t.maxShown)
}

// write logs an exchange; a failed one with what the remote said.
func write(ctx context.Context, log *slog.Logger, level slog.Level, e Exchange) {
	attrs := []slog.Attr{slog.String("method", e.Method), slog.String("url", e.URL), slog.Duration("duration", e.Duration)}
	message := "request answered"
	switch {
	case e.Err != nil:
		message = "request failed"
		attrs = append(attrs, slog.String("error", e.Err.Error()))
	case level == slog.LevelWarn:
		message = "request refused"
		attrs = append(attrs, slog.Int("status", e.Status), slog.String("answer", string(cut(e.ResponseBody, 1000))))
	default:
		attrs = append(attrs, slog.Int("status", e.Status))
	}
	log.LogAttrs(ctx, level, message, attrs...)
}
