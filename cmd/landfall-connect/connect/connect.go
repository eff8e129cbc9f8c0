// Package connect brings Landfall into a Benthos or Redpanda Connect pipeline: the output landfall and the processor landfall
// deliver events by a config, the processor landfall_map turns them into payloads and delivers nothing.
//
// The order of each user's events is kept: a message that is to come again holds back the later ones of its user, and those
// alone. What is kept of that is in memory; the pipeline keeps the messages. Components are made by the pipeline, which calls an
// output from one goroutine at a time, as Register asks it to.
package connect

import (
	"context"
	"fmt"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// Register adds the components to an environment.
func Register(env *service.Environment) error {
	if err := env.RegisterBatchOutput("landfall", outputSpec(), newOutput); err != nil {
		return fmt.Errorf("registering the output: %w", err)
	}
	if err := env.RegisterBatchProcessor("landfall", processorSpec(), newProcessor); err != nil {
		return fmt.Errorf("registering the processor: %w", err)
	}
	if err := env.RegisterBatchProcessor("landfall_map", mapperSpec(), newMapper); err != nil {
		return fmt.Errorf("registering the processor landfall_map: %w", err)
	}
	return nil
}

// output is the component that ends a pipeline.
type output struct{ *component }

func newOutput(conf *service.ParsedConfig, mgr *service.Resources) (service.BatchOutput, service.BatchPolicy, int, error) {
	policy, err := conf.FieldBatchPolicy("batching")
	if err != nil {
		return nil, policy, 0, err
	}
	c, err := newComponent(conf, mgr)
	return output{c}, policy, 1, err // one call at a time: two would race for the order
}

// Connect has nothing to do: each request makes its own connection.
func (output) Connect(context.Context) error { return nil }

// WriteBatch delivers a batch. The messages of the error are those that are not done.
func (o output) WriteBatch(ctx context.Context, batch service.MessageBatch) error {
	var failed *service.BatchError
	for i, r := range o.deliver(ctx, batch) {
		err := o.failure(r)
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

// processor is the component in the middle of a pipeline.
type processor struct{ *component }

func newProcessor(conf *service.ParsedConfig, mgr *service.Resources) (service.BatchProcessor, error) {
	c, err := newComponent(conf, mgr)
	if err != nil {
		return nil, err
	}
	return processor{c}, nil
}

// ProcessBatch delivers a batch and tells of each message, in its metadata, what became of it. What is not done has an error.
func (p processor) ProcessBatch(ctx context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	for i, r := range p.deliver(ctx, batch) {
		r.describe(batch[i])
		if err := p.failure(r); err != nil {
			batch[i].SetError(err)
		}
	}
	return []service.MessageBatch{batch}, nil
}
