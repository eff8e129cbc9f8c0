// Package moduleproxy creates a Go module proxy in a directory, with the modules of this checkout, for tests. The modules in it have a
// version, so that a test can do what users of a release do: require a module, or install a command of it, without a replace directive.
package moduleproxy

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"
	modzip "golang.org/x/mod/zip"
)

// Proxy is a module proxy in a directory, for one test.
type Proxy struct {
	// Version is the version of all modules that the proxy serves. It is made from the files of the first one, so that Go compiles them only once
	// for the tests that use them.
	Version string

	dir, modules, fallback string // the proxy, the module cache, and the proxies of this machine
}

// New returns a proxy that serves the modules in these directories of a checkout, as they are in the working tree. The modules require
// each other in the version of the proxy. When the test ends, they are deleted from the module cache. Until then, New waits in other tests.
func New(t testing.TB, checkout string, dirs ...string) *Proxy {
	t.Helper()
	lockCache(t)
	p := &Proxy{Version: versionOf(t, filepath.Join(checkout, dirs[0])), dir: t.TempDir()}
	out, err := exec.Command("go", "env", "GOMODCACHE", "GOPROXY").Output()
	require.NoError(t, err)
	p.modules, p.fallback, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
	files := make([]*modfile.File, len(dirs))
	for i, dir := range dirs {
		file := filepath.Join(checkout, dir, "go.mod")
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		files[i], err = modfile.Parse(file, text, nil)
		require.NoError(t, err)
	}
	for i, dir := range dirs {
		require.NoError(t, requireVersions(files[i], files, p.Version))
		p.add(t, filepath.Join(checkout, dir), files[i])
	}
	return p
}

// lockCache makes other tests wait until this one has ended: their modules may have the same versions.
func lockCache(t testing.TB) {
	file, err := os.OpenFile(filepath.Join(os.TempDir(), "landfall-moduleproxy.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	require.NoError(t, err)
	t.Cleanup(func() { _ = file.Close() })
	require.NoError(t, syscall.Flock(int(file.Fd()), syscall.LOCK_EX))
}

// versionOf returns a version with a hash of the files in a directory.
func versionOf(t testing.TB, dir string) string {
	files := map[string]modzip.File{}
	for _, f := range filesOf(t, dir, nil) {
		if info, err := f.Lstat(); err == nil && info.Mode().IsRegular() {
			files[f.Path()] = f
		}
	}
	hash, err := dirhash.Hash1(slices.Collect(maps.Keys(files)), func(name string) (io.ReadCloser, error) { return files[name].Open() })
	require.NoError(t, err)
	sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(hash, "h1:"))
	require.NoError(t, err)
	return module.PseudoVersion("v0", "", time.Unix(0, 0).UTC(), hex.EncodeToString(sum[:6]))
}

// requireVersions makes a go.mod require other modules in a version.
func requireVersions(f *modfile.File, others []*modfile.File, version string) error {
	for _, other := range others {
		path := other.Module.Mod.Path
		if !slices.ContainsFunc(f.Require, func(r *modfile.Require) bool { return r.Mod.Path == path }) {
			continue
		}
		if err := f.AddRequire(path, version); err != nil {
			return err
		}
	}
	return nil
}

// add adds a module to the proxy.
func (p *Proxy) add(t testing.TB, dir string, f *modfile.File) {
	t.Helper()
	text, err := f.Format()
	require.NoError(t, err)
	m := module.Version{Path: f.Module.Mod.Path, Version: p.Version}
	escaped, err := module.EscapePath(m.Path)
	require.NoError(t, err)
	at := filepath.Join(p.dir, filepath.FromSlash(escaped), "@v")
	require.NoError(t, os.MkdirAll(at, 0o755))
	info, err := json.Marshal(map[string]any{"Version": p.Version, "Time": time.Now().UTC()})
	require.NoError(t, err)
	var archive bytes.Buffer
	require.NoError(t, modzip.Create(&archive, m, filesOf(t, dir, text)))
	for name, content := range map[string][]byte{"list": []byte(p.Version + "\n"), p.Version + ".info": info, p.Version + ".mod": text, p.Version + ".zip": archive.Bytes()} {
		require.NoError(t, os.WriteFile(filepath.Join(at, name), content, 0o644))
	}
	p.forget(t, escaped) // a test that was killed may have left it
	t.Cleanup(func() { p.forget(t, escaped) })
}

// filesOf returns the files of a module: those that git knows or would add. mod is the content of its go.mod; nil for that of the file.
func filesOf(t testing.TB, dir string, mod []byte) []modzip.File {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = dir
	out, err := cmd.Output()
	require.NoError(t, err, "the files of the module are listed by git")
	var files []modzip.File
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		f := file{name: name, path: filepath.Join(dir, name)}
		if name == "go.mod" {
			f.content = mod
		}
		if _, err := f.Lstat(); err == nil { // otherwise it has been deleted
			files = append(files, f)
		}
	}
	return files
}

// file is a file of a module.
type file struct {
	name, path string
	content    []byte // replaces that of the file unless nil
}

// Path returns the path in the module.
func (f file) Path() string { return f.name }

// Lstat describes the file.
func (f file) Lstat() (fs.FileInfo, error) {
	if f.content == nil {
		return os.Lstat(f.path)
	}
	header := zip.FileHeader{Name: f.name, UncompressedSize64: uint64(len(f.content))}
	header.SetMode(0o644)
	return header.FileInfo(), nil
}

// Open opens the content.
func (f file) Open() (io.ReadCloser, error) {
	if f.content == nil {
		return os.Open(f.path)
	}
	return io.NopCloser(bytes.NewReader(f.content)), nil
}

// forget deletes what Go has kept of a module in the version of the proxy.
func (p *Proxy) forget(t testing.TB, escaped string) {
	whole := filepath.Join(p.modules, filepath.FromSlash(escaped)) + "@" + p.Version
	_ = filepath.WalkDir(whole, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(path, 0o755) // Go keeps modules read-only
		}
		return err
	}) // it may never have been downloaded
	if err := os.RemoveAll(whole); err != nil {
		t.Error(err)
	}
	downloads := filepath.Join(p.modules, "cache", "download", filepath.FromSlash(escaped), "@v")
	kept, _ := filepath.Glob(filepath.Join(downloads, p.Version+".*")) // the pattern is well-formed
	for _, path := range append(kept, filepath.Join(downloads, "list")) {
		_ = os.Remove(path) // Go makes the list again
	}
}

// Env returns the environment of a process that uses the proxy. It takes other modules from the module cache, and those that are not there
// from the proxies of this machine.
func (p *Proxy) Env() []string {
	proxies := []string{"file://" + p.dir, "file://" + filepath.Join(p.modules, "cache", "download"), p.fallback}
	return append(os.Environ(),
		"GOPROXY="+strings.Join(proxies, ","), "GONOPROXY=none", "GOSUMDB=off", "GOWORK=off",
		"GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -ldflags=-w"), // which links faster
	)
}

// Run runs a command in a directory with the environment of the proxy, and returns its output.
func (p *Proxy) Run(t testing.TB, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, p.Env()
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s %s: %s", name, strings.Join(args, " "), out)
	t.Logf("%v of CPU time: %s", (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Round(100*time.Millisecond), strings.Join(args, " "))
	return string(out)
}
