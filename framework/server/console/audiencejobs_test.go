package console_test

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sentBodies records the bodies that a remote is sent. Requests wait until let is closed.
type sentBodies struct {
	next   http.RoundTripper
	mu     sync.Mutex
	let    chan struct{}
	bodies []string
}

func (s *sentBodies) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.mu.Lock()
	s.bodies = append(s.bodies, string(body))
	let := s.let
	s.mu.Unlock()
	<-let
	return s.next.RoundTrip(r)
}

// take returns what was sent since the last call.
func (s *sentBodies) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := strings.Join(s.bodies, "\n")
	s.bodies = nil
	return all
}

// runJob posts a form that starts a job, waits until the job has ended and returns its page.
func (p *page) runJob(path string, form url.Values) string {
	p.t.Helper()
	w := p.do(http.MethodPost, path, form, nil)
	require.Equal(p.t, http.StatusSeeOther, w.Code, w.Body.String())
	assert.NotContains(p.t, w.Body.String(), "<html", "nothing but the redirect")
	job := strings.TrimPrefix(w.Header().Get("Location"), "/console/")
	body := ""
	require.Eventually(p.t, func() bool { body = p.get(job + "?part=1"); return strings.Contains(body, "<dt>Exits</dt>") }, time.Minute, 5*time.Millisecond)
	return body
}

func TestPurgeNeedsTheNameAndEmptiesTheAudience(t *testing.T) {
	p, _, sent := newAudiencePageWithRemote(t)
	for name, confirm := range map[string]string{"nothing": "", "its id": "aud_1", "another case": "VIP"} {
		w := p.do(http.MethodPost, "audiences/main/aud_1", url.Values{"do": {"purge"}, "confirm": {confirm}}, nil)
		assert.Equal(t, http.StatusBadRequest, w.Code, name)
		assert.Contains(t, w.Body.String(), "Nothing was sent: the name you typed does not match", name)
	}
	assert.Contains(t, p.get("audiences/main/aud_1"), "<strong>2</strong> members")
	assert.Empty(t, sent.take())
	assert.Empty(t, p.log.String())

	p.runJob("audiences/main/aud_1", url.Values{"do": {"purge"}, "confirm": {"vip"}})
	assert.Contains(t, sent.take(), `"should_remove":true`)
	assert.Contains(t, p.get("audiences/main/aud_1"), "<strong>0</strong> members")
	assert.Contains(t, p.log.String(), `action=cohort.purge who="local program" from=127.0.0.1 outcome=ok instance=main cohort=aud_1`)
	assert.Contains(t, p.log.String(), `action=cohort.purge.end who="local program" from=127.0.0.1 outcome=ok instance=main cohort=aud_1 enter=0 exit=2`)
}

func TestResyncSendsMembersAgain(t *testing.T) {
	p, _, sent := newAudiencePageWithRemote(t)
	p.runJob("audiences/main/aud_1", url.Values{"do": {"resync"}, "restart": {"1"}})
	body := sent.take()
	assert.Contains(t, body, `"u1"`)
	assert.Contains(t, body, `"u2"`)
	assert.NotContains(t, body, `"should_remove":true`)
	assert.Contains(t, p.get("audiences/main/aud_1"), "<strong>2</strong> members")
	assert.Contains(t, p.log.String(), "action=cohort.resync.end")
}

func TestOneJobOfAnAudienceAtATime(t *testing.T) {
	p, _, sent := newAudiencePageWithRemote(t)
	sent.mu.Lock()
	sent.let = make(chan struct{})
	sent.mu.Unlock()
	w := p.do(http.MethodPost, "audiences/main/aud_1", url.Values{"do": {"resync"}, "restart": {"1"}}, nil)
	require.Equal(t, http.StatusSeeOther, w.Code)
	second := p.do(http.MethodPost, "audiences/main/aud_1", url.Values{"do": {"purge"}, "confirm": {"vip"}}, nil)
	assert.Equal(t, http.StatusConflict, second.Code)
	assert.Contains(t, second.Body.String(), "Another job is already running for this")
	close(sent.let)
	job := strings.TrimPrefix(w.Header().Get("Location"), "/console/")
	require.Eventually(t, func() bool { return strings.Contains(p.get(job+"?part=1"), "<dt>Exits</dt>") }, time.Minute, 5*time.Millisecond)
	assert.NotContains(t, p.log.String(), "action=cohort.purge")
}

func TestUnknownAudiencesJobsAndActions(t *testing.T) {
	p, _ := newAudiencePage(t)
	for path, want := range map[string]string{"audiences/main/nope": "No such audience", "audiences/other/aud_1": "No such instance", "work/nope": "No such job"} {
		w := p.do(http.MethodGet, path, nil, nil)
		assert.Equal(t, http.StatusNotFound, w.Code, path)
		assert.Contains(t, w.Body.String(), want, path)
	}
	assert.Equal(t, http.StatusNotFound, p.do(http.MethodPost, "audiences/other/aud_1", url.Values{"do": {"purge"}, "confirm": {"vip"}}, nil).Code)
	w := p.do(http.MethodPost, "audiences/main/aud_1", url.Values{"do": {"empty"}}, nil)
	assert.Equal(t, http.StatusBadRequest, w.Code)
	assert.Contains(t, w.Body.String(), "no known action")
	w = p.do(http.MethodPost, "audiences/main/aud_1", url.Values{"do": {"diff"}, "users": {"email\nu1\n"}}, nil)
	assert.Equal(t, http.StatusBadRequest, w.Code)
}
