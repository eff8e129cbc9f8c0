package liquid

import (
	"strconv"
	"strings"

	"github.com/osteele/liquid"
	"github.com/osteele/liquid/render"
)

// boundedCapture stands in for capture, which the library does not bound and does not let be replaced.
const boundedCapture = "landfall_capture"

// registerTags adds the tags that the library lacks, and a capture that cannot make texts of any length.
func registerTags(engine *liquid.Engine) {
	engine.RegisterBlock(boundedCapture, func(ctx render.Context) (string, error) {
		s, err := ctx.InnerString()
		if err == nil {
			s, err = bounded(s)
		}
		ctx.Set(strings.Trim(strings.TrimSpace(ctx.TagArgs()), `'"`), s)
		return "", err
	})
	engine.RegisterTag("echo", func(ctx render.Context) (string, error) {
		v, err := ctx.EvaluateString(ctx.TagArgs())
		if err != nil {
			return "", err
		}
		return bounded(text(v))
	})
	engine.RegisterTag("increment", counter(0, 1))
	engine.RegisterTag("decrement", counter(-1, 0))
}

// counter is a tag that prints a number and moves it on: increment prints it before, decrement after. Counters have names
// of their own.
func counter(before, after int) func(render.Context) (string, error) {
	return func(ctx render.Context) (string, error) {
		name := "landfall_counter_" + strings.TrimSpace(ctx.TagArgs())
		n, _ := ctx.Get(name).(int)
		n += before
		ctx.Set(name, n+after)
		return strconv.Itoa(n), nil
	}
}
