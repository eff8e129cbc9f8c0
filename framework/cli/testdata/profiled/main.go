// Command profiled is landfall with a CPU profile in the file that LANDFALL_COST_PROFILE names. TestCost runs it as the server.
package main

import (
	"fmt"
	"os"
	"runtime/pprof"

	"github.com/landfall-dev/landfall/destinations"
	"github.com/landfall-dev/landfall/framework/cli"
)

func main() { os.Exit(run()) }

func run() int {
	file, err := os.Create(os.Getenv("LANDFALL_COST_PROFILE"))
	if err == nil {
		err = pprof.StartCPUProfile(file)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer file.Close()
	defer pprof.StopCPUProfile()
	return cli.Main(destinations.All()...)
}
