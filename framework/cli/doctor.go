package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/framework/delivery"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/runtime/instances"
	"github.com/landfall-dev/landfall/framework/server"
	"github.com/landfall-dev/landfall/framework/state"
)

// finding is the result of one check.
type finding struct {
	Check  string `json:"check"`  // config, permissions, disk, clock, ledger, erasures, log, checkpoints or retention
	Status string `json:"status"` // ok, warning or problem
	What   string `json:"what"`
	Next   string `json:"next,omitempty"` // what to do
}

const (
	isOK      = "ok"
	isWarning = "warning"
	isProblem = "problem"
)

type doctorCommand struct {
	queueClient
	findings []finding
}

func newDoctor(s streams) *cobra.Command {
	c := &doctorCommand{queueClient: queueClient{streams: s}}
	cmd := &cobra.Command{
		Use: "doctor", Short: "Check the config, the log, the ledger, the disk and the clock", Args: exactArgs(0, "flags only"),
		Long: "Checks everything that a server depends on, and says what is wrong and what to do about it. It changes nothing, and works\n" +
			"while the server runs and if it does not start. The exit code is 1 if something is wrong.",
		Example: "  landfall doctor --config landfall.yaml\n  landfall doctor --json | jq 'select(.status == \"problem\")'",
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	c.addFlags(cmd)
	return cmd
}

func (c *doctorCommand) addFinding(check, status, next, format string, args ...any) {
	c.findings = append(c.findings, finding{check, status, fmt.Sprintf(format, args...), next})
}

func (c *doctorCommand) run(ctx context.Context) error {
	cfg := c.checkConfig()
	dir := c.data
	if cfg != nil {
		dir = instances.DataDir(cfg, c.data)
	}
	if dir == "" {
		dir = filepath.Join(filepath.Dir(c.config), instances.DefaultData)
	}
	c.chooseTarget(cfg, dir)
	if c.checkDir(dir) {
		c.checkFiles(dir)
		c.checkDisk(cfg, dir)
		c.checkClock(dir)
		if c.checkLedger(ctx, cfg, dir) {
			c.checkErasures(ctx, cfg, dir)
		}
		c.checkLog(ctx, cfg, dir)
	}
	if cfg != nil {
		c.showRetention(cfg)
	}
	return c.printReport()
}

// chooseTarget chooses whose data to check: that of real remotes, or of a sandbox.
func (c *doctorCommand) chooseTarget(cfg *config.Config, dir string) {
	if c.cfg = cfg; cfg == nil {
		c.sandbox = c.target.SandboxName()
		return
	}
	name, err := c.chooseSandbox(dir)
	if err != nil {
		c.addFinding("config", isProblem, "", "%v", err)
	}
	c.sandbox = name
}

// printReport prints the findings, and what to do about the problems. It returns an error if there are problems.
func (c *doctorCommand) printReport() error {
	bad := 0
	for _, f := range c.findings {
		if f.Status == isProblem {
			bad++
		}
		if c.json {
			c.printJSON(f)
			continue
		}
		fmt.Fprintf(c.out, "%-8s %-12s %s\n", f.Status, f.Check, f.What)
		if f.Next != "" {
			fmt.Fprintf(c.out, "%-21s → %s\n", "", f.Next)
		}
	}
	if bad > 0 {
		return reportedError{}
	}
	return nil
}

func (c *doctorCommand) checkConfig() *config.Config {
	cfg, problems := config.Load(c.config, config.Env{})
	if cfg == nil || len(problems) > 0 {
		c.addFinding("config", isProblem, "landfall validate "+c.config, "%v", problems.Err())
		return nil
	}
	problems, warnings := checkConfig(c.config, cfg, c.catalog())
	for _, p := range problems {
		c.addFinding("config", isProblem, "landfall validate "+c.config, "%v", p)
	}
	for _, w := range warnings {
		c.addFinding("config", isWarning, "", "%v", w)
	}
	if len(problems) > 0 {
		return cfg
	}
	c.addFinding("config", isOK, "", "%s: %s, %s", c.config, fault.Count(len(cfg.Instances), "destination"), fault.Count(len(cfg.Sources), "source"))
	return cfg
}

// checkDir reports whether the data directory is one, or does not exist yet.
func (c *doctorCommand) checkDir(dir string) bool {
	if _, err := os.ReadDir(dir); errors.Is(err, syscall.ENOTDIR) {
		c.addFinding("permissions", isProblem, "give the data directory of the server with --data", "%s: %s", dir, fault.FileReason(err))
		return false
	}
	return true
}

// checkFiles checks the owners and permissions of the files in the data directory.
func (c *doctorCommand) checkFiles(dir string) {
	const most = 5
	shown, wrong := 0, 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		what := c.accessProblem(path, dir, info)
		if what == "" {
			return nil
		}
		if wrong++; shown < most {
			shown++
			c.addFinding("permissions", isProblem, fmt.Sprintf("chown -R USER %s; chmod -R u+rwX,go-rwx %s, as the user that the server runs as", dir, dir), "%s %s", path, what)
		}
		return nil
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.addFinding("permissions", isWarning, "landfall serve creates it", "there is no data directory %s", dir)
	case err != nil:
		c.addFinding("permissions", isProblem, "run this as the user that the server runs as", "%s", fault.FileText(err))
	case wrong == 0:
		c.addFinding("permissions", isOK, "", "only this user can read %s", dir)
	case wrong > shown:
		c.addFinding("permissions", isProblem, "", "%s more", fault.Count(wrong-shown, "file"))
	}
}

