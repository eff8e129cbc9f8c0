package suite

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/landfall-dev/landfall/framework/runtime"
)

// checkNoSecret reports a canary in a text that users see.
func (s *subject) checkNoSecret(of, where, text string) {
	for _, secret := range s.secretCanaries() {
		for _, form := range []string{secret, base64.StdEncoding.EncodeToString([]byte(secret))} {
			if strings.Contains(text, form) {
				s.addFinding(of, "%s shows the secret %s: %s", where, secret, excerptAround(text, form))
				return
			}
		}
	}
}

// excerptAround returns the surroundings of part in text.
func excerptAround(text, part string) string {
	at := strings.Index(text, part)
	return text[max(0, at-60):min(len(text), at+len(part)+20)]
}

// checkSecrets checks that verdicts, logs and traces contain no secret, even if the remote repeats everything it was sent.
func checkSecrets(s *subject) {
	s.eachSample(func(action string, sm sample) {
		for _, status := range []int{200, 400, 401, 429, 500} {
			r, err := s.newRig(sm, echoRemote(status))
			if err != nil {
				s.addFinding(action, "%v", err)
				return
			}
			for _, v := range r.deliverPayloads(s.baseContext(), sm.event, sm.payload, sm.payload) {
				v.Sent = v.Sent.WithoutHoles()
				s.checkNoSecret(action, fmt.Sprintf("the verdict after %d", status), fmt.Sprintf("%s %s %s", v.Reason, v.Body.JSON(), v.Sent.JSON()))
			}
			if err := r.plan.Test(s.baseContext()); err != nil {
				s.checkNoSecret(action, fmt.Sprintf("the credentials test after %d", status), err.Error())
			}
			s.checkNoSecret(action, fmt.Sprintf("what is logged and traced after %d", status), r.output.String())
		}
	})
}

// echoRemote returns a remote that repeats what it was sent.
func echoRemote(status int) remoteFunc {
	return func(r *http.Request) (*http.Response, error) {
		said := []string{r.URL.String()}
		for _, values := range r.Header {
			said = append(said, values...)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		message := map[string]any{"index": 0, "message": strings.Join(append(said, string(body)), " ")}
		text, err := json.Marshal(map[string]any{"message": message["message"], "errors": []any{message}})
		if err != nil {
			return nil, err
		}
		return respondWith(status, string(text))(r)
	}
}

// checkCredentials checks that the credentials test passes with the sandbox and fails if the remote answers 401.
func checkCredentials(s *subject) {
	if s.definition.Scheme == "none" || len(s.samples) == 0 {
		return
	}
	sm := s.samples[0]
	if r, err := s.newRig(sm, nil); err != nil {
		s.addFinding("", "%v", err)
	} else if err := r.plan.Test(s.baseContext()); err != nil && !errors.Is(err, runtime.ErrNotTested) {
		s.addFinding("", "the sandbox does not pass the credentials test: %v", err)
	}
	r, err := s.newRig(sm, respondWith(http.StatusUnauthorized, `{"message":"who are you?"}`))
	if err != nil {
		return
	}
	if err := r.plan.Test(s.baseContext()); err == nil || errors.Is(err, runtime.ErrNotTested) {
		s.addFinding("", "the credentials test passes although the remote answers 401: set Plugin.Test")
	}
}
