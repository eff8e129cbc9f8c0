package webhook_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations/webhook"
	"github.com/landfall-dev/landfall/framework/destination/sandbox/sandboxtest"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// instance is a config's instance with these settings and mapping, whose endpoint is the sandbox.
func instance(settings, mapping string) string {
	return fmt.Sprintf(`{"id":"hook","settings":%s,"subscriptions":[{"name":"all","action":"send","subscribe":"type != null","mapping":%s}]}`, settings, mapping)
}

func track(n int) string {
	return fmt.Sprintf(`{"type":"track","userId":"u%d","properties":{"n":%d}}`, n, n)
}

func TestSignaturesOfAllAlgorithmsVerify(t *testing.T) {
	for _, algorithm := range []string{"sha1", "sha256", "sha512"} {
		for _, encoding := range []string{"hex", "base64"} {
			for _, format := range []string{"json", "ndjson", "form"} {
				r := sandboxtest.Start(t, webhook.Plugin(), map[string][]string{"secret": {"very-secret"}})
				settings := fmt.Sprintf(`{"sharedSecret":"very-secret","signature_algorithm":%q,"signature_encoding":%q,"format":%q,"signature_prefix":"v1="}`, algorithm, encoding, format)
				plan := r.Plan(instance(settings, `{"url":"https://hooks.example.com/in","enable_batching":true}`), runtime.Host{})
				assert.Equal(t, []string{"delivered", "delivered"}, r.RunBatch(plan, track(1), track(2)), settings)
				assert.NotContains(t, r.Transcript(), "very-secret")
				first := r.State().Get("deliveries").Index(0)
				assert.Equal(t, "/in", first.Get("path").Str())
			}
		}
	}
}

func TestAWrongSignatureIsRefused(t *testing.T) {
	r := sandboxtest.Start(t, webhook.Plugin(), map[string][]string{"secret": {"very-secret"}})
	plan := r.Plan(instance(`{"sharedSecret":"another"}`, `{"url":"https://hooks.example.com"}`), runtime.Host{})
	assert.Equal(t, []string{"refused: the signature is wrong"}, r.RunBatch(plan, track(1)))
}

func TestEventsOfABatchAreRefusedAlone(t *testing.T) {
	r := sandboxtest.Start(t, webhook.Plugin(), map[string][]string{"refuse": {`"u2"`, `"u5"`}})
	plan := r.Plan(instance(`{"format":"ndjson"}`, `{"url":"https://hooks.example.com","enable_batching":true,"batch_size":4}`), runtime.Host{})
	assert.Equal(t, []string{"delivered", "delivered", "refused: the event is not wanted", "delivered", "delivered", "refused: the event is not wanted"},
		r.RunBatch(plan, track(0), track(1), track(2), track(3), track(4), track(5)))
	assert.Equal(t, 2, r.Requests())
	deliveries := r.State().Get("deliveries")
	assert.Equal(t, 3, deliveries.Index(0).Get("events").Len())
	assert.Equal(t, "application/x-ndjson", deliveries.Index(0).Get("contentType").Str())
}

func TestEventsForDifferentEndpointsNeverShareARequest(t *testing.T) {
	r := sandboxtest.Start(t, webhook.Plugin(), nil)
	plan := r.Plan(instance(`{}`, `{"url":{"@template":"https://hooks.example.com/{{properties.n}}"},"batch_keys":[],"enable_batching":true}`), runtime.Host{})
	assert.Equal(t, []string{"delivered", "delivered", "delivered"}, r.RunBatch(plan, track(1), track(1), track(2)))
	var got []string
	for _, d := range r.State().Get("deliveries").Items() {
		got = append(got, fmt.Sprintf("%s %d", d.Get("path").Str(), d.Get("events").Len()))
	}
	assert.Equal(t, []string{"/1 2", "/2 1"}, got)
}

