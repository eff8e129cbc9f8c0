package main

import (
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

// program is the name of the program, of its packages and of its user.
const program = "landfall"

// target is a system that a release is for.
type target struct{ os, arch string }

// release builds the files of a release.
type release struct {
	root, out string // the checkout, and the directory for the files
	targets   []target
	snapshot  bool

	work    string // a directory for what is not published
	version string // without v
	time    time.Time
	shared  []file // what each archive contains besides the program
}

// binary is the program for one target.
type binary struct {
	target
	path string
	info *buildinfo.BuildInfo
}

// file is a file of an archive or a package.
type file struct {
	name    string // with slashes
	content []byte
	mode    os.FileMode
}

// build writes all files, and returns their names.
func (r *release) build(ctx context.Context) ([]string, error) {
	var err error
	if r.work, err = os.MkdirTemp("", "landfall-release-"); err != nil {
		return nil, err
	}
	defer os.RemoveAll(r.work)
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return nil, err
	}
	host, err := r.compile(ctx, target{runtime.GOOS, runtime.GOARCH})
	if err != nil {
		return nil, err
	}
	if err := r.readVersion(host.info); err != nil {
		return nil, err
	}
	if r.shared, err = r.sharedFiles(ctx, host.path); err != nil {
		return nil, err
	}
	binaries, err := r.compileTargets(ctx, host)
	if err != nil {
		return nil, err
	}
	names, err := r.publish(binaries)
	if err != nil {
		return nil, err
	}
	return r.addChecksums(names)
}

// compileTargets compiles the program for each target. host is the program for this system.
func (r *release) compileTargets(ctx context.Context, host binary) (binaries []binary, err error) {
	for _, t := range r.targets {
		b := host
		if t != host.target {
			if b, err = r.compile(ctx, t); err != nil {
				return nil, err
			}
		}
		binaries = append(binaries, b)
	}
	return binaries, nil
}

// compile builds the program for a target: without cgo, so that it runs on every system of that kind, without the tables for debuggers, and
// without the paths of this machine.
func (r *release) compile(ctx context.Context, t target) (binary, error) {
	b := binary{target: t, path: filepath.Join(r.work, t.os+"_"+t.arch, program)}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=true", "-ldflags=-s -w", "-o", b.path, "./cmd/landfall")
	cmd.Dir, cmd.Stderr = r.root, os.Stderr
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+t.os, "GOARCH="+t.arch, "GOFLAGS=", "GOWORK=off",
		"GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=", "GOFIPS140=off", // the program contains these settings
	)
	if err := cmd.Run(); err != nil {
		return b, fmt.Errorf("cannot compile for %s/%s: %w", t.os, t.arch, err)
	}
	var err error
	b.info, err = buildinfo.ReadFile(b.path)
	return b, err
}

// released matches the versions of commits with a tag.
var released = regexp.MustCompile(`^v\d+\.\d+\.\d+(-[a-z]+\.\d+)?$`)

// readVersion takes the version and the time of the commit from a program, so that the names of the files are those that it reports.
func (r *release) readVersion(info *buildinfo.BuildInfo) error {
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.time":
			t, err := time.Parse(time.RFC3339, s.Value)
			if err != nil {
				return err
			}
			r.time = t.UTC()
		case s.Key == "vcs.modified" && s.Value == "true" && !r.snapshot:
			return errors.New("the checkout has changes that are not committed: commit them, or use -snapshot")
		}
	}
	if r.time.IsZero() {
		return errors.New("the program does not know its commit: build in a clone of the repository, not in a worktree")
	}
	if !r.snapshot && !released.MatchString(info.Main.Version) {
		return fmt.Errorf("the commit has no tag of a version, such as v1.2.3, but the version %s: tag it, or use -snapshot", info.Main.Version)
	}
	r.version = strings.ReplaceAll(strings.TrimPrefix(info.Main.Version, "v"), "+", ".")
	return nil
}

// publish writes the files of all targets, and returns their names.
func (r *release) publish(binaries []binary) (names []string, err error) {
	var images []binary
	for _, b := range binaries {
		writers := []func(binary) (string, error){r.writeArchive, r.writeSBOM}
		if b.os == "linux" {
			writers = append(writers, r.writeDeb, r.writeRPM)
			images = append(images, b)
		}
		for _, write := range writers {
			name, err := write(b)
			if err != nil {
				return nil, err
			}
			names = append(names, name)
		}
	}
	if len(images) == 0 {
		return names, nil
	}
	for _, write := range []func() (string, error){func() (string, error) { return r.writeImage(images) }, r.writeChart} {
		name, err := write()
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

// addChecksums writes the file that sha256sum -c reads, and returns the names with it.
func (r *release) addChecksums(names []string) ([]string, error) {
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(r.out, name))
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(content), name)
	}
	const list = "checksums.txt"
	return append(names, list), os.WriteFile(filepath.Join(r.out, list), []byte(b.String()), 0o644)
}

// fileName returns the name of a file for a target.
func (r *release) fileName(t target, suffix string) string {
	return fmt.Sprintf("%s_%s_%s_%s%s", program, r.version, t.os, t.arch, suffix)
}
