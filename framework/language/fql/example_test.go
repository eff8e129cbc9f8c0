package fql_test

import (
	"fmt"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/fql"
)

func ExampleCompile() {
	q, err := fql.Compile(`type = "track" and (event = "Order Completed" or match(event, "Checkout *"))`)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(q.Match(event.MustParse(`{"type": "track", "event": "Checkout Started"}`)))
	fmt.Println(q)
	// Output:
	// true
	// type = "track" and (event = "Order Completed" or match(event, "Checkout *"))
}

func ExampleCompile_mistake() {
	_, err := fql.Compile(`type = "track" AND event = "Order Completed"`)
	fmt.Println(err)
	// Output:
	// line 1, column 16: write "and" in lower case
	// type = "track" AND event = "Order Completed"
	//                ^
}

func ExampleQuery_Describe() {
	q, _ := fql.Compile(`event = "Audience Entered" or event = "Audience Exited"`)
	fmt.Println(q.Describe())
	// Output: the event is “Audience Entered” or “Audience Exited”
}

func ExampleQuery_Explain() {
	q, _ := fql.Compile(`type = "track" and properties.revenue > 20`)
	fmt.Print(q.Explain(event.MustParse(`{"type": "track", "properties": {"revenue": 5}}`)))
	// Output:
	// ✗ all of
	//   ✓ type = "track"  ← type: "track"
	//   ✗ properties.revenue > 20  ← properties.revenue: 5
}
