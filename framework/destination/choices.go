package destination

import (
	"context"

	"github.com/landfall-dev/landfall/framework/event"
)

// Choice is one value that users may choose for a dynamic field.
type Choice struct {
	Label       string `json:"label"`
	Value       string `json:"value"`
	Description string `json:"description,omitempty"`
}

// ChoicesInput is the input of a ChoicesFunc.
type ChoicesInput struct {
	Deps
	Settings event.Value
	Action   string
	Field    string      // field key; contains dots for a property of an object, and for an input of a hook
	Query    string      // the search text; "" for all
	Page     string      // Choices.NextPage of the previous page; "" for the first
	Payload  event.Value // the payload, or the inputs of the hook, as filled in so far; may be absent
}

// Choices is one page of the values of a dynamic field.
type Choices struct {
	Choices  []Choice `json:"choices"`
	NextPage string   `json:"nextPage,omitempty"` // the Page of the next call; "" for the last page
}

// ChoicesFunc fetches a page of choices from the remote. Its error is shown to users; a *fault.Error keeps its status.
type ChoicesFunc func(ctx context.Context, in ChoicesInput) (Choices, error)
