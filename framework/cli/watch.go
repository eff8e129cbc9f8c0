package cli

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/landfall-dev/landfall/internal/poller"
)

// Limits of what --watch looks at.
const (
	watchInterval = 300 * time.Millisecond
	maxWatched    = 20_000 // files
)

// addWatchFlag adds the flag that repeats a command when files change.
func addWatchFlag(cmd *cobra.Command, watch *bool) {
	cmd.Flags().BoolVar(watch, "watch", false, "run again when a file changes, until interrupted")
}

// repeatOnChange calls run, and again whenever a file in the paths changes, until ctx ends. Errors of run are printed. Paths that do not
// exist are waited for.
func (s streams) repeatOnChange(ctx context.Context, paths []string, run func(context.Context) error) error {
	last, err := stampOf(paths)
	if err != nil {
		return err
	}
	changed := make(chan struct{}, 1)
	p := poller.Start(watchInterval, func(context.Context) error {
		now, err := stampOf(paths)
		if err == nil && now != last {
			last = now
			select {
			case changed <- struct{}{}:
			default: // a run is due already
			}
		}
		return err
	}, func(err error) { s.warn("looking for changes: " + err.Error()) })
	defer p.Close()
	for {
		if err := run(ctx); err != nil && !errors.Is(err, reportedError{}) && ctx.Err() == nil {
			fmt.Fprintln(s.err, err)
		}
		fmt.Fprintf(s.err, "%s: waiting for changes; Ctrl-C ends\n", s.programName())
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		}
	}
}

// stampOf returns a text that differs if a file in the paths differs in name, size or time of change.
func stampOf(paths []string) (string, error) {
	sum, files := sha256.New(), 0
	for _, root := range paths {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil || d.IsDir() {
				return err
			}
			info, err := d.Info()
			if errors.Is(err, os.ErrNotExist) { // deleted meanwhile
				return nil
			}
			if err != nil {
				return err
			}
			if files++; files > maxWatched {
				return fmt.Errorf("there are more than %d files: give the directories of the destinations", maxWatched)
			}
			fmt.Fprintf(sum, "%q %d %d\n", path, info.Size(), info.ModTime().UnixNano())
			return nil
		})
		if err != nil {
			return "", err
		}
	}
	return string(sum.Sum(nil)), nil
}
