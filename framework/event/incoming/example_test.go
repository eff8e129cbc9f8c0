package incoming_test

import (
	"fmt"
	"time"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/event/incoming"
)

// A program that reads events from a queue of its own completes them as the server does.
func ExampleComplete() {
	received := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	e, err := event.Parse([]byte(`{"event": "Bought", "userId": 7, "messageId": "m1"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	e = incoming.Complete(e, received, 0)
	for _, key := range []string{"type", "userId", "timestamp", "receivedAt"} {
		fmt.Println(key, e.Value().Get(key).JSON())
	}
	// Output:
	// type "track"
	// userId "7"
	// timestamp "2026-01-02T03:04:05.000Z"
	// receivedAt "2026-01-02T03:04:05.000Z"
}
