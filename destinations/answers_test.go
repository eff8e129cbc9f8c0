package destinations_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination/sandbox"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
)

// documentedAnswers are responses that the documentation of an API describes, by destination, and the outcome of the event: "delivered",
// "refused" or "retry". A status without a body is for all requests of the delivery.
var documentedAnswers = map[string]map[string]runtime.Outcome{
	"amplitude": {
		`200 {"code":200,"events_ingested":1}`: runtime.Delivered, `400 {"code":400,"error":"Request missing required field","missing_field":"api_key"}`: runtime.Refused,
		`413 {"code":413,"error":"Payload too large"}`: runtime.Refused, `429 {"code":429,"error":"Too many requests for some devices and users","eps_threshold":30,"throttled_users":{"u":32}}`: runtime.Retry,
	},
	"braze": {
		`201 {"message":"success","attributes_processed":1}`: runtime.Delivered, `201 {"message":"success","errors":[{"type":"the user is not valid","input_array":"attributes","index":0}]}`: runtime.Refused,
		`400 {"message":"invalid"}`: runtime.Refused, `401 {"message":"Invalid API Key"}`: runtime.Refused, `429 {"message":"Rate limit exceeded"}`: runtime.Retry,
	},
	"criteo-audiences": {`400 {"errors":[{"code":"model-validation"}]}`: runtime.Refused, `429 {"errors":[{"code":"quota"}]}`: runtime.Retry},
	"customerio": {
		`200 {}`: runtime.Delivered, `400 {"errors":[{"reason":"invalid","message":"bad"}]}`: runtime.Refused, `401 {"meta":{"error":"Unauthorized"}}`: runtime.Refused, `429 {}`: runtime.Retry,
	},
	"facebook-conversions-api": {
		`200 {"events_received":1}`: runtime.Delivered, `400 {"error":{"message":"bad","code":100}}`: runtime.Refused, `400 {"error":{"message":"slow down","code":4}}`: runtime.Retry,
		`400 {"error":{"message":"slow down","code":80004}}`: runtime.Retry, `400 {"error":{"message":"try later","code":2}}`: runtime.Retry, `500 {"error":{"message":"try later","code":1,"is_transient":true}}`: runtime.Retry,
		`400 {"error":{"message":"later","code":99,"is_transient":true}}`: runtime.Retry, `400 {"error":{"message":"expired","code":190}}`: runtime.Refused, `400 {"error":{"message":"no","code":80015}}`: runtime.Refused, `400 `: runtime.Refused,
	},
	"facebook-custom-audiences": {
		`200 {"num_received":1,"num_invalid_entries":0}`: runtime.Delivered, `200 {"num_received":1,"num_invalid_entries":1}`: runtime.Refused, `400 {"error":{"message":"slow down","code":17}}`: runtime.Retry,
		`400 {"error":{"message":"try later","code":1}}`: runtime.Retry, `400 {"error":{"message":"expired","code":102}}`: runtime.Refused, `403 {"error":{"message":"no","code":200}}`: runtime.Refused,
	},
	"google-analytics-4": {`204 `: runtime.Delivered, `200 `: runtime.Delivered, `429 `: runtime.Retry},
	"hubspot": {
		`423 {"status":"error","message":"locked"}`: runtime.Retry, `429 {"status":"error","policyName":"DAILY"}`: runtime.Retry, `477 {"status":"error","message":"migration"}`: runtime.Retry,
		`403 {"category":"MISSING_SCOPES"}`: runtime.Refused, `400 {"category":"VALIDATION_ERROR"}`: runtime.Refused, `521 {}`: runtime.Retry,
	},
	"intercom": {`409 {"type":"error.list"}`: runtime.Retry, `422 {"type":"error.list"}`: runtime.Refused, `429 {"type":"error.list"}`: runtime.Retry, `402 {}`: runtime.Refused},
	"iterable": {
		`200 {"code":"Success","msg":""}`: runtime.Delivered, `400 {"code":"BadParams","msg":"bad"}`: runtime.Refused, `400 {"code":"InvalidEmailAddressError","msg":"bad"}`: runtime.Refused, `429 {"code":"RateLimitExceeded"}`: runtime.Retry,
	},
	"iterable-lists": {`200 {"successCount":1,"failCount":0}`: runtime.Delivered, `429 {"code":"RateLimitExceeded"}`: runtime.Retry},
	"klaviyo": {
		`202 `: runtime.Delivered, `400 {"errors":[{"detail":"bad"}]}`: runtime.Refused, `429 {"errors":[{"detail":"throttled"}]}`: runtime.Retry, `403 {"errors":[{"detail":"no scope"}]}`: runtime.Refused,
	},
	"linkedin-conversions": {`201 {}`: runtime.Delivered, `207 {"elements":[{"status":201}]}`: runtime.Delivered, `400 {"message":"bad"}`: runtime.Refused, `429 {"message":"slow down"}`: runtime.Retry},
	"marketo-static-lists": {
		`200 {"success":true,"result":[{"status":"Queued"}]}`: runtime.Delivered, `200 {"success":false,"errors":[{"code":"606","message":"too many"}]}`: runtime.Retry, `200 {"success":false,"errors":[{"code":"607","message":"quota"}]}`: runtime.Retry,
		`200 {"success":false,"errors":[{"code":"615","message":"concurrent"}]}`: runtime.Retry, `200 {"success":false,"errors":[{"code":"1003","message":"bad"}]}`: runtime.Refused, `200 {"success":false,"errors":[{"code":"601","message":"token"}]}`: runtime.Refused,
		`200 `: runtime.Retry,
	},
	"mixpanel": {
		`200 {"code":200,"num_records_imported":1,"status":"OK"}`: runtime.Delivered, `400 {"code":400,"error":"bad","failed_records":[{"index":0,"message":"no time"}]}`: runtime.Refused,
		`401 {"code":401,"error":"no"}`: runtime.Refused, `413 {"code":413}`: runtime.Refused, `429 {"code":429}`: runtime.Retry,
	},
	"moengage": {`200 {"status":"success"}`: runtime.Delivered, `200 {"status":"fail","error":{"message":"bad"}}`: runtime.Refused, `429 {"status":"fail"}`: runtime.Retry, `413 {"status":"fail"}`: runtime.Refused},
	"sendgrid": {`400 {"errors":[{"message":"bad"}]}`: runtime.Refused, `403 {"errors":[{"message":"no"}]}`: runtime.Refused, `429 {"errors":[{"message":"too many requests"}]}`: runtime.Retry},
	"slack": {
		`200 ok`: runtime.Delivered, `400 invalid_payload`: runtime.Refused, `403 action_prohibited`: runtime.Refused, `404 channel_not_found`: runtime.Refused, `410 channel_is_archived`: runtime.Refused,
		`429 rate_limited`: runtime.Retry, `500 rollup_error`: runtime.Retry,
	},
	"snap-conversions-api": {
		`200 {"status":"VALID"}`: runtime.Delivered, `200 {"status":"FAILED","reason":"bad"}`: runtime.Refused, `200 {"status":"PARTIAL","error_records":[{"reason":"bad"}]}`: runtime.Refused, `429 {}`: runtime.Retry, `403 {}`: runtime.Refused,
	},
	"tiktok-audiences": {
		`200 {"code":0,"message":"OK"}`: runtime.Delivered, `200 {"code":40002,"message":"bad"}`: runtime.Refused, `200 {"code":40100,"message":"slow down"}`: runtime.Retry, `200 {"code":50000,"message":"down"}`: runtime.Retry,
		`200 `: runtime.Refused,
	},
	"tiktok-conversions": {
		`200 {"code":0,"message":"OK"}`: runtime.Delivered, `200 {"code":40002,"message":"bad"}`: runtime.Refused, `200 {"code":40100,"message":"slow down"}`: runtime.Retry, `200 {"code":51010,"message":"down"}`: runtime.Retry,
	},
	"webhook": {`200 `: runtime.Delivered, `204 `: runtime.Delivered, `410 gone`: runtime.Refused, `422 {"message":"bad"}`: runtime.Refused, `501 `: runtime.Refused, `423 `: runtime.Retry, `408 `: runtime.Retry},
}

// TestDocumentedAnswersHaveTheirVerdict gives each destination the answers that the API documents, and checks the verdict of the event.
func TestDocumentedAnswersHaveTheirVerdict(t *testing.T) {
	registry, tested := sharedRegistry(t), 0
	for _, c := range badInputCases() {
		answers := documentedAnswers[c.slug]
		if answers == nil {
			continue
		}
		tested++
		entry, err := registry.Find(c.slug)
		require.NoError(t, err)
		remote := &recordingRemote{sandbox: sandbox.Transport(entry.Plugin.Sandbox.New(nil))}
		plan, err := newPlan(entry, c.settings, c.subscription, remote)
		require.NoError(t, err)
		for i, answer := range slices.Sorted(maps.Keys(answers)) {
			remote.setAnswer(always(answer))
			e, err := event.Parse([]byte(c.person(i, "", "")))
			require.NoError(t, err)
			v := plan.RunBatch(t.Context(), []event.Event{e})[0][0]
			assert.Equal(t, answers[answer], v.Outcome, "%s: %s: %s", c.slug, answer, v.Reason)
		}
	}
	assert.Len(t, documentedAnswers, tested)
}
