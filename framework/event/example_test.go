package event_test

import (
	"fmt"

	"github.com/landfall-dev/landfall/framework/event"
)

// An event keeps its bytes; values are read from them when they are needed.
func ExampleParse() {
	e, err := event.Parse([]byte(`{"type": "track", "userId": "u1", "properties": {"price": 9.90, "items": [{"sku": "a"}, {"sku": "b"}]}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(e.Value().Get("userId").Str())
	fmt.Println(event.NewPath("properties.items[1].sku").Read(e.Value()).Str())
	fmt.Println(event.NewPath("properties.price").Read(e.Value()).JSON()) // with its digits
	fmt.Println(e.Value().Get("anonymousId").Kind() == event.Absent)
	// Output:
	// u1
	// b
	// 9.90
	// true
}

// Values are also built in Go. Objects keep the order of their keys.
func ExampleNewObject() {
	v := event.NewObject([]event.Member{
		{Key: "name", Value: event.NewString("Ann")},
		{Key: "tags", Value: event.NewArray([]event.Value{event.NewInt(1), event.NewNull()})},
	})
	fmt.Println(v.JSON())
	// Output: {"name":"Ann","tags":[1,null]}
}

// Times are read in all forms that senders use, without regard to the zone of this machine.
func ExampleParseTime() {
	for _, text := range []string{"2026-01-02T03:04:05+01:00", "Fri, 02 Jan 2026 03:04:05 GMT", "1767323045", "tomorrow"} {
		at, ok := event.ParseTime(text)
		fmt.Println(at.UTC().Format("2006-01-02 15:04:05"), ok)
	}
	// Output:
	// 2026-01-02 02:04:05 true
	// 2026-01-02 03:04:05 true
	// 2026-01-02 03:04:05 true
	// 0001-01-01 00:00:00 false
}
