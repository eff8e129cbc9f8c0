package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/landfall-dev/landfall/framework/delivery/internal/logfiles"
)

// embeddedServer is the NATS server in this process. It listens nowhere. Clients that connect through it reach whichever server
// runs at the moment, so they reconnect by themselves after a restart.
type embeddedServer struct {
	dir    string
	log    *slog.Logger
	check  func(context.Context) error // of the files, before a server reads them
	unlock func()

	mu      sync.Mutex
	running *server.Server // nil while it is being restarted, and after close
	hangs   bool           // it could not be stopped, so its files are in use for as long as the process lives
}

var errServerDown = errors.New("the server in this process is being restarted")

// openEmbedded starts the server on a directory, which no other process can use until close.
func openEmbedded(dir string, log *slog.Logger, check func(context.Context) error) (*embeddedServer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	unlock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	e := &embeddedServer{dir: dir, log: log, check: check, unlock: unlock}
	if err := e.start(); err != nil {
		unlock()
		return nil, err
	}
	return e, nil
}

// start runs a server. It returns when that accepts connections.
func (e *embeddedServer) start() error {
	if err := e.check(context.Background()); err != nil {
		return fmt.Errorf("checking the log's files: %w", err)
	}
	s, err := server.NewServer(&server.Options{
		ServerName: "landfall", DontListen: true, JetStream: true, SyncAlways: true, StoreDir: e.dir, NoSigs: true, NoLog: true,
		MaxPayload: maxMessage, JetStreamMaxStore: 1 << 50, JetStreamMaxMemory: 64 << 20, MaxPending: 256 << 20,
		JetStreamLimits: server.JSLimitOpts{DefaultMaxConsumers: -1}, // a reader for each partition of each instance
	})
	if err != nil {
		return err
	}
	s.SetLoggerV2(serverLog{e.log}, false, false, false)
	s.Start() // returns when JetStream has been enabled, or has failed to be
	if !s.JetStreamEnabled() || !s.ReadyForConnections(5*time.Minute) {
		s.Shutdown()
		s.WaitForShutdown()
		return errors.New("the server in this process does not start: is the data directory's disk readable, and has it room?")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running = s
	return nil
}

// stop ends the running server.
func (e *embeddedServer) stop() {
	e.mu.Lock()
	s := e.running
	e.running = nil
	e.mu.Unlock()
	if s != nil {
		s.Shutdown()
		s.WaitForShutdown()
	}
}

// stopTimeout bounds how long a server may take to stop for a restart.
const stopTimeout = 30 * time.Second

// errStopHangs says that the running server cannot be stopped, so that no other can use its files.
var errStopHangs = errors.New("the server in this process does not stop: restart the process")

// restart opens the storage anew: the server forgets its write errors, and reads what is on disk as after a crash.
func (e *embeddedServer) restart() error {
	if e.hangs {
		return errStopHangs
	}
	stopped := make(chan struct{})
	go func() { defer close(stopped); e.stop() }()
	select {
	case <-stopped:
	case <-time.After(stopTimeout):
		e.hangs = true
		return errStopHangs
	}
	return e.start()
}

// close ends the server and lets other processes use the directory.
func (e *embeddedServer) close() {
	e.stop()
	if err := logfiles.WriteStamps(e.dir); err != nil {
		e.log.Debug("the log's files are checked at the next start", "error", err)
	}
	e.unlock()
}

// InProcessConn connects a client to the running server.
func (e *embeddedServer) InProcessConn() (net.Conn, error) {
	e.mu.Lock()
	s := e.running
	e.mu.Unlock()
	if s == nil {
		return nil, errServerDown
	}
	return s.InProcessConn()
}
