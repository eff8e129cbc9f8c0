// Command landfall runs the destinations of this repository. See [cli.Main] for a program with destinations of your own.
package main

import (
	"os"

	"github.com/landfall-dev/landfall/destinations"
	"github.com/landfall-dev/landfall/framework/cli"
)

func main() { os.Exit(cli.Main(destinations.All()...)) }
