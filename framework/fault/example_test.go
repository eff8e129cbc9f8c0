package fault_test

import (
	"errors"
	"fmt"

	"github.com/landfall-dev/landfall/framework/fault"
)

// The status of a response decides whether a request may be sent again.
func ExampleFromStatus() {
	for _, status := range []int{429, 422, 503} {
		err := fault.FromStatus(status, "from the remote")
		fmt.Println(err.Status, err.Code, err.Retry)
	}
	// Output:
	// 429 TOO_MANY_REQUESTS true
	// 422 UNPROCESSABLE_ENTITY false
	// 503 SERVICE_UNAVAILABLE true
}

// A handler refuses a payload that can never be sent. Any error can be seen as an Error, also a wrapped one.
func ExampleAs() {
	err := fmt.Errorf("user u1: %w", fault.Invalid("%q is not an email address", "ann@"))
	f := fault.As(err)
	fmt.Println(f.Status, f.Retry)
	fmt.Println(fault.As(errors.New("no route to host")).Retry)
	// Output:
	// 400 false
	// false
}

// Problems collects every mistake in a file, so that they are reported together.
func ExampleProblems() {
	var problems fault.Problems
	problems.Add("/destinations/0/id", "is required")
	problems.Add("/destinations/1/destination", "is unknown%s", fault.DidYouMean("webhok", []string{"webhook", "hubspot"}))
	fmt.Println(problems.Err())
	// Output:
	// /destinations/0/id is required
	// /destinations/1/destination is unknown (did you mean "webhook"?)
}
