package httpx

import (
	"context"
	"errors"
	"net/http"

	"github.com/landfall-dev/landfall/framework/fault"
)

// auth adds credentials to a copy of the request and adds them to the redactor. After a 401 it tries new ones once.
type auth struct {
	next      http.RoundTripper
	authorize func(context.Context, *http.Request) error
	renew     func(context.Context, *http.Request) (bool, error) // may be nil
	redactor  *Redactor
}

func (a *auth) RoundTrip(req *http.Request) (*http.Response, error) {
	signed, err := a.authorizeCopy(req)
	if err != nil {
		return nil, err
	}
	response, err := a.next.RoundTrip(signed)
	if err != nil || response.StatusCode != http.StatusUnauthorized || a.renew == nil {
		return response, err
	}
	if other, err := a.renew(req.Context(), signed); err != nil {
		return nil, unauthorizedError(err)
	} else if !other {
		return response, nil
	}
	if signed, err = a.authorizeCopy(req); err != nil {
		return nil, err
	}
	if req.GetBody != nil {
		if signed.Body, err = req.GetBody(); err != nil {
			return nil, err
		}
	}
	return a.next.RoundTrip(signed)
}

// authorizeCopy returns a copy of the request with credentials.
func (a *auth) authorizeCopy(req *http.Request) (*http.Request, error) {
	signed := req.Clone(req.Context())
	if signed.Header == nil {
		signed.Header = http.Header{}
	}
	if err := a.authorize(req.Context(), signed); err != nil {
		return nil, unauthorizedError(err)
	}
	a.redactor.hideCredentials(signed.Header)
	return signed, nil
}

// unauthorizedError returns the error of a request that got no credentials.
func unauthorizedError(err error) error {
	var known *fault.Error
	if errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	e := fault.FromStatus(http.StatusUnauthorized, "authorizing the request: "+err.Error())
	e.Err = err
	return e
}
