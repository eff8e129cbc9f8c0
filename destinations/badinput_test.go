package destinations_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/internal/testsize"
)

// hugeBatch is more than any destination sends in one request.
func hugeBatch() int { return testsize.Of(1200, 130) }

// TestBadInput gives every destination unknown fields, missing identifiers, invalid addresses and phone numbers, wrong settings, an
// expired token, a partial failure, a huge batch, and a line that breaks. A verdict names what is wrong, and no event is called delivered
// that the remote has not taken.
func TestBadInput(t *testing.T) {
	registry := sharedRegistry(t)
	tested := map[string]bool{"braze-web": true} // it runs in browsers and sends nothing from here
	for _, c := range badInputCases() {
		tested[c.slug] = true
		t.Run(c.slug, func(t *testing.T) {
			t.Parallel()
			entry, err := registry.Find(c.slug)
			require.NoError(t, err)
			c.testSingleEvents(t, entry)
			c.testSettings(t, entry)
			c.testFailures(t, entry)
			c.testPages(t, entry)
			c.testHugeBatch(t, entry)
		})
	}
	for _, entry := range sharedEntries(t) {
		slug := entry.Definition.Slug
		assert.True(t, tested[slug] || !hasFixtures(slug), "%s has no case in badInputCases", slug)
	}
}

// hasFixtures reports whether a destination is one of those that the project keeps: one that is being written, such as the acme of the tutorials, has
// its cases in its own directory.
func hasFixtures(slug string) bool {
	info, err := os.Stat(filepath.Join("..", "fixtures", slug))
	return err == nil && info.IsDir()
}

func (c badInput) testSingleEvents(t *testing.T, entry destination.Entry) {
	for _, e := range []struct{ name, text, says string }{
		{"a good event", c.person(1, "", ""), ""},
		{"unknown fields", strings.Replace(c.person(1, "", ""), `{"type"`, `{"zzz":{"deep":[{"a":null}]},"type"`, 1), ""},
		{"no identifiers", c.withoutIdentifiers(), c.unidentified},
		{"an invalid address", c.person(1, "not an address", ""), c.mail},
		{"an invalid phone number", c.person(1, "", "call me"), c.phone},
	} {
		v := c.deliver(t, entry, &recordingRemote{}, e.text)[0]
		if e.says == "" {
			assert.Equal(t, runtime.Delivered, v.Outcome, "%s: %s", e.name, v.Reason)
			continue
		}
		assert.Equal(t, runtime.Refused, v.Outcome, e.name)
		assert.Contains(t, v.Reason, e.says, e.name)
	}
}

func (c badInput) testSettings(t *testing.T, entry destination.Entry) {
	_, err := newPlan(entry, c.wrong, c.subscription, &recordingRemote{})
	if assert.Error(t, err, "wrong settings") {
		assert.Contains(t, err.Error(), c.wrongSays)
	}
}

// testFailures checks the verdicts if the token has expired, if the second of three events is refused, and if every second request fails.
func (c badInput) testFailures(t *testing.T, entry destination.Entry) {
	three := []string{c.person(1, "", ""), c.person(2, "", ""), c.person(3, "", "")}
	expired := c.expired
	if expired == "" {
		expired = `401 {"message":"the token has expired","error":"the token has expired"}`
	}
	for i, v := range c.deliver(t, entry, &recordingRemote{answer: always(expired)}, three...) {
		assert.Equal(t, runtime.Refused, v.Outcome, "event %d with an expired token", i)
		assert.Contains(t, v.Reason, "expired")
	}
	if c.partial != "" {
		for i, v := range c.deliver(t, entry, &recordingRemote{answer: always(c.partial)}, three...) {
			if i != 1 {
				assert.Contains(t, []runtime.Outcome{runtime.Delivered, c.others}, v.Outcome, "event %d beside one that is refused: %s", i, v.Reason)
				continue
			}
			assert.Equal(t, runtime.Refused, v.Outcome, "the event that the response names")
			assert.Contains(t, v.Reason, c.partialSays)
		}
	}
	remote := &recordingRemote{answer: func(n int) string { return []string{"", "500 down", "", "0"}[n%4] }}
	c.checkDelivered(t, remote, c.deliver(t, entry, remote, c.people(40)...))
}

// testPages checks the verdicts if a proxy answers in place of the remote: with a web page, or with nothing.
func (c badInput) testPages(t *testing.T, entry destination.Entry) {
	const page = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Sign in to the network</body></html>"
	success := runtime.Retry
	if c.slug == "webhook" {
		success = runtime.Delivered // an endpoint may answer as it likes
	}
	for answer, want := range map[string]runtime.Outcome{
		"200 " + page: success, "200 \n\uFEFF" + page: success, "202 \n <HTML>": success, "403 " + page: runtime.Refused, "404 " + page: runtime.Refused,
		"429 " + page: runtime.Retry, "429 ": runtime.Retry, "500 ": runtime.Retry, "502 " + page: runtime.Retry, "503 " + page: runtime.Retry, "504 ": runtime.Retry,
	} {
		for _, v := range c.deliver(t, entry, &recordingRemote{answer: always(answer)}, c.person(1, "", ""), c.person(2, "", "")) {
			assert.Equal(t, want, v.Outcome, "%s: %s", answer, v.Reason)
		}
	}
}