func TestRetryAfterOfTheReceiverIsRespected(t *testing.T) {
	r := sandboxtest.Start(t, webhook.Plugin(), nil)
	plan := r.Plan(instance(`{}`, `{"url":"https://hooks.example.com"}`), runtime.Host{})
	r.AddFault(`[{"status":429,"headers":{"Retry-After":"17"}},{"drop":true}]`)
	e, err := event.Parse([]byte(track(1)))
	require.NoError(t, err)
	v := plan.Run(t.Context(), e)[0]
	assert.Equal(t, runtime.Retry, v.Outcome)
	assert.Equal(t, 17*time.Second, v.RetryAfter)

	plan = r.Plan(instance(`{}`, `{"url":"https://hooks.example.com"}`), runtime.Host{})
	assert.Contains(t, r.RunBatch(plan, track(1))[0], "retry: no answer from the destination")
	assert.Equal(t, []string{"delivered"}, r.RunBatch(plan, track(1)))
}

func TestCredentialsAreRedacted(t *testing.T) {
	for settings, secret := range map[string]string{
		`{"bearer_token":"very-secret-token"}`:             "very-secret-token",
		`{"username":"ana","password":"very-secret-word"}`: "YW5hOnZlcnktc2VjcmV0LXdvcmQ=",
	} {
		r := sandboxtest.Start(t, webhook.Plugin(), nil)
		plan := r.Plan(instance(settings, `{"url":"https://hooks.example.com"}`), runtime.Host{})
		r.AddFault(fmt.Sprintf(`{"status":403,"body":{"message":"not for %s"}}`, secret))
		assert.Equal(t, []string{"refused: not for [hidden]"}, r.RunBatch(plan, track(1)))
		assert.NotContains(t, r.Transcript(), secret)
		assert.NotContains(t, r.Transcript(), "very-secret-word")
	}
}

func TestAnEventThatIsTooLargeIsRefusedAlone(t *testing.T) {
	r := sandboxtest.Start(t, webhook.Plugin(), nil)
	plan := r.Plan(instance(`{}`, `{"url":"https://hooks.example.com","enable_batching":true}`), runtime.Host{})
	outcomes := r.RunBatch(plan, track(1), `{"type":"track","properties":{"x":"`+strings.Repeat("x", 4<<20)+`"}}`, track(2))
	assert.Contains(t, outcomes[1], "refused: the request is larger than 4194304 bytes")
	assert.Equal(t, []string{"delivered", "delivered"}, []string{outcomes[0], outcomes[2]})
}

// TestListsThatAreRefusedAsAWhole checks which events of a refused list are delivered: none as in Segment, or with split_refused_batches
// all that the endpoint accepts.
func TestListsThatAreRefusedAsAWhole(t *testing.T) {
	list := make([]string, 8)
	for n := range list {
		list[n] = track(n)
	}
	const refused = "refused: one of the events is not wanted, so none is taken"
	for settings, requests := range map[string]int{
		`{}`:                              1,
		`{"split_refused_batches":false}`: 1,
		`{"split_refused_batches":true}`:  7,
		`{"split_refused_batches":true,"format":"ndjson"}`: 7,
	} {
		r := sandboxtest.Start(t, webhook.Plugin(), map[string][]string{"refuse-whole": {`"n":3`}})
		plan := r.Plan(instance(settings, `{"url":"https://hooks.example.com/in","data":{"@path":"$.properties"},"enable_batching":true}`), runtime.Host{})
		want := slices.Repeat([]string{"delivered"}, len(list))
		if requests == 1 {
			want = slices.Repeat([]string{refused}, len(list))
		}
		want[3] = refused
		assert.Equal(t, want, r.RunBatch(plan, list...), settings)
		assert.Equal(t, requests, r.Requests(), settings)
	}
}

// TestOnlyRefusalsOfEventsSplitAList checks that a response about the endpoint as a whole is the verdict of all events at once.
func TestOnlyRefusalsOfEventsSplitAList(t *testing.T) {
	for status, requests := range map[int]int{400: 3, 401: 1, 403: 1, 404: 1, 410: 1, 413: 3, 422: 3, 429: 1, 503: 1} {
		r := sandboxtest.Start(t, webhook.Plugin(), nil)
		plan := r.Plan(instance(`{"split_refused_batches":true}`, `{"url":"https://hooks.example.com/in","enable_batching":true}`), runtime.Host{})
		r.AddFault(fmt.Sprintf(`[{"status":%d},{"status":%d},{"status":%d}]`, status, status, status))
		for _, outcome := range r.RunBatch(plan, track(1), track(2)) {
			assert.NotEqual(t, "delivered", outcome, status)
		}
		assert.Equal(t, requests, r.Requests(), status)
	}
}
