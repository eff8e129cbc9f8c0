package braze_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/runtime"
)

// remote simulates a Braze that refuses some purchases, and some requests as a whole.
type remote struct {
	t        *testing.T
	blocked  map[string]bool // product ids that are refused each on its own
	poison   map[string]bool // product ids for which a request is refused whole
	fails    int             // the request that fails for now; 0 for none
	requests int
	taken    []string // product ids in the order in which they were taken
}

func (r *remote) answer(_ *http.Request, body []byte) (int, string) {
	var request struct {
		Purchases []struct {
			ProductID string `json:"product_id"`
		}
	}
	require.NoError(r.t, json.Unmarshal(body, &request))
	require.LessOrEqual(r.t, len(request.Purchases), 75)
	require.NotEmpty(r.t, request.Purchases)
	require.LessOrEqual(r.t, len(body), 4_000_000)
	if r.requests++; r.requests == r.fails {
		return 503, `{"message":"down"}`
	}
	var wrong []string
	for i, p := range request.Purchases {
		if r.poison[p.ProductID] {
			return 400, `{"message":"malformed"}`
		}
		if r.blocked[p.ProductID] {
			wrong = append(wrong, fmt.Sprintf(`{"type":"blocked","input_array":"purchases","index":%d}`, i))
		}
	}
	for _, p := range request.Purchases {
		if !r.blocked[p.ProductID] {
			r.taken = append(r.taken, p.ProductID)
		}
	}
	status := 201
	if len(wrong) == len(request.Purchases) {
		status = 400
	}
	return status, `{"message":"x","errors":[` + strings.Join(wrong, ",") + `]}`
}

// TestSplittingLosesNothingAndKeepsTheOrder checks random refusals: no delivered object is missing or sent twice, nothing is sent
// after a retryable failure, and the objects of a user keep their order.
func TestSplittingLosesNothingAndKeepsTheOrder(t *testing.T) {
	for seed := range uint64(25) {
		random := rand.New(rand.NewPCG(seed, 1))
		r := &remote{t: t, blocked: map[string]bool{}, poison: map[string]bool{}}
		if random.IntN(3) == 0 {
			r.fails = 1 + random.IntN(6)
		}
		var texts []string
		var products [][]string // by event
		for i := range 1 + random.IntN(400) {
			n := []int{0, 1, 1, 2, 3, 74, 75, 76, 160}[random.IntN(9)]
			if i > 20 {
				n = min(n, 3)
			}
			user := fmt.Sprintf("u%d-%d", random.IntN(5), i)
			var ids []string
			for k := range n {
				id := fmt.Sprintf("%s-%d", user, k)
				ids = append(ids, id)
				r.blocked[id], r.poison[id] = random.IntN(40) == 0, random.IntN(400) == 0
			}
			texts, products = append(texts, order(user, n)), append(products, ids)
		}
		plan := newPlan(t, scripted(r.answer), "trackPurchase", `{"batch_size":1000}`, nil)
		verdicts := plan.RunBatch(t.Context(), parse(t, texts...))
		require.Len(t, verdicts, len(texts))
		taken := map[string]int{}
		for i, id := range r.taken {
			_, twice := taken[id]
			require.False(t, twice, "seed %d: %s is taken twice", seed, id)
			taken[id] = i
		}
		last := -1
		for i, ids := range products {
			v := verdicts[i][0]
			has := 0
			for _, id := range ids {
				if at, ok := taken[id]; ok {
					has++
					require.Greater(t, at, last, "seed %d: %s is out of order", seed, id)
					last = at
				}
			}
			switch v.Outcome {
			case runtime.Delivered:
				require.Equal(t, len(ids), has, "seed %d: event %d", seed, i)
			case runtime.Skipped:
				require.Empty(t, ids)
			case runtime.Retry:
				require.Zero(t, has, "seed %d: event %d would count twice", seed, i)
				require.NotZero(t, r.fails)
			default:
				require.NotEmpty(t, v.Reason)
			}
		}
		if r.fails == 0 {
			for i := range verdicts {
				require.NotEqual(t, runtime.Retry, verdicts[i][0].Outcome)
			}
		} else if r.requests >= r.fails {
			assert.Equal(t, r.fails, r.requests, "seed %d: something was sent after the failure", seed)
		}
	}
}

func TestRequestsStayWithinTheirBytes(t *testing.T) {
	var texts []string
	for i := range 75 {
		texts = append(texts, fmt.Sprintf(`{"type":"identify","userId":"u%d","traits":{"bio":"%s"}}`, i, strings.Repeat("é\\n", 22_000)))
	}
	users := 0
	plan := newPlan(t, scripted(func(_ *http.Request, body []byte) (int, string) {
		assert.LessOrEqual(t, len(body), 4_000_000)
		users += strings.Count(string(body), `"external_id"`)
		return 201, `{"message":"success"}`
	}), "updateUserProfile", `{}`, nil)
	for _, v := range plan.RunBatch(t.Context(), parse(t, texts...)) {
		assert.Equal(t, runtime.Delivered, v[0].Outcome, v[0].Reason)
	}
	assert.Equal(t, 75, users)
}

// FuzzAnswers checks that every event gets one verdict for any response, and that no response causes more requests than twice the
// number of events.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []struct {
		status int
		answer string
	}{
		{201, `{"message":"success","errors":[{"type":"x","input_array":"events","index":1}]}`},
		{400, `{"errors":[{"type":"x","input_array":"events","index":0},{"type":"y","input_array":"events","index":0}]}`},
		{200, `{"errors":[{"index":-1,"input_array":"events"},{"index":99999999999999999999,"input_array":"events"},{"index":1.5},null,7]}`},
		{413, `too large`}, {429, ``}, {302, `{}`}, {503, `[]`}, {201, `{"errors":{}}`},
	} {
		f.Add(seed.status, seed.answer)
	}
	n, status, response := 0, 0, ""
	plan := newPlan(f, scripted(func(*http.Request, []byte) (int, string) { n++; return status, response }), "trackEvent", `{}`, nil)
	one := `{"type":"track","event":"One","userId":"u1","receivedAt":"2026-01-02T03:04:05Z"}`
	events := parse(f, one, one, one)
	f.Fuzz(func(t *testing.T, of int, with string) {
		if of < 200 || of > 599 {
			t.Skip()
		}
		n, status, response = 0, of, with
		verdicts := plan.RunBatch(t.Context(), events)
		require.Len(t, verdicts, 3)
		for _, v := range verdicts {
			require.NotEmpty(t, v[0].Outcome)
			require.NotEqual(t, "INTERNAL_ERROR", v[0].Code)
			require.False(t, v[0].Outcome == runtime.Delivered && status >= 300)
		}
		require.LessOrEqual(t, n, 6)
	})
}
