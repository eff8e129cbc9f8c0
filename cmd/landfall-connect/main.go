// Command landfall-connect is Benthos, the engine of Redpanda Connect, with Landfall's components: the output landfall, and the processors
// landfall and landfall_map. Of Benthos' own components it has those for files, HTTP, sockets and pure processing. README.md shows
// pipelines. See [connect.Main] for a program with destinations of your own.
package main

import (
	"os"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"   // files, HTTP, sockets
	_ "github.com/redpanda-data/benthos/v4/public/components/pure" // components without external dependencies

	"github.com/landfall-dev/landfall/cmd/landfall-connect/connect"
	"github.com/landfall-dev/landfall/destinations"
)

func main() { os.Exit(connect.Main(destinations.All()...)) }
