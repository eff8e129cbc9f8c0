package httpx

import (
	"context"
	"errors"
	"net/http"

	"github.com/landfall-dev/landfall/framework/fault"
)

// auth adds credentials to a copy of the request and tells the redactor of them.
type auth struct {
	next      http.RoundTripper
	authorize func(context.Context, *http.Request) error
	redactor  *Redactor
}

func (a *auth) RoundTrip(req *http.Request) (*http.Response, error) {
	signed := req.Clone(req.Context())
	if signed.Header == nil {
		signed.Header = http.Header{}
	}
	if err := a.authorize(req.Context(), signed); err != nil {
		return nil, unauthorized(err)
	}
	a.redactor.hideCredentials(signed.Header)
	return a.next.RoundTrip(signed)
}

// unauthorized is the failure of a request for which there are no credentials.
func unauthorized(err error) error {
	var known *fault.Error
	if errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	e := fault.FromStatus(http.StatusUnauthorized, "authorizing the request: "+err.Error())
	e.Cause = err
	return e
}
