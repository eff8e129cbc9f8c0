package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/server/backup"
)

// backup takes a backup of this server.
func (v *serving) backup(ctx context.Context, w io.Writer) error {
	err := backup.Write(ctx, w, backup.Source{
		Queue: v.queue, Ledger: v.store, Sandbox: v.target.sandboxName(), Dir: dataDir(v.config.Load(), v.data),
	})
	if err != nil {
		v.log.Error("a backup failed", "error", err)
		return err
	}
	v.log.Info("a backup was taken")
	return nil
}

type backupCommand struct{ reaching }

func newBackup(s streams) *cobra.Command {
	c := &backupCommand{reaching{streams: s}}
	cmd := &cobra.Command{
		Use: "backup DIR", Short: "Back up the queue and the ledger, while the server runs", Args: exactly(1, "the directory of the backup"),
		Long: "Writes a consistent backup to a new directory: checkpoints, parked events, dead letters, events and, if it is a file of this\n" +
			"machine, the ledger, with a manifest of their checksums. A running server takes it and goes on meanwhile. On a cluster it\n" +
			"holds what all servers share. A ledger in PostgreSQL is not part of it: run pg_dump when this has ended.\n\n" +
			"The config and the key of the logins are not part of a backup.",
		Example: "  landfall backup --config landfall.yaml /backup/landfall-2025-06-01\n  landfall backup --data /var/lib/landfall /backup/new",
		RunE:    func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args[0]) },
	}
	c.flags(cmd)
	return cmd
}

func (c *backupCommand) run(ctx context.Context, dir string) error {
	if err := c.open(ctx); err != nil {
		return err
	}
	defer c.close()
	archive, err := c.archive(ctx)
	if err != nil {
		return err
	}
	m, err := backup.Save(archive, dir)
	if err := errors.Join(err, archive.Close()); err != nil {
		return err
	}
	if c.json {
		c.print(m)
		return nil
	}
	fmt.Fprintf(c.out, "%s\n", dir)
	for _, f := range m.Files {
		fmt.Fprintf(c.out, "  %-16s %12d bytes\n", f.Name, f.Size)
	}
	if !m.HasLedger() {
		fmt.Fprintln(c.out, "the ledger is in PostgreSQL and not part of it: back it up now, after the queue:\n  pg_dump --format=custom --file=ledger.dump DATABASE")
	}
	return nil
}

// archive is the archive that the server sends, or that is made here if none runs.
func (c *backupCommand) archive(ctx context.Context) (io.ReadCloser, error) {
	if c.server {
		return c.client.Backup(ctx)
	}
	store, err := openState(ctx, c.cfg, c.data, c.sandbox)
	if err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := backup.Write(ctx, w, backup.Source{Queue: c.queue, Ledger: store, Sandbox: c.sandbox, Dir: dataDir(c.cfg, c.data)})
		_ = w.CloseWithError(errors.Join(err, store.Close()))
	}()
	return pipeEnd{r, done}, nil
}

// pipeEnd waits for the writer when it is closed.
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
	reaching
	replace bool
	check   bool
}

func newRestore(s streams) *cobra.Command {
	c := &restoreCommand{reaching: reaching{streams: s}}
	cmd := &cobra.Command{
		Use: "restore DIR", Short: "Restore a backup into an empty data directory", Args: exactly(1, "the directory of the backup"),
		Long: "Compares the backup with its manifest and puts it in place, all at once. The data directory must be empty, unless\n" +
			"--replace moves it aside. With nats.url in the config it restores the streams of the cluster, which must have none; stop\n" +
			"all servers first. What was delivered after the backup is delivered again, and the users of\n" +
			"the ledger count as uncertain: the next event of each is sent even if it changes nothing.",
		Example: "  landfall restore --config landfall.yaml /backup/landfall-2025-06-01\n" +
			"  landfall restore --data /var/lib/landfall --replace /backup/new\n  landfall restore --check /backup/new",
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args[0]) },
	}
	cmd.Flags().StringVar(&c.config, "config", configFile, "the config `FILE`; not needed with --data, unless the queue is on a cluster")
	cmd.Flags().StringVar(&c.data, "data", "", "the data `DIR`; by default the config's, else "+defaultData+" beside it")
	cmd.Flags().BoolVar(&c.json, "json", false, "print JSON for programs")
	cmd.Flags().BoolVar(&c.replace, "replace", false, "move what is in the data directory aside")
	cmd.Flags().BoolVar(&c.check, "check", false, "only compare the backup with its manifest")
	return cmd
}

func (c *restoreCommand) run(ctx context.Context, dir string) error {
	if c.check {
		m, err := backup.Verify(dir)
		if err != nil {
			return err
		}
		return c.tell(backup.Restored{Manifest: m}, "the backup is as its manifest says")
	}
	to, err := c.target()
	if err != nil {
		return err
	}
	done, err := backup.Restore(ctx, dir, to)
	if err != nil {
		return err
	}
	text := "restored to " + to.Data
	if done.Aside != "" {
		text += "; what was there is in " + done.Aside
	}
	if !done.Manifest.HasLedger() {
		text += "\nthe ledger is in PostgreSQL: if it was not restored before, restore it now and repeat this command:\n" +
			"pg_restore --clean --if-exists --dbname=DATABASE ledger.dump"
	}
	return c.tell(done, text)
}

// target is where the backup goes. A data directory that is named needs no config, unless the queue is on a cluster.
func (c *restoreCommand) target() (backup.Target, error) {
	to := backup.Target{Data: c.data, Queue: queueName, Replace: c.replace}
	if _, err := os.Stat(c.config); c.data != "" && errors.Is(err, fs.ErrNotExist) {
		return to, nil
	}
	cfg, problems := config.Load(c.config, config.Env{})
	if cfg == nil || len(problems) > 0 {
		return to, problems.Err()
	}
	to.State = cfg.StateURL
	to.Data, to.Cluster = dataDir(cfg, c.data), queueConfig(cfg, c.data, "", newLog(c.streams, false))
	return to, nil
}

func (c *restoreCommand) tell(r backup.Restored, text string) error {
	if c.json {
		c.print(r)
	} else {
		fmt.Fprintln(c.out, text)
	}
	return nil
}
