package destination

import "github.com/landfall-dev/landfall/framework/event"

// DeleteInput is the input of Plugin.OnDelete. One of the ids may be "".
type DeleteInput struct {
	Deps
	Settings    event.Value
	UserID      string
	AnonymousID string
}
