package destination

import "github.com/landfall-dev/landfall/framework/event"

// DeleteInput is what a deletion of a user may use. One of the ids may be "".
type DeleteInput struct {
	Deps
	Settings    event.Value
	UserID      string
	AnonymousID string
}
