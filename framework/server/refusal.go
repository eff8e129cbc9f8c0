package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/fault"
)

// refusal says why the config in the file is not the one in effect.
type refusal struct {
	at  time.Time
	err error
}

// configCheck returns the health check of the config in the file: the server runs without it, but does not start with it.
func (v *server) configCheck() delivery.Check {
	return delivery.Check{
		Code: delivery.CodeConfigRefused,
		Next: fmt.Sprintf("correct what landfall validate %s says: the server cannot be started with it", v.Config),
		Run: func(context.Context) error {
			if r := v.refused.Load(); r != nil {
				return errors.New(r.describe())
			}
			return nil
		},
	}
}

// describe says since when the config is refused, without its mistakes: those who may see the health of a server may not see its config.
func (r *refusal) describe() string {
	reason := "cannot be used"
	var problems fault.Problems
	if errors.As(r.err, &problems) {
		reason = "has " + fault.Count(len(problems), "mistake")
	}
	return fmt.Sprintf("the config that was read at %s %s, so the one before stays in effect", r.at.UTC().Format(time.RFC3339), reason)
}

// logRefusal logs every mistake of a config that is not used.
func (v *server) logRefusal(err error) {
	var problems fault.Problems
	if !errors.As(err, &problems) {
		v.Log.Error("the new config is not used, the old one stays in effect", "error", err)
		return
	}
	for _, p := range problems {
		v.Log.Error("the new config is not used, the old one stays in effect", "problem", p.String())
	}
}
