package destination

import (
	"context"

	"github.com/landfall-dev/landfall/framework/event"
)

// Choice is one value that people may choose for a dynamic field.
type Choice struct {
	Label       string `json:"label"`
	Value       string `json:"value"`
	Description string `json:"description,omitempty"`
}

// ChoicesInput is what a fetch of choices may use.
type ChoicesInput struct {
	Deps
	Settings event.Value
	Action   string
	Field    string      // its key; with dots for a property of an object
	Query    string      // what the person has typed so far; "" for all
	Page     string      // Choices.NextPage of the page before; "" for the first
	Payload  event.Value // what the person has filled in so far; absent where that is nothing
}

// Choices is one page of the values of a dynamic field.
type Choices struct {
	Choices  []Choice `json:"choices"`
	NextPage string   `json:"nextPage,omitempty"` // what the next page is asked for by; "" where this is the last
}

// ChoicesFunc fetches a page of choices from the remote. Its errors are for people; a *fault.Error keeps its status.
type ChoicesFunc func(ctx context.Context, in ChoicesInput) (Choices, error)