// accessProblem returns what is wrong with a file's owner or mode, or "". In a directory that other users cannot open, the modes of files
// do not matter.
func (c *doctorCommand) accessProblem(path, root string, info fs.FileInfo) string {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return fmt.Sprintf("belongs to user %d, but this is user %d", stat.Uid, os.Geteuid())
	}
	if info.IsDir() && info.Mode().Perm()&0o200 == 0 {
		return fmt.Sprintf("is a directory that its owner cannot write (mode %04o)", info.Mode().Perm())
	}
	private := path == root || filepath.Dir(path) == root
	if private && info.Mode().Perm()&0o077 != 0 && info.Mode()&fs.ModeSymlink == 0 {
		if closed, err := os.Stat(root); err == nil && path != root && closed.Mode().Perm()&0o077 == 0 {
			return ""
		}
		return fmt.Sprintf("can be read by other users (mode %04o)", info.Mode().Perm())
	}
	return ""
}

// unsafeFilesystem returns the name of a file system on which locks and syncs may not work, or "" for others. kind is its type in statfs.
func unsafeFilesystem(kind int64) string {
	switch kind {
	case 0x6969:
		return "NFS"
	case 0xff534d42, 0xfe534d42:
		return "SMB"
	case 0x65735546:
		return "FUSE"
	case 0x01021994:
		return "tmpfs"
	}
	return ""
}

func (c *doctorCommand) checkDisk(cfg *config.Config, dir string) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return // there is no directory, which checkFiles has reported
	}
	free, least := int64(s.Bavail)*int64(s.Bsize), delivery.DefaultMinFree(dir)
	if cfg != nil && cfg.Server.MinFree > 0 {
		least = cfg.Server.MinFree
	}
	switch {
	case free < least:
		c.addFinding("disk", isProblem, "free space, or lower delivery.minFreeBytes", "%d MB are free and %d MB must stay free: no events are accepted", free>>20, least>>20)
	case free < 2*least:
		c.addFinding("disk", isWarning, "free space soon", "%d MB are free; below %d MB no events are accepted", free>>20, least>>20)
	default:
		c.addFinding("disk", isOK, "", "%d MB are free", free>>20)
	}
	if name := unsafeFilesystem(int64(s.Type)); name != "" {
		c.addFinding("disk", isWarning, "put the data directory on a local disk", "%s is on %s, where acknowledged events may not survive a power failure", dir, name)
	}
}

// checkClock compares the clock with the newest file of the data directory.
func (c *doctorCommand) checkClock(dir string) {
	var newest time.Time
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil {
			if info, err := e.Info(); err == nil && info.ModTime().After(newest) {
				newest = info.ModTime()
			}
		}
		return nil
	})
	if ahead := time.Until(newest); ahead > time.Minute {
		c.addFinding("clock", isProblem, "set the clock (NTP); events that were accepted meanwhile have wrong times",
			"the clock is %s behind the newest file of %s: it was set back", ahead.Round(time.Second), dir)
		return
	}
	c.addFinding("clock", isOK, "", "the clock is not behind the newest file")
}

// checkLedger checks the ledger: its file, or its database. It reports whether the ledger can be read.
func (c *doctorCommand) checkLedger(ctx context.Context, cfg *config.Config, dir string) bool {
	if cfg != nil && cfg.StateURL != "" {
		return c.checkDatabase(ctx, cfg)
	}
	file := filepath.Join(dir, state.File(c.sandbox))
	if state.IsMissing(dir, c.sandbox) {
		c.addFinding("ledger", isWarning, "landfall serve creates it; if a server has run, give its data directory with --data", "there is no ledger %s", file)
		return false
	}
	problems, err := state.CheckFile(ctx, file)
	next := "stop the server, restore " + filepath.Base(file) + " from a backup (landfall restore), or move it and " + filepath.Base(file) +
		"-members away and send all members again (landfall sync, or landfall replay)"
	switch {
	case err != nil:
		reason := state.ErrorText(err)
		if named := (*state.FileError)(nil); errors.As(err, &named) {
			reason = named.Reason()
		}
		c.addFinding("ledger", isProblem, next, "%s cannot be read: %s", file, reason)
	case len(problems) > 0:
		c.addFinding("ledger", isProblem, next, "%s is damaged: %s (%d more)", file, problems[0], len(problems)-1)
	default:
		members, bytes := state.FileSizes(file)
		c.addFinding("ledger", isOK, "", "%s is intact, with %s (%.1f MB)", file, fault.Count(members, "member file"), float64(bytes)/1e6)
	}
	return err == nil && len(problems) == 0
}

