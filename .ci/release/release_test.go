package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestRelease builds the release of the last commit for this system, twice, in two directories: the files must be the same. Then it
// checks what they contain and starts the program from the package and from the image.
func TestRelease(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("packages and images are for Linux")
	}
	first, names := buildClone(t)
	again, _ := buildClone(t)
	require.Len(t, names, 7)
	for _, name := range names {
		want, err := os.ReadFile(filepath.Join(first, name))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(again, name))
		require.NoError(t, err)
		assert.True(t, bytes.Equal(want, got), "%s is not the same in two builds", name)
	}
	check := func(pattern string, check func(*testing.T, string)) {
		t.Run(pattern, func(t *testing.T) {
			found, err := filepath.Glob(filepath.Join(first, pattern))
			require.NoError(t, err)
			require.Len(t, found, 1)
			check(t, found[0])
		})
	}
	check("checksums.txt", checkChecksums)
	check("*.tar.gz", checkArchive)
	check("*.cdx.json", checkSBOM)
	check("*.deb", checkDeb)
	check("*.rpm", checkRPM)
	check("*_image.tar", checkImage)
	check("*.tgz", checkChart)
}

// buildClone builds the release in a clone of the checkout, and returns the directory of the files and their names.
func buildClone(t *testing.T) (string, []string) {
	root, out := filepath.Join(t.TempDir(), "checkout"), t.TempDir()
	output(t, exec.Command("git", "clone", "--quiet", "--shared", "../..", root))
	r := release{root: root, out: out, snapshot: true, targets: []target{{runtime.GOOS, runtime.GOARCH}}}
	names, err := r.build(t.Context())
	require.NoError(t, err)
	return out, names
}

func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s: %s", cmd, out)
	return string(out)
}

func checkChecksums(t *testing.T, file string) {
	cmd := exec.Command("sha256sum", "--check", "--strict", file)
	cmd.Dir = filepath.Dir(file)
	assert.Equal(t, 6, strings.Count(output(t, cmd), ": OK\n"))
}

// checkArchive unpacks the archive and runs the first command of README.md in it.
func checkArchive(t *testing.T, file string) {
	dir := t.TempDir()
	output(t, exec.Command("tar", "-xf", file, "-C", dir, "--strip-components=1"))
	run := exec.Command("./landfall", "run", "--sandbox", "--allow-refused", "fixtures/braze-cohorts/audience.ndjson")
	run.Dir = dir
	assert.Contains(t, output(t, run), "aud_2fKq8VipGold")
	for _, name := range []string{"LICENSE", "NOTICE", "README.md", "cmd/landfall/deploy/landfall.service", "man/man1/landfall-dead-replay.1"} {
		assert.FileExists(t, filepath.Join(dir, name))
	}
	output(t, exec.Command("bash", "-n", filepath.Join(dir, "completions/landfall.bash")))
	page, err := os.ReadFile(filepath.Join(dir, "man/man1/landfall.1"))
	require.NoError(t, err)
	assert.Contains(t, string(page), "landfall-serve(1)")
}

func checkSBOM(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var bom cdx.BOM
	require.NoError(t, cdx.NewBOMDecoder(bytes.NewReader(text), cdx.BOMFileFormatJSON).Decode(&bom))
	assert.Equal(t, program, bom.Metadata.Component.Name)
	assert.Greater(t, len(*bom.Components), 40)
	assert.Contains(t, string(text), `"purl": "pkg:golang/github.com/spf13/cobra@v1.`)
	assert.Contains(t, string(text), `"purl": "pkg:golang/std@1.`)
}

