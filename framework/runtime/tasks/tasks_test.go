package tasks_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/landfall-dev/landfall/framework/dispatch"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/tasks"
)

func TestResultOf(t *testing.T) {
	for name, c := range map[string]struct {
		verdict runtime.Verdict
		want    dispatch.Result
	}{
		"delivered":             {runtime.Verdict{Outcome: runtime.Delivered}, dispatch.Result{Outcome: dispatch.Done}},
		"refused by the remote": {runtime.Verdict{Outcome: runtime.Refused, Reporter: fault.ReporterDestination}, dispatch.Result{Outcome: dispatch.Done}},
		"refused here":          {runtime.Verdict{Outcome: runtime.Refused, Reporter: fault.ReporterIntegrations}, dispatch.Result{Outcome: dispatch.Dropped}},
		"skipped":               {runtime.Verdict{Outcome: runtime.Skipped}, dispatch.Result{Outcome: dispatch.Dropped}},
		"pending":               {runtime.Verdict{Outcome: runtime.Pending}, dispatch.Result{Outcome: dispatch.Pending}},
		"no login":              {runtime.Verdict{Outcome: runtime.Retry, Code: fault.CodeLogin}, dispatch.Result{Outcome: dispatch.NotSent}},
		"server error":          {runtime.Verdict{Outcome: runtime.Retry, Status: 500}, dispatch.Result{Outcome: dispatch.Retry}},
		"rate limit":            {runtime.Verdict{Outcome: runtime.Retry, Status: 429, RetryAfter: time.Second}, dispatch.Result{Outcome: dispatch.Retry, RetryAfter: time.Second, Unrelated: true}},
		"locked":                {runtime.Verdict{Outcome: runtime.Retry, Status: 423}, dispatch.Result{Outcome: dispatch.Retry, Unrelated: true}},
		"state":                 {runtime.Verdict{Outcome: runtime.Retry, Code: fault.CodeState}, dispatch.Result{Outcome: dispatch.Retry, Unrelated: true}},
	} {
		assert.Equal(t, c.want, tasks.ResultOf(&c.verdict), name)
	}
}
