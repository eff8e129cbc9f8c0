package destination_test

import (
	"context"
	"net/http"
	"strings"

	"github.com/landfall-dev/landfall/framework/destination"
)

// importContacts sends a batch in one request. The remote refuses all of it if one address is invalid.
func importContacts(ctx context.Context, call destination.BatchCall[Settings, ContactPayload]) (*destination.MultiStatus, error) {
	ms := destination.NewMultiStatus(len(call.Payloads))
	indexes := make([]int, len(call.Payloads))
	for i := range indexes {
		indexes[i] = i
	}
	b := destination.Bisection[int]{
		Send: func(ctx context.Context, indexes []int) error {
			var lines []string
			for _, i := range indexes {
				lines = append(lines, call.Payloads[i].Email)
			}
			_, err := call.Client.Do(ctx, destination.Request{Method: http.MethodPost, URL: crm + "/strict", Text: strings.Join(lines, " ")})
			return err
		},
		Accept: func(indexes []int) error {
			for _, i := range indexes {
				ms.Deliver(i)
			}
			return nil
		},
		Fail: func(indexes []int, err error) {
			for _, i := range indexes {
				ms.Fail(i, err)
			}
		},
	}
	return ms, b.Run(ctx, indexes)
}

func ExampleBisection() {
	plugin := destination.Plugin{Actions: contacts(destination.Handler[Settings, ContactPayload]{PerformBatch: importContacts})}
	const eve = `{"type":"identify","userId":"3","traits":{"email":"eve"}}`
	send(planOf(plugin, "", "", ""), ada, eve, bob)
	// Output:
	// POST /strict ada@x.test eve bob@x.test
	// POST /strict ada@x.test
	// POST /strict eve bob@x.test
	// POST /strict eve
	// POST /strict bob@x.test
	// → delivered
	// → refused invalid address
	// → delivered
}
