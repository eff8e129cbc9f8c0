// Command landfall-connect is Redpanda Connect's engine, Benthos, with Landfall inside: its inputs, processors and outputs of pure
// data and files, and beside them the output and processor landfall and the processor landfall_map. README.md shows pipelines.
package main

import (
	"context"
	"fmt"
	"os"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"   // files, HTTP, sockets
	_ "github.com/redpanda-data/benthos/v4/public/components/pure" // what needs nothing from outside
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/landfall-dev/landfall/cmd/landfall-connect/connect"
	"github.com/landfall-dev/landfall/framework/runtime/ballast"
)

func main() {
	ballast.Reserve(ballast.DefaultSize)
	if err := connect.Register(service.GlobalEnvironment()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	service.RunCLI(context.Background(), service.CLIOptSetBinaryName("landfall-connect"))
}
