// Command landfall-connect is Benthos, the engine of Redpanda Connect, with Landfall's components: the output landfall, and the processors
// landfall and landfall_map. Of Benthos' own components it has those for files, HTTP, sockets and pure processing. README.md shows
// pipelines.
package main

import (
	"context"
	"fmt"
	"os"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"   // files, HTTP, sockets
	_ "github.com/redpanda-data/benthos/v4/public/components/pure" // components without external dependencies
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