func (c badInput) testHugeBatch(t *testing.T, entry destination.Entry) {
	remote := &recordingRemote{}
	verdicts := c.deliver(t, entry, remote, c.people(hugeBatch())...)
	c.checkDelivered(t, remote, verdicts)
	for i, v := range verdicts {
		require.Equal(t, runtime.Delivered, v.Outcome, "event %d: %s", i, v.Reason)
	}
	assert.Less(t, remote.largest, 5<<20, "bytes of a request")
}

// TestRequestsHaveTheSizesOfTheAPI checks that an event that is larger than the API takes is refused alone, and that the others of its batch are
// sent in requests that are small enough.
func TestRequestsHaveTheSizesOfTheAPI(t *testing.T) {
	limits := map[string]int{"customerio": 500_000, "mixpanel": 2_000_000}
	registry := sharedRegistry(t)
	for _, c := range badInputCases() {
		limit := limits[c.slug]
		if limit == 0 {
			continue
		}
		entry, err := registry.Find(c.slug)
		require.NoError(t, err)
		pad := func(size int) string { return `"email":"MAIL","note":"` + strings.Repeat("x", size) + `"` }
		events := c.people(5)
		for i, size := range []int{10, limit / 2, limit + 1, limit / 2, 10} {
			padded := c
			padded.event = strings.Replace(c.event, `"email":"MAIL"`, pad(size), 1)
			events[i] = padded.person(i, "", "")
		}
		remote := &recordingRemote{}
		verdicts := c.deliver(t, entry, remote, events...)
		c.checkDelivered(t, remote, verdicts)
		for i, v := range verdicts {
			if i == 2 {
				assert.Equal(t, runtime.Refused, v.Outcome, c.slug)
				assert.Contains(t, v.Reason, fmt.Sprintf("larger than %d bytes", limit), c.slug)
				continue
			}
			assert.Equal(t, runtime.Delivered, v.Outcome, "%s: event %d: %s", c.slug, i, v.Reason)
		}
		assert.LessOrEqual(t, remote.largest, limit, c.slug)
		assert.GreaterOrEqual(t, remote.n, 2, c.slug)
	}
}

// checkDelivered checks that the remote has taken every event that is called delivered.
func (c badInput) checkDelivered(t *testing.T, remote *recordingRemote, verdicts []runtime.Verdict) {
	taken := map[string]bool{}
	for _, mark := range marks.FindAllString(remote.taken.String(), -1) {
		taken[mark] = true
	}
	for i, v := range verdicts {
		if v.Outcome != runtime.Delivered {
			assert.NotEmpty(t, v.Reason)
			continue
		}
		user := fmt.Sprintf("user%05d", i)
		sum := sha256.Sum256([]byte(user + "@example.com"))
		require.True(t, taken[user] || taken[hex.EncodeToString(sum[:])], "event %d is called delivered, but the remote has not taken it", i)
	}
}

// marks matches what requests show of a user: the ID, which begins the address too, or the hash of the address.
var marks = regexp.MustCompile(`user[0-9]{5}|[0-9a-f]{64}`)

// deliver sends events as one batch through a plan. Each has one verdict.
func (c badInput) deliver(t *testing.T, entry destination.Entry, remote *recordingRemote, events ...string) []runtime.Verdict {
	t.Helper()
	remote.sandbox = sandbox.Transport(entry.Plugin.Sandbox.New(nil))
	plan, err := newPlan(entry, c.settings, c.subscription, remote)
	require.NoError(t, err)
	parsed := make([]event.Event, len(events))
	for i, text := range events {
		parsed[i], err = event.Parse([]byte(text))
		require.NoError(t, err, text)
	}
	var verdicts []runtime.Verdict
	for i, v := range plan.RunBatch(t.Context(), parsed) {
		require.Len(t, v, 1, "verdicts of event %d", i)
		verdicts = append(verdicts, v[0])
	}
	return verdicts
}

// recordingRemote is the sandbox of a destination. It keeps the requests that were taken, and can answer instead of the sandbox.
type recordingRemote struct {
	sandbox http.RoundTripper
	answer  func(n int) string // a status and a body for request n, from 0; "" for the sandbox, "0" for no answer

	mu      sync.Mutex
	n       int
	taken   strings.Builder
	largest int
}

func (m *recordingRemote) setAnswer(answer func(n int) string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answer = answer
}

func always(answer string) func(int) string { return func(int) string { return answer } }

func (m *recordingRemote) RoundTrip(r *http.Request) (*http.Response, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	n := m.n
	m.n, m.largest = n+1, max(m.largest, len(body))
	answer := ""
	if m.answer != nil {
		answer = m.answer(n)
	}
	switch status, text, _ := strings.Cut(answer, " "); status {
	case "":
		response, err := m.sandbox.RoundTrip(r)
		if err == nil && response.StatusCode < 300 {
			m.taken.WriteString(r.URL.String() + " ")
			m.taken.Write(body)
		}
		return response, err
	case "0":
		return nil, io.ErrUnexpectedEOF
	default:
		code := 0
		if _, err := fmt.Sscan(status, &code); err != nil {
			return nil, err
		}
		return &http.Response{StatusCode: code, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
	}
}
