package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/event/incoming"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/explain"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/internal/textfile"
)

type explainCommand struct {
	streams
	config, event string
	json          bool
}

func newExplain(s streams) *cobra.Command {
	c := &explainCommand{streams: s}
	cmd := &cobra.Command{
		Use:   "explain --config FILE --event FILE",
		Short: "Show how one event is processed, and why",
		Long: "Runs one event through every subscription of a config. It shows which conditions matched, where the value of each field\n" +
			"came from, how cleaning and coercion changed it, the batch that the event would join, and the requests that would be\n" +
			"sent. It sends nothing: the destination's sandbox in this process answers. It does not know earlier events, so every audience\n" +
			"counts as new. Like the server, it adds type, messageId, timestamp and receivedAt if the event lacks them.",
		Example: "  landfall explain --config landfall.yaml --event event.json\n" +
			"  sed -n 12p events.ndjson | landfall explain --config landfall.yaml --event -",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && c.event == "" {
				c.event = args[0] // a case file, or an event
				return nil
			}
			return exactArgs(0, "the event with --event")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	cmd.Flags().StringVar(&c.config, "config", "", "the config `FILE`; by default "+configFile+" beside the event")
	cmd.Flags().StringVar(&c.event, "event", "", "the `FILE` with the event, or with a case that contains one; - for standard input")
	cmd.Flags().BoolVar(&c.json, "json", false, "print one JSON object")
	return cmd
}

func (c *explainCommand) run(ctx context.Context) error {
	if c.event == "" {
		return usageErrorf("give the event with --event")
	}
	path, err := findConfig(c.config, c.event)
	if err != nil {
		return err
	}
	e, err := c.readEvent()
	if err != nil {
		return err
	}
	requests := &explain.Recorder{}
	cfg, problems := config.Load(path, config.Env{})
	list, err := instances.Load(cfg, problems, instances.Options{Target: &instances.Target{DryRun: true}, Catalog: c.catalog(), Observe: requests.Observe})
	if err != nil {
		return err
	}
	defer func() { _ = instances.Close(context.WithoutCancel(ctx), list) }() // the plans log it
	c.warnConfig(cfg, list...)
	times := replacedTimes{received: time.Now(), maxFuture: cfg.Server.MaxFuture}
	e = times.complete(e)
	if text := times.warning(); text != "" {
		c.warn(text)
	}
	if reason := incoming.Refusal(e); reason != "" {
		c.warn("a server would refuse this event when it arrives: " + reason + "; landfall run accepts it")
	}
	stories := []explain.Trace{}
	for _, in := range list {
		for _, s := range in.Plan.Offered(e) {
			stories = append(stories, explain.DryRun(ctx, in.Plan, s, e, requests))
		}
	}
	if c.json {
		return json.NewEncoder(c.out).Encode(map[string]any{"subscriptions": stories})
	}
	for _, s := range stories {
		printStory(c.out, s)
	}
	return nil
}

// readEvent returns the event: the whole file, or the event of a case file.
func (c *explainCommand) readEvent() (event.Event, error) {
	input, err := openInput(c.event, c.in)
	if err != nil {
		return event.Event{}, usageErrorf("%v", err)
	}
	defer input.Close()
	text, err := io.ReadAll(io.LimitReader(textfile.NewReader(input), event.MaxBytes+1))
	if err == nil && !utf8.Valid(text) {
		err = errors.New("is not valid UTF-8: save the file as UTF-8")
	}
	if err != nil {
		return event.Event{}, fmt.Errorf("%s: %w", c.event, err)
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return event.Event{}, fmt.Errorf("%s: is empty: give one event as JSON", c.event)
	}
	v, err := c.parseFile(text)
	if err != nil {
		return event.Event{}, err
	}
	if of := v.Get("event"); of.Kind() == event.Object {
		v = of
	}
	e, err := event.Parse(v.AppendJSON(nil))
	if err != nil {
		return event.Event{}, fmt.Errorf("%s: %w", c.event, err)
	}
	return e, nil
}

// parseFile parses an event as JSON, or a case as JSON or YAML.
func (c *explainCommand) parseFile(text []byte) (event.Value, error) {
	v, err := event.ParseValue(text)
	switch {
	case err == nil:
		return v, nil
	case len(text) > yamldoc.MaxBytes:
		return v, fmt.Errorf("%s: %w", c.event, err)
	case beginsWithEvent(text) && c.event == "-":
		return v, usageErrorf("standard input has several events, one in each line: give one of them")
	case beginsWithEvent(text):
		return v, usageErrorf("%s has several events, one in each line: give one of them, as in sed -n 1p %s | landfall explain --event -", c.event, c.event)
	}
	doc, err := yamldoc.Parse(c.event, text)
	if err != nil {
		return v, err
	}
	return doc.Value(), nil
}

// beginsWithEvent reports whether the first line that is not blank is an event by itself, and others follow.
func beginsWithEvent(text []byte) bool {
	first, rest, _ := bytes.Cut(bytes.TrimSpace(text), []byte("\n"))
	v, err := event.ParseValue(first)
	return err == nil && v.Kind() == event.Object && len(rest) > 0
}