// checkRPM checks the package with rpm, or only its first bytes if rpm is not installed.
func checkRPM(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.True(t, bytes.HasPrefix(text, []byte{0xed, 0xab, 0xee, 0xdb}))
	if _, err := exec.LookPath("rpm"); err != nil {
		t.Skip("rpm is not installed: apt-get install rpm")
	}
	assert.Contains(t, output(t, exec.Command("rpm", "--checksig", file)), "digests OK")
	list := output(t, exec.Command("rpm", "-qp", "--list", "--scripts", file))
	for _, name := range []string{"/usr/lib/systemd/system/landfall.service\n", "/usr/share/man/man1/landfall-dead-replay.1.gz\n", "/usr/share/doc/landfall/LICENSE\n", "systemd-sysusers --root"} {
		assert.Contains(t, list, name)
	}
}

// checkChart checks that the chart has the version of the release. The tests of fixtures/helm check what it contains.
func checkChart(t *testing.T, file string) {
	version := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "landfall-"), ".tgz")
	text := output(t, exec.Command("tar", "-xOf", file, "landfall/Chart.yaml"))
	assert.Contains(t, text, "\nversion: \""+version+"\"\nappVersion: \""+version+"\"\n")
	assert.Contains(t, output(t, exec.Command("tar", "-tf", file)), "landfall/templates/_helpers.tpl\n")
}

// checkDeb installs the package into a root of its own and starts the server as the unit does.
func checkDeb(t *testing.T, file string) {
	root := t.TempDir()
	if _, err := exec.LookPath("systemd-sysusers"); err != nil || os.Getuid() != 0 {
		output(t, exec.Command("dpkg-deb", "-x", file, root))
		output(t, exec.Command(filepath.Join(root, "usr/bin/landfall"), "version"))
		t.Skip("needs root and systemd to install the package")
	}
	for _, dir := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "etc", "tmp"} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	require.NoError(t, os.WriteFile(filepath.Join(root, "var/lib/dpkg/status"), nil, 0o644))
	output(t, exec.Command("dpkg", "--root="+root, "--log=/dev/null", "--force-script-chrootless", "--force-depends", "--install", file))
	users, err := os.ReadFile(filepath.Join(root, "etc/passwd"))
	require.NoError(t, err)
	var uid, gid uint32
	_, entry, ok := strings.Cut("\n"+string(users), "\nlandfall:x:")
	require.True(t, ok, string(users))
	_, err = fmt.Sscanf(entry, "%d:%d:", &uid, &gid)
	require.NoError(t, err)
	for dir, mode := range map[string]os.FileMode{"etc/landfall": 0o750, "var/lib/landfall": 0o700} {
		info, err := os.Stat(filepath.Join(root, dir))
		require.NoError(t, err)
		assert.Equal(t, mode|os.ModeDir, info.Mode(), dir)
		assert.Equal(t, uid, info.Sys().(*syscall.Stat_t).Uid, dir)
	}
	for _, name := range []string{"usr/share/doc/landfall/copyright", "usr/share/man/man1/landfall.1.gz", "usr/share/bash-completion/completions/landfall"} {
		assert.FileExists(t, filepath.Join(root, name))
	}
	unit, err := os.ReadFile(filepath.Join(root, "usr/lib/systemd/system/landfall.service"))
	require.NoError(t, err)
	_, start, ok := strings.Cut(string(unit), "\nExecStart=")
	require.True(t, ok)
	start, _, _ = strings.Cut(start, "\n")
	config, err := os.ReadFile("../../fixtures/braze-cohorts/landfall.yaml")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(root, "etc/landfall/landfall.yaml"), config, 0o644))
	serveIn(t, root, uid, gid, strings.Fields(start), []string{"/usr/bin/landfall", "health", "--data", "/var/lib/landfall"})
	output(t, exec.Command("dpkg", "--root="+root, "--log=/dev/null", "--force-script-chrootless", "--purge", program))
	assert.NoFileExists(t, filepath.Join(root, "usr/bin/landfall"))
	assert.FileExists(t, filepath.Join(root, "etc/landfall/landfall.yaml"), "config and data stay")
}

