//go:build ignore

// Updates the generated files of all destinations: go generate ./destinations
package main

import (
	"fmt"
	"os"

	"github.com/landfall-dev/landfall/internal/author/generate"
)

func main() {
	changed, err := generate.All(".", "destinations", "github.com/landfall-dev/landfall/destinations")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, file := range changed {
		fmt.Println("wrote", file)
	}
}
