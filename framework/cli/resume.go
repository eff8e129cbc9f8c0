package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

type resumeCommand struct{ queueClient }

func newResume(s streams) *cobra.Command {
	c := &resumeCommand{queueClient{streams: s, needsServer: true}}
	cmd := &cobra.Command{
		Use: "resume INSTANCE", Short: "End the pause of an instance whose remote asked to wait", Args: exactArgs(1, "the id of an instance"),
		Long: "A remote that answers 429 or 503 with Retry-After pauses its instance, for delivery.maxPause at most. This command ends the\n" +
			"pause and the delays before retries: the instance sends at once. If the remote asks to wait again, the instance pauses\n" +
			"again. It says so if nothing was paused and no retry waited.\n\n" +
			"On a cluster each server pauses by itself: resume the instance on each of them.",
		Example: "  landfall status\n  landfall resume braze-main --config landfall.yaml",
		RunE:    func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args[0]) },
	}
	c.addFlags(cmd)
	return cmd
}

func (c *resumeCommand) run(ctx context.Context, instance string) error {
	if err := c.connect(ctx); err != nil {
		return err
	}
	defer c.close()
	if !c.server {
		return errors.New("no server uses this data directory, so nothing is paused: start one with landfall serve")
	}
	waited, err := c.client.Resume(ctx, instance)
	switch {
	case err != nil:
		return err
	case c.json:
		c.printJSON(map[string]any{"resumed": instance, "waited": waited})
	case waited:
		fmt.Fprintf(c.out, "%s: resumed\n", instance)
	default:
		fmt.Fprintf(c.out, "%s: no change: it is not paused, and no retry waits\n", instance)
	}
	return nil
}