// checkDatabase checks the database of the ledger. It reports whether the ledger can be read.
func (c *doctorCommand) checkDatabase(ctx context.Context, cfg *config.Config) bool {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	const next = "check that PostgreSQL runs, and that the address and the password are right"
	found, err := state.InspectDatabase(ctx, cfg.StateURL, c.sandbox)
	switch {
	case err != nil:
		c.addFinding("ledger", isProblem, next, "%v", err)
		return false
	case found.Problem() != "":
		c.addFinding("ledger", isProblem, "", "the database of state.url: %s", found.Problem())
	case found.Version == 0:
		c.addFinding("ledger", isWarning, "landfall serve creates it", "PostgreSQL answers, and there is no ledger in the database")
	case found.Version < found.Newest:
		c.addFinding("ledger", isOK, "", "PostgreSQL answers; its schema is that of an earlier version: when all servers have this version, run landfall state upgrade, which reduces writes")
	default:
		c.addFinding("ledger", isOK, "", "PostgreSQL answers")
	}
	if found.ClockSkew.Abs() > 5*time.Second {
		c.addFinding("clock", isProblem, "set the clocks of both machines (NTP)", "PostgreSQL's clock differs by %s", found.ClockSkew.Round(time.Millisecond))
	}
	return found.Problem() == ""
}

// checkLog asks the running server about the log and its checkpoints. If no server runs, it reads the files.
func (c *doctorCommand) checkLog(ctx context.Context, cfg *config.Config, dir string) {
	queue := filepath.Join(dir, instances.QueueName(c.sandbox))
	if !delivery.InUse(queue) && (cfg == nil || cfg.Server.NATS == "") {
		c.checkStopped(ctx, cfg, queue)
		return
	}
	if err := c.connect(ctx); err != nil {
		c.addFinding("log", isProblem, "the server may be starting, or the cluster may be down: see the server's log", "the server does not answer: %v", err)
		return
	}
	defer c.close()
	d, err := c.client.Damage(ctx)
	if err != nil {
		c.addFinding("log", isProblem, "see the server's log", "%v", err)
		return
	}
	c.addDamage(d)
}

func (c *doctorCommand) addDamage(d delivery.Damage) {
	for _, r := range d.Problems() {
		check := "log"
		if r.Code == "checkpoints" {
			check = "checkpoints"
		}
		c.addFinding(check, isProblem, r.Next, "%s", r.What)
	}
	if len(d.Lost)+len(d.Files) == 0 {
		c.addFinding("log", isOK, "", "no events are missing")
	}
	if len(d.Checkpoints) == 0 {
		c.addFinding("checkpoints", isOK, "", "all checkpoints match the log")
	}
}

// checkStopped checks the files of a log that no server uses. It opens the log only if they are intact, since opening it repairs damage.
func (c *doctorCommand) checkStopped(ctx context.Context, cfg *config.Config, dir string) {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		c.addFinding("log", isWarning, "landfall serve creates it", "there is no log in %s", dir)
		return
	}
	found, err := delivery.CheckFiles(ctx, dir)
	if err != nil {
		c.addFinding("log", isProblem, "check the disk", "%v", err)
		return
	}
	for _, text := range found {
		c.addFinding("log", isProblem, "check the disk and copy "+dir+" first; the next start then keeps a copy of the file, and all events in it that are intact", "%s", text)
	}
	if len(found) > 0 || cfg == nil {
		return
	}
	q, err := server.OpenQueue(ctx, cfg, c.data, c.sandbox, false, slog.New(slog.DiscardHandler))
	if err != nil {
		c.addFinding("log", isProblem, "run landfall serve and see its log", "%v", err)
		return
	}
	defer q.Close()
	var ids []string
	for _, in := range cfg.Instances {
		ids = append(ids, in.ID)
	}
	d := q.Damage()
	if d.Checkpoints, err = q.RepairCheckpoints(ctx, delivery.RepairOptions{DryRun: true, Instances: ids}); err != nil {
		c.addFinding("checkpoints", isProblem, "", "%v", err)
		return
	}
	c.addDamage(d)
}
