package why

import (
	"context"

	"github.com/landfall-dev/landfall/framework/destination"
)

// noMembers are Members that remember nothing, so that events are explained independently of each other.
type noMembers struct{}

// NoMembers returns Members that remember nothing, for the plans of Source.Instances.
func NoMembers() destination.Members { return noMembers{} }

func (noMembers) Lookup(_ context.Context, _ string, identities []string) ([]destination.Record, error) {
	return make([]destination.Record, len(identities)), nil
}

func (noMembers) MarkUncertain(context.Context, destination.Audience, []destination.Change) error {
	return nil
}

func (noMembers) Record(context.Context, destination.Audience, []destination.Change) error {
	return nil
}

func (noMembers) Annotate(context.Context, destination.Audience, []destination.Note) error {
	return nil
}

func (noMembers) Sizes(context.Context) ([]destination.AudienceSize, error) { return nil, nil }
