// Package connect provides Landfall's components for Benthos and Redpanda Connect pipelines. The output landfall and the processor landfall
// deliver events to the destinations of a config. The processor landfall_map turns events into payloads and delivers nothing.
//
// The components preserve the order of each user's events: while a message is to be sent again by the pipeline, the later messages of the
// same user are held back, and no others. The package keeps this order in memory; the pipeline keeps the messages. The pipeline creates the
// components, and calls an output from one goroutine at a time, as Register requests.
package connect

import (
	"context"
	"fmt"
	"os"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/runtime/ballast"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/internal/memorylimit"
)

// Main runs the command line of Benthos with Landfall's components and the given destinations, and returns the exit code. A program
// also imports the components of Benthos that its pipelines use:
//
//	import _ "github.com/redpanda-data/benthos/v4/public/components/io"
//
//	func main() { os.Exit(connect.Main(destinations.All()...)) }
func Main(plugins ...destination.Plugin) int {
	ballast.Reserve(ballast.DefaultSize)
	memorylimit.Detect().Apply()
	if err := Register(service.GlobalEnvironment(), plugins...); err != nil {
		fmt.Fprintf(os.Stderr, "landfall-connect: %v\n", err)
		return 1
	}
	code, err := service.RunCLIToCode(context.Background(), service.CLIOptSetBinaryName("landfall-connect"))
	if err != nil {
		fmt.Fprintf(os.Stderr, "landfall-connect: %v\n", err)
	}
	return code
}

// Register adds the components to an environment. They deliver to the given destinations, and to those in the directory of definitions
// that a config names. It fails if two of the destinations have the same name.
func Register(env *service.Environment, plugins ...destination.Plugin) error {
	if _, err := destination.NewRegistry(plugins); err != nil {
		return fmt.Errorf("registering the destinations: %w", err)
	}
	f := factory{instances.Catalog{Plugins: plugins}}
	if err := env.RegisterBatchOutput("landfall", outputSpec(), f.newOutput); err != nil {
		return fmt.Errorf("registering the output: %w", err)
	}
	if err := env.RegisterBatchProcessor("landfall", processorSpec(), f.newProcessor); err != nil {
		return fmt.Errorf("registering the processor: %w", err)
	}
	if err := env.RegisterBatchProcessor("landfall_map", mapperSpec(), f.newMapper); err != nil {
		return fmt.Errorf("registering the processor landfall_map: %w", err)
	}
	return nil
}

// factory creates components with the destinations of a program.
type factory struct{ catalog instances.Catalog }

// output is the component as the output of a pipeline.
type output struct{ *component }

func (f factory) newOutput(conf *service.ParsedConfig, mgr *service.Resources) (service.BatchOutput, service.BatchPolicy, int, error) {
	policy, err := conf.FieldBatchPolicy("batching")
	if err != nil {
		return nil, policy, 0, err
	}
	c, err := f.newComponent(conf, mgr)
	return output{c}, policy, 1, err // one call at a time, since concurrent calls would break the order
}

// Connect has nothing to do: each request makes its own connection.
func (output) Connect(context.Context) error { return nil }

// WriteBatch delivers a batch. The error names the messages that are not done.
func (o output) WriteBatch(ctx context.Context, batch service.MessageBatch) error {
	var failed *service.BatchError
	for i, r := range o.deliverBatch(ctx, batch) {
		err := o.errorFor(r)
		if err == nil {
			continue
		}
		if failed == nil {
			failed = service.NewBatchError(batch, err)
		}
		failed.Failed(i, err)
	}
	if failed == nil {
		return nil
	}
	return failed
}

// processor is the component as a processor of a pipeline.
type processor struct{ *component }

func (f factory) newProcessor(conf *service.ParsedConfig, mgr *service.Resources) (service.BatchProcessor, error) {
	c, err := f.newComponent(conf, mgr)
	if err != nil {
		return nil, err
	}
	return processor{c}, nil
}

// ProcessBatch delivers a batch and records the result of each message in its metadata. Messages that are not done have an error.
func (p processor) ProcessBatch(ctx context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	for i, r := range p.deliverBatch(ctx, batch) {
		r.setMetadata(batch[i])
		if err := p.errorFor(r); err != nil {
			batch[i].SetError(err)
		}
	}
	return []service.MessageBatch{batch}, nil
}
