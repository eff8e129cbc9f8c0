package admin

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/fault"
)

// Client calls the admin API of a Server.
type Client struct {
	Transport http.RoundTripper
	URL       string // such as http://127.0.0.1:8081
	Key       string // the admin key, or the token of local commands; "" on the server's own machine if it has no key
}

// DeadLetters calls f for each dead letter that matches the filter.
func (c *Client) DeadLetters(ctx context.Context, filter delivery.DeadLetterFilter, f func(*delivery.DeadLetter) error) error {
	body, err := c.sendRequest(ctx, http.MethodGet, "/admin/letters?"+writeFilter(filter).Encode(), nil)
	if err != nil {
		return err
	}
	defer body.Close()
	lines := json.NewDecoder(body)
	for {
		l := &delivery.DeadLetter{}
		err := lines.Decode(l)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the dead letters: %w", err)
		}
		if err := f(l); err != nil {
			return err
		}
	}
}

// ReplayDeadLetters replays the dead letters that match the filter; see delivery.Queue.
func (c *Client) ReplayDeadLetters(ctx context.Context, f delivery.DeadLetterFilter) (int, error) {
	return c.postForCount(ctx, "/admin/letters/replay?"+writeFilter(f).Encode(), nil)
}

// DropDeadLetters deletes the dead letters that match the filter.
func (c *Client) DropDeadLetters(ctx context.Context, f delivery.DeadLetterFilter) (int, error) {
	return c.postForCount(ctx, "/admin/letters/drop?"+writeFilter(f).Encode(), nil)
}

// Replay delivers stored events again.
func (c *Client) Replay(ctx context.Context, r ReplayRequest) (int, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return 0, err
	}
	return c.postForCount(ctx, "/admin/replay", body)
}

// Status returns the delivery status of the instances.
func (c *Client) Status(ctx context.Context) ([]delivery.Status, error) {
	body, err := c.sendRequest(ctx, http.MethodGet, "/admin/status", nil)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var list []delivery.Status
	return list, json.NewDecoder(body).Decode(&list)
}

// Health returns the health of the server, as /readyz reports it, whether it is ready or not.
func (c *Client) Health(ctx context.Context) (h delivery.Health, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL+"/readyz?format=json", nil)
	if err != nil {
		return h, err
	}
	response, err := c.Transport.RoundTrip(r)
	if err != nil {
		return h, &callError{err}
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusServiceUnavailable {
		return h, &StatusError{Code: response.StatusCode, Message: "the server responded with status " + response.Status}
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&h); err != nil {
		return h, fmt.Errorf("reading the health of the server: %w", err)
	}
	return h, nil
}

// Resume ends the rate-limit pauses of an instance. It reports whether there were any.
func (c *Client) Resume(ctx context.Context, instance string) (bool, error) {
	response, err := c.sendRequest(ctx, http.MethodPost, "/admin/resume?"+url.Values{"instance": {instance}}.Encode(), nil)
	if err != nil {
		return false, err
	}
	defer response.Close()
	var resumed Resumed
	return resumed.Resumed, json.NewDecoder(response).Decode(&resumed)
}

// postForCount sends a POST request and returns the count in the response.
func (c *Client) postForCount(ctx context.Context, path string, body []byte) (int, error) {
	response, err := c.sendRequest(ctx, http.MethodPost, path, body)
	if err != nil {
		return 0, err
	}
	defer response.Close()
	var changed Changed
	return changed.Count, json.NewDecoder(response).Decode(&changed)
}

// callError is the error of a request without a response.
type callError struct{ err error }

func (e *callError) Error() string {
	return "calling the server: " + cmp.Or(fault.NetworkReason(e.err), e.err.Error())
}

func (e *callError) Unwrap() error { return e.err }

// sendRequest returns the body of a successful response. The caller must close it.
func (c *Client) sendRequest(ctx context.Context, method, path string, body []byte) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set(markHeader, "1")
	if c.Key != "" {
		r.Header.Set("Authorization", "Bearer "+c.Key)
	}
	response, err := c.Transport.RoundTrip(r)
	if err != nil {
		return nil, &callError{err}
	}
	if response.StatusCode == http.StatusOK {
		return response.Body, nil
	}
	defer response.Body.Close()
	var refusal errorBody
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&refusal); err != nil || refusal.Error == "" {
		refusal.Error = "the server responded with status " + response.Status
	}
	return nil, &StatusError{Code: response.StatusCode, Message: refusal.Error}
}

// StatusError is an error response of a server.
type StatusError struct {
	Code    int // HTTP status
	Message string
}

func (e *StatusError) Error() string { return e.Message }
