package ballast_test

import (
	"fmt"

	"github.com/landfall-dev/landfall/framework/runtime/ballast"
)

// A program with a small heap calls Reserve once, as the first thing that main does.
func ExampleReserve() {
	ballast.Reserve(ballast.DefaultSize)
	fmt.Println("ready")
	// Output: ready
}