// serveIn starts a server in a directory that it sees as the root, waits until its health check succeeds, and stops it.
func serveIn(t *testing.T, root string, uid, gid uint32, serve, health []string) {
	command := func(args ...string) *exec.Cmd {
		return &exec.Cmd{
			Path: args[0], Args: args, Dir: "/", Env: []string{"PATH=/usr/bin"},
			SysProcAttr: &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: uid, Gid: gid}},
		}
	}
	server := command(append(serve, "--sandbox", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")...)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	defer log.Close()
	server.Stdout, server.Stderr = log, log
	require.NoError(t, server.Start())
	healthy := assert.Eventually(t, func() bool { return command(health...).Run() == nil }, time.Minute, 100*time.Millisecond)
	require.NoError(t, server.Process.Signal(syscall.SIGTERM))
	assert.NoError(t, server.Wait())
	if !healthy {
		text, _ := os.ReadFile(log.Name())
		t.Log(string(text))
	}
}

// imageDir is an unpacked image.
type imageDir struct {
	*testing.T
	dir string
}

// read decodes a part of the image after it has checked its digest and size.
func (i imageDir) read(d descriptor, v any) []byte {
	content, err := os.ReadFile(filepath.Join(i.dir, "blobs/sha256", strings.TrimPrefix(d.Digest, "sha256:")))
	require.NoError(i, err)
	require.Equal(i, d.Digest, fmt.Sprintf("sha256:%x", sha256.Sum256(content)))
	require.Len(i, content, d.Size)
	if v != nil {
		require.NoError(i, json.Unmarshal(content, v))
	}
	return content
}

// checkImage follows the image from its index to the layer, unpacks that and starts the container's command in it.
func checkImage(t *testing.T, file string) {
	i := imageDir{t, t.TempDir()}
	output(t, exec.Command("tar", "-xf", file, "-C", i.dir))
	text, err := os.ReadFile(filepath.Join(i.dir, "index.json"))
	require.NoError(t, err)
	var top, index struct{ Manifests []descriptor }
	require.NoError(t, json.Unmarshal(text, &top))
	i.read(top.Manifests[0], &index)
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	assert.Equal(t, runtime.GOARCH, index.Manifests[0].Platform.Architecture)
	i.read(index.Manifests[0], &manifest)
	var config struct {
		Config struct {
			User            string
			Entrypoint, Cmd []string
			Healthcheck     struct{ Test []string }
		}
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	i.read(manifest.Config, &config)
	layer, err := gzip.NewReader(bytes.NewReader(i.read(manifest.Layers[0], nil)))
	require.NoError(t, err)
	plain, err := io.ReadAll(layer)
	require.NoError(t, err)
	assert.Equal(t, []string{fmt.Sprintf("sha256:%x", sha256.Sum256(plain))}, config.RootFS.DiffIDs)
	assert.Equal(t, "65532:65532", config.Config.User)
	if os.Getuid() != 0 {
		t.Skip("needs root to change the root directory")
	}
	root := unpack(t, plain)
	serveIn(t, root, imageUser, imageUser, append(config.Config.Entrypoint, config.Config.Cmd...), config.Config.Healthcheck.Test[1:])
}

// unpack unpacks the layer of an image with the owners of its files, adds a config, and returns the directory.
func unpack(t *testing.T, layer []byte) string {
	root := t.TempDir()
	cmd := exec.Command("tar", "-x", "--same-owner", "--same-permissions", "-C", root)
	cmd.Stdin = bytes.NewReader(layer)
	output(t, cmd)
	list := tar.NewReader(bytes.NewReader(layer))
	for {
		header, err := list.Next()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		assert.False(t, strings.HasPrefix(header.Name, "/"), header.Name)
	}
	config, err := os.ReadFile("../../fixtures/braze-cohorts/landfall.yaml")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(root, "etc/landfall/landfall.yaml"), config, 0o644))
	require.NoError(t, os.Chmod(root, 0o755))
	return root
}
