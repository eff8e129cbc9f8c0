package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/landfall-dev/landfall/framework/delivery"
)

// Client asks a Server.
type Client struct {
	Transport http.RoundTripper
	URL       string // such as http://127.0.0.1:8080
	Key       string // "" on the server's own machine
}

// Letters tells of the letters that a filter chooses.
func (c *Client) Letters(ctx context.Context, f delivery.DeadLetterFilter, tell func(*delivery.DeadLetter) error) error {
	body, err := c.do(ctx, http.MethodGet, "/admin/letters?"+writeFilter(f).Encode(), nil)
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
			return fmt.Errorf("reading the letters: %w", err)
		}
		if err := tell(l); err != nil {
			return err
		}
	}
}

// Resend has letters taken again; see delivery.Queue.
func (c *Client) Resend(ctx context.Context, f delivery.DeadLetterFilter) (int, error) {
	return c.count(ctx, "/admin/letters/replay?"+writeFilter(f).Encode(), nil)
}

// Discard deletes letters.
func (c *Client) Discard(ctx context.Context, f delivery.DeadLetterFilter) (int, error) {
	return c.count(ctx, "/admin/letters/drop?"+writeFilter(f).Encode(), nil)
}

// Replay has kept events taken once more.
func (c *Client) Replay(ctx context.Context, r Replay) (int, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return 0, err
	}
	return c.count(ctx, "/admin/replay", body)
}

// Status is how far the instances are.
func (c *Client) Status(ctx context.Context) ([]delivery.Status, error) {
	body, err := c.do(ctx, http.MethodGet, "/admin/status", nil)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	var list []delivery.Status
	return list, json.NewDecoder(body).Decode(&list)
}

// Resume ends the pauses of an instance.
func (c *Client) Resume(ctx context.Context, instance string) error {
	answer, err := c.do(ctx, http.MethodPost, "/admin/resume?"+url.Values{"instance": {instance}}.Encode(), nil)
	if err != nil {
		return err
	}
	return answer.Close()
}

func (c *Client) count(ctx context.Context, path string, body []byte) (int, error) {
	answer, err := c.do(ctx, http.MethodPost, path, body)
	if err != nil {
		return 0, err
	}
	defer answer.Close()
	var changed Changed
	return changed.Count, json.NewDecoder(answer).Decode(&changed)
}

func (c *Client) do(ctx context.Context, method, path string, body []byte) (io.ReadCloser, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set(header, "1")
	if c.Key != "" {
		r.Header.Set("Authorization", "Bearer "+c.Key)
	}
	answer, err := c.Transport.RoundTrip(r)
	if err != nil {
		return nil, fmt.Errorf("asking the server: %w", err)
	}
	if answer.StatusCode == http.StatusOK {
		return answer.Body, nil
	}
	defer answer.Body.Close()
	var said failure
	if err := json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&said); err != nil || said.Error == "" {
		said.Error = "the server answers " + answer.Status
	}
	return nil, &StatusError{Code: answer.StatusCode, Message: said.Error}
}

// StatusError is a server's refusal.
type StatusError struct {
	Code    int // the status
	Message string
}

func (e *StatusError) Error() string { return e.Message }
