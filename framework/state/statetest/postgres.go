// Package statetest starts a real PostgreSQL for tests.
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

// Postgres starts a server of its own for a test, which ends with it, and gives the URL of an empty database. It skips the
// test where PostgreSQL is not installed.
func Postgres(tb testing.TB) string {
	tb.Helper()
	return Start(tb).URL
}

// Server is a PostgreSQL server of a test.
type Server struct {
	URL     string // of its database
	tb      testing.TB
	home    string
	program string
	as      *syscall.SysProcAttr
	running *process
}

// Start is Postgres, for tests that stop the server.
func Start(tb testing.TB) *Server {
	tb.Helper()
	programs, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(programs) == 0 {
		tb.Skip("PostgreSQL is not installed: apt-get install postgresql")
	}
	bin := filepath.Dir(programs[len(programs)-1])
	home, err := os.MkdirTemp("", "landfall-pg")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(home) })
	as := owner(tb, home)
	data := filepath.Join(home, "data")
	start(tb, home, as, filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync").wait(tb)
	s := &Server{
		URL: "postgres://postgres@/postgres?" + url.Values{"host": {home}, "sslmode": {"disable"}}.Encode(),
		tb:  tb, home: home, program: filepath.Join(bin, "postgres"), as: as,
	}
	s.Start()
	tb.Cleanup(s.Stop)
	return s
}

// Start starts the server where it has been stopped, and waits until it answers.
func (s *Server) Start() {
	s.tb.Helper()
	s.running = start(s.tb, s.home, s.as, s.program, "-D", filepath.Join(s.home, "data"), "-k", s.home, "-c", "listen_addresses=")
	answers(s.tb, s.URL, s.running)
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

// owner is who runs the server: PostgreSQL refuses to be run by root, and gets the user that its package makes.
func owner(tb testing.TB, home string) *syscall.SysProcAttr {
	attributes := &syscall.SysProcAttr{Pdeathsig: syscall.SIGINT}
	if os.Getuid() != 0 {
		return attributes
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		tb.Skipf("PostgreSQL does not run as root, and there is no user for it: %v", err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(home, uid, gid); err != nil {
		tb.Fatal(err)
	}
	attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attributes
}

// process is a running program and the file of what it says.
type process struct {
	cmd *exec.Cmd
	log string
}

func start(tb testing.TB, home string, as *syscall.SysProcAttr, program string, args ...string) *process {
	tb.Helper()
	log, err := os.Create(filepath.Join(home, filepath.Base(program)+".log"))
	if err != nil {
		tb.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(program, args...)
	cmd.SysProcAttr, cmd.Stdout, cmd.Stderr, cmd.Dir = as, log, log, home
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "LC_ALL=C.UTF-8"}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	return &process{cmd, log.Name()}
}

func (p *process) wait(tb testing.TB) {
	tb.Helper()
	if err := p.cmd.Wait(); err != nil {
		tb.Fatalf("%s: %v\n%s", p.cmd.Path, err, p.said())
	}
}

func (p *process) said() string {
	text, _ := os.ReadFile(p.log)
	return string(text)
}

// answers waits for the server.
func answers(tb testing.TB, place string, server *process) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, place)
		if err == nil {
			_ = conn.Close(ctx)
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			tb.Fatal(fmt.Errorf("PostgreSQL does not answer: %w\n%s", err, server.said()))
		}
	}
}

// Size is how many bytes the tables of a database take, with their indexes.
func Size(tb testing.TB, place string) (bytes int64) {
	tb.Helper()
	conn, err := pgx.Connect(context.Background(), place)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if err := conn.QueryRow(context.Background(), `SELECT pg_database_size(current_database())`).Scan(&bytes); err != nil {
		tb.Fatal(err)
	}
	return bytes
}
