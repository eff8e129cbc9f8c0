// Command release builds the files of a release: archives, packages for Debian and RPM systems, a container image, lists of what they
// contain, and checksums. It needs Go and git, and nothing else.
//
//	go run -C .ci/release . -out ../../dist
//	go run -C .ci/release . -out ../../dist -snapshot -targets linux/amd64
//
// The files depend only on the commit and the version of Go: every build of the same commit has the same bytes. A release is built from a
// commit with a tag, in a checkout without changes; -snapshot allows any other.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
)

// allTargets are the systems that a release is for. The queue of a server needs files mapped and locked as Unix
// does it, so there is none for Windows.
const allTargets = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64"

func main() {
	out := flag.String("out", "dist", "the `DIR` for the files")
	targets := flag.String("targets", allTargets, "the systems, as `OS/ARCH,…`")
	snapshot := flag.Bool("snapshot", false, "allow a commit without a tag, and changes that are not committed")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *out, *targets, *snapshot); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out, targets string, snapshot bool) error {
	root, err := filepath.Abs("../..")
	if err != nil {
		return err
	}
	r := release{root: root, out: out, snapshot: snapshot}
	for t := range strings.SplitSeq(targets, ",") {
		goos, arch, ok := strings.Cut(t, "/")
		if !ok {
			return fmt.Errorf("-targets: %q is not OS/ARCH, such as linux/amd64", t)
		}
		r.targets = append(r.targets, target{goos, arch})
	}
	files, err := r.build(ctx)
	if err != nil {
		return err
	}
	for _, name := range files {
		info, err := os.Stat(filepath.Join(out, name))
		if err != nil {
			return err
		}
		fmt.Printf("%6.1f MB  %s\n", float64(info.Size())/1e6, filepath.Join(out, name))
	}
	return nil
}
