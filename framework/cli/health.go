package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/server/admin"
)

// healthTimeout limits how long landfall health waits for the server.
const healthTimeout = 10 * time.Second

func newHealth(s streams) *cobra.Command {
	c := &queueClient{streams: s, needsServer: true, healthOnly: true}
	cmd := &cobra.Command{
		Use: "health", Short: "Say whether a running server is ready", Args: exactArgs(0, "flags only"),
		Long: "Asks the server of a data directory whether it accepts and delivers events, as /readyz does. The exit code is 0 if it is\n" +
			"ready, and 1 if it is not, or if no server runs. It needs no key. Use it for health checks of containers.",
		Example: "  landfall health --data /var/lib/landfall\n  landfall health --url http://127.0.0.1:8081 --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), healthTimeout)
			defer cancel()
			return c.showHealth(ctx)
		},
	}
	c.addFlags(cmd)
	return cmd
}

// showHealth prints the health of the server. The error is a reportedError if it is not ready.
func (c *queueClient) showHealth(ctx context.Context) error {
	if err := c.connect(ctx); err != nil {
		return err
	}
	defer c.close()
	h, err := c.client.Health(ctx)
	if err != nil {
		return err
	}
	if c.json {
		c.printJSON(h)
	} else {
		fmt.Fprint(c.out, admin.HealthText(h))
	}
	if !h.Ready {
		return reportedError{}
	}
	return nil
}
