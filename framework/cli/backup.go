package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server"
	"github.com/landfall-dev/landfall/framework/server/backup"
	"github.com/landfall-dev/landfall/framework/state"
)

type backupCommand struct{ queueClient }

func newBackup(s streams) *cobra.Command {
	c := &backupCommand{queueClient{streams: s}}
	cmd := &cobra.Command{
		Use: "backup DIR", Short: "Back up the queue and the ledger, while the server runs", Args: exactArgs(1, "the directory of the backup"),
		Long: "Writes a consistent backup to a new directory: checkpoints, parked events, dead letters, events, a manifest with their\n" +
			"checksums, and the ledger if it is a local file. A running server keeps accepting and delivering events meanwhile. On a\n" +
			"cluster the backup holds the streams that all servers share. It does not include a ledger in PostgreSQL: run pg_dump after\n" +
			"this command has ended.\n\n" +
			"A backup includes neither the config nor the key that encrypts the tokens of logins.",
		Example: "  landfall backup --config landfall.yaml /backup/landfall-2025-06-01\n  landfall backup --data /var/lib/landfall /backup/new",
		RunE:    func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args[0]) },
	}
	c.addFlags(cmd)
	return cmd
}

func (c *backupCommand) run(ctx context.Context, dir string) error {
	if err := c.connect(ctx); err != nil {
		return err
	}
	defer c.close()
	archive, err := c.openArchive(ctx)
	if err != nil {
		return err
	}
	m, err := backup.Save(archive, dir)
	if err := errors.Join(err, archive.Close()); err != nil {
		return err
	}
	if c.json {
		c.printJSON(m)
		return nil
	}
	fmt.Fprintf(c.out, "%s\n", dir)
	for _, f := range m.Files {
		fmt.Fprintf(c.out, "  %-16s %12d bytes\n", f.Name, f.Size)
	}
	if !m.HasLedger() {
		fmt.Fprintln(c.out, "the backup does not include the ledger, which is in PostgreSQL: back it up now, after the queue:\n  pg_dump --format=custom --file=ledger.dump DATABASE")
	}
	return nil
}

// openArchive returns the archive that the running server sends, or one that this process makes if no server runs.
func (c *backupCommand) openArchive(ctx context.Context) (io.ReadCloser, error) {
	if c.server {
		return c.client.Backup(ctx)
	}
	store, err := instances.OpenExistingState(ctx, c.cfg, c.data, c.sandbox)
	if missing := (*state.MissingError)(nil); errors.As(err, &missing) && missing.File != "" { // the queue is there: it was used without a ledger
		store, err = instances.OpenState(ctx, c.cfg, c.data, c.sandbox)
	}
	if err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := backup.Write(ctx, w, backup.Source{Queue: c.queue, Ledger: store, Sandbox: c.sandbox, Dir: instances.DataDir(c.cfg, c.data)})
		_ = w.CloseWithError(errors.Join(err, store.Close()))
	}()
	return pipeEnd{r, done}, nil
}

// pipeEnd is the reading end of a pipe. Close waits until the writer has ended.
type pipeEnd struct {
	*io.PipeReader
	done <-chan struct{}
}

func (p pipeEnd) Close() error {
	err := p.PipeReader.Close()
	<-p.done
	return err
}

type restoreCommand struct {
	queueClient
	replace bool
	check   bool
}

func newRestore(s streams) *cobra.Command {
	c := &restoreCommand{queueClient: queueClient{streams: s}}
	cmd := &cobra.Command{
		Use: "restore DIR", Short: "Restore a backup into an empty data directory", Args: exactArgs(1, "the directory of the backup"),
		Long: "Verifies the backup against its manifest, then restores it atomically. The data directory must be empty, unless\n" +
			"--replace moves its content aside. With nats.url in the config, it restores the streams of the cluster, which must not\n" +
			"exist; stop all servers first.\n\n" +
			"Events that were delivered after the backup are delivered again. The users of the ledger count as uncertain: the next\n" +
			"event of each is sent even if it changes nothing.",
		Example: "  landfall restore --config landfall.yaml /backup/landfall-2025-06-01\n" +
			"  landfall restore --data /var/lib/landfall --replace /backup/new\n  landfall restore --check /backup/new",
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args[0]) },
	}
	cmd.Flags().StringVar(&c.config, "config", configFile, "the config `FILE`; not needed with --data, unless the queue is on a cluster")
	cmd.Flags().StringVar(&c.data, "data", "", "the data `DIR`; by default the config's, otherwise "+instances.DefaultData+" beside the config")
	cmd.Flags().BoolVar(&c.json, "json", false, "print JSON")
	cmd.Flags().BoolVar(&c.replace, "replace", false, "move the content of the data directory aside first")
	cmd.Flags().BoolVar(&c.check, "check", false, "only verify the backup against its manifest")
	return cmd
}

func (c *restoreCommand) run(ctx context.Context, dir string) error {
	if c.check {
		m, err := backup.Verify(dir)
		if err != nil {
			return err
		}
		return c.printResult(backup.Restored{Manifest: m}, "the backup is complete: it matches its manifest")
	}
	to, err := c.restoreTarget()
	if err != nil {
		return err
	}
	done, err := backup.Restore(ctx, dir, to)
	if err != nil {
		return err
	}
	text := "restored to " + to.Data
	if to.Cluster.URL != "" {
		text = "restored the queue to the NATS servers of the config, and what a server keeps beside it to " + to.Data
	}
	if done.Aside != "" {
		text += "; the previous content is in " + done.Aside
	}
	if !done.Manifest.HasLedger() {
		text += "\nthe ledger is in PostgreSQL: unless you have restored it already, restore it now and repeat this command:\n" +
			"pg_restore --clean --if-exists --dbname=DATABASE ledger.dump"
	}
	return c.printResult(done, text)
}

// restoreTarget returns where to restore the backup to. With --data it needs no config, unless the queue is on a cluster.
func (c *restoreCommand) restoreTarget() (backup.Target, error) {
	to := backup.Target{Data: c.data, Queue: instances.QueueName, Replace: c.replace}
	if _, err := os.Stat(c.config); c.data != "" && errors.Is(err, fs.ErrNotExist) {
		return to, nil
	}
	cfg, problems := config.Load(c.config, config.Env{})
	if cfg == nil || len(problems) > 0 {
		return to, problems.Err()
	}
	to.State = cfg.StateURL
	to.Data, to.Cluster = instances.DataDir(cfg, c.data), server.QueueConfig(cfg, c.data, "", newLog(c.streams, false))
	return to, nil
}

func (c *restoreCommand) printResult(r backup.Restored, text string) error {
	if c.json {
		c.printJSON(r)
	} else {
		fmt.Fprintln(c.out, text)
	}
	return nil
}
