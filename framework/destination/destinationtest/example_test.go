package destinationtest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/landfall-dev/landfall/framework/destination/destinationtest"
)

// The test of a plugin runs all checks, each as a subtest.
func ExampleRun() {
	_ = func(t *testing.T) { destinationtest.Run(t, acme(definition, send)) }
	// Output:
}

// A program can check a destination too. This one has a field without a description.
func ExampleFind() {
	undescribed := strings.Replace(definition, "description: How old they are., ", "", 1)
	findings, err := destinationtest.Find(acme(undescribed, send), "testdata/acme")
	for _, f := range findings {
		fmt.Println(f)
	}
	fmt.Println(err)
	// Output:
	// testdata/acme/destination.yaml:20:7: createContact.age: the field has no description
	// <nil>
}
