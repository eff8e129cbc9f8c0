// Package statetest starts PostgreSQL servers for tests. A test that uses it is skipped if PostgreSQL is not installed.
package statetest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Postgres starts a server that stops when the test ends, and returns the URL of an empty database. It skips the test if PostgreSQL is
// not installed.
func Postgres(tb testing.TB) string {
	tb.Helper()
	return Start(tb).URL
}

// NewDatabase creates another database on the server of a URL from Postgres, and returns its URL.
func NewDatabase(tb testing.TB, server, name string) string {
	tb.Helper()
	conn, err := pgx.Connect(context.Background(), server)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(context.Background(), "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		tb.Fatal(err)
	}
	u, err := url.Parse(server)
	if err != nil {
		tb.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

// Server is a PostgreSQL server for one test. It is not safe for concurrent use.
type Server struct {
	URL        string // URL of its database
	tb         testing.TB
	dir        string
	program    string
	attributes *syscall.SysProcAttr
	running    *process
}

// Start is like Postgres, for tests that stop and restart the server.
func Start(tb testing.TB) *Server {
	tb.Helper()
	programs, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(programs) == 0 {
		tb.Skip("PostgreSQL is not installed: apt-get install postgresql")
	}
	bin := filepath.Dir(programs[len(programs)-1])
	dir, err := os.MkdirTemp("", "landfall-pg")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	attributes := serverUser(tb, dir)
	data := filepath.Join(dir, "data")
	startProcess(tb, dir, attributes, "cp", "-a", template(tb, bin, dir, attributes), data).waitForExit(tb)
	s := &Server{
		URL: "postgres://postgres@/postgres?" + url.Values{"host": {dir}, "sslmode": {"disable"}}.Encode(),
		tb:  tb, dir: dir, program: filepath.Join(bin, "postgres"), attributes: attributes,
	}
	s.Start()
	tb.Cleanup(s.Stop)
	return s
}

// template returns the directory with the data of a new server, which tests copy. The first test of a machine creates it: initdb takes more CPU time
// than most tests. dir is a directory of the test.
func template(tb testing.TB, bin, dir string, attributes *syscall.SysProcAttr) string {
	tb.Helper()
	version := filepath.Base(filepath.Dir(bin))
	path := filepath.Join(os.TempDir(), fmt.Sprintf("landfall-postgres-%s-%d", version, os.Getuid()))
	if _, err := os.Stat(path); err == nil {
		return path
	}
	created := filepath.Join(dir, "template")
	startProcess(tb, dir, attributes, filepath.Join(bin, "initdb"), "-D", created, "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync").waitForExit(tb)
	if err := os.Rename(created, path); err != nil {
		if _, exists := os.Stat(path); exists != nil {
			tb.Fatal(err)
		}
	}
	return path // another test may have been first
}

// Start starts a stopped server, and waits until it accepts connections.
func (s *Server) Start() {
	s.tb.Helper()
	s.running = startProcess(s.tb, s.dir, s.attributes, s.program, "-D", filepath.Join(s.dir, "data"), "-k", s.dir, "-c", "listen_addresses=")
	waitForServer(s.tb, s.URL, s.running)
}

// Stop stops the server and ends its connections.
func (s *Server) Stop() {
	if s.running == nil {
		return
	}
	_ = s.running.cmd.Process.Signal(syscall.SIGINT)
	_ = s.running.cmd.Wait()
	s.running = nil
}

// serverUser returns the attributes to run the server with. PostgreSQL refuses to run as root, so root uses the user postgres.
func serverUser(tb testing.TB, dir string) *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Pdeathsig: syscall.SIGINT}
	if os.Getuid() != 0 {
		return attributes
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		tb.Skipf("PostgreSQL does not run as root, and the user postgres does not exist: %v", err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		tb.Fatal(err)
	}
	attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attributes
}

// process is a running program with its log file.
type process struct {
	cmd     *exec.Cmd
	logFile string
}

// startProcess starts a program with its output in a log file.
func startProcess(tb testing.TB, dir string, attributes *syscall.SysProcAttr, program string, args ...string) *process {
	tb.Helper()
	log, err := os.Create(filepath.Join(dir, filepath.Base(program)+".log"))
	if err != nil {
		tb.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(program, args...)
	cmd.SysProcAttr, cmd.Stdout, cmd.Stderr, cmd.Dir = attributes, log, log, dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "LC_ALL=C.UTF-8"}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	return &process{cmd, log.Name()}
}

// waitForExit waits for the program, and fails the test if it failed.
func (p *process) waitForExit(tb testing.TB) {
	tb.Helper()
	if err := p.cmd.Wait(); err != nil {
		tb.Fatalf("%s: %v\n%s", p.cmd.Path, err, p.readLog())
	}
}

// readLog returns the output of the program.
func (p *process) readLog() string {
	text, _ := os.ReadFile(p.logFile)
	return string(text)
}

// waitForServer waits until the server accepts connections.
func waitForServer(tb testing.TB, url string, server *process) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, url)
		if err == nil {
			_ = conn.Close(ctx)
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			tb.Fatal(fmt.Errorf("PostgreSQL does not accept connections: %w\n%s", err, server.readLog()))
		}
	}
}

// DatabaseSize returns the size of a database in bytes, including indexes.
func DatabaseSize(tb testing.TB, url string) (bytes int64) {
	tb.Helper()
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if err := conn.QueryRow(context.Background(), `SELECT pg_database_size(current_database())`).Scan(&bytes); err != nil {
		tb.Fatal(err)
	}
	return bytes
}
