package natslog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog"
	"github.com/landfall-dev/landfall/framework/delivery/internal/eventlog/natslog/logfiles"
)

// embeddedServer is the NATS server in this process. It does not listen on a port. Clients connect through InProcessConn to the
// server that is running at the time, so they reconnect after a restart.
type embeddedServer struct {
	dir   string
	log   *slog.Logger
	check func(context.Context) error // checks the files before a server reads them; may be nil

	restarting  sync.Mutex    // held during a restart; locked before mu
	stopping    chan struct{} // closed when the server has stopped; nil unless it is being stopped for a restart; guarded by restarting
	stopTimeout time.Duration // how long a restart waits for that

	mu      sync.Mutex
	running *server.Server  // nil during a restart and after close
	changes bool            // restartAfter changes files, which may take minutes
	isLast  bool            // the server is not started again; changed with both locks held
	life    context.Context // ends when the running server is stopped
	end     context.CancelFunc
}

var errServerDown = errors.New("the server in this process is being restarted")

// startEmbedded starts the server.
func startEmbedded(c Config) (*embeddedServer, error) {
	e := &embeddedServer{dir: c.Dir, log: c.Logger, check: c.CheckFiles, stopTimeout: defaultStopTimeout}
	if err := e.start(); err != nil {
		return nil, err
	}
	return e, nil
}

// start starts a server and waits until it accepts connections.
func (e *embeddedServer) start() error {
	if e.check != nil {
		if err := e.check(context.Background()); err != nil {
			return fmt.Errorf("checking the log's files: %w", err)
		}
	}
	s, err := server.NewServer(&server.Options{
		ServerName: "landfall", DontListen: true, JetStream: true, SyncAlways: true, StoreDir: e.dir, NoSigs: true, NoLog: true,
		MaxPayload: maxPayload, JetStreamMaxStore: 1 << 50, JetStreamMaxMemory: 64 << 20, MaxPending: 256 << 20,
		JetStreamLimits: server.JSLimitOpts{DefaultMaxConsumers: -1}, // one consumer for each partition of each instance
	})
	if err != nil {
		return err
	}
	messages := serverLog{e.log, &atomic.Bool{}}
	s.SetLoggerV2(messages, false, false, false)
	s.Start() // returns when JetStream is enabled or has failed
	if messages.failed.Load() || !s.JetStreamEnabled() || !s.ReadyForConnections(5*time.Minute) {
		s.Shutdown()
		s.WaitForShutdown()
		return errors.New("the server in this process does not start: is the disk of the data directory readable, and does it have free space?")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running = s
	e.life, e.end = context.WithCancel(context.Background())
	return nil
}

// stop stops the running server.
func (e *embeddedServer) stop() {
	e.mu.Lock()
	s := e.running
	e.running = nil
	e.mu.Unlock()
	if s != nil {
		e.end()
		s.Shutdown()
		s.WaitForShutdown()
	}
}

// defaultStopTimeout is how long a restart waits until the server has stopped.
const defaultStopTimeout = 30 * time.Second

// errStopHangs means that the server has not stopped yet, so that no other can use its files.
var errStopHangs = errors.New("the server in this process does not stop: if this persists, restart the process")

// stopInTime stops the running server. If it takes too long, it continues in the background, and the next call waits for it. The caller holds
// restarting.
func (e *embeddedServer) stopInTime() error {
	if e.stopping == nil {
		stopped := make(chan struct{})
		e.stopping = stopped
		go func() { defer close(stopped); e.stop() }()
	}
	timeout := time.NewTimer(e.stopTimeout)
	defer timeout.Stop()
	select {
	case <-e.stopping:
		e.stopping = nil
		return nil
	case <-timeout.C:
		e.log.Error(errStopHangs.Error(), "waited", e.stopTimeout, "goroutines", serverStacks())
		return errStopHangs
	}
}

// maxStacks is the size of the goroutines in a log message, in bytes.
const maxStacks = 64 << 10

// serverStacks returns what the goroutines of the server do.
func serverStacks() string {
	buf := make([]byte, 4<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var b strings.Builder
	for stack := range strings.SplitSeq(string(buf), "\n\n") {
		if strings.Contains(stack, "nats-server") && b.Len()+len(stack) < maxStacks {
			b.WriteString(stack + "\n\n")
		}
	}
	return b.String()
}

// restart reopens the storage. The server forgets its write errors and reads the files as after a crash.
func (e *embeddedServer) restart() error { return e.restartAfter(nil) }

// restartAfter stops the server, calls change, which may be nil, and starts the server again. After a change that succeeds, the server trusts
// the files as after an orderly stop; otherwise they are checked.
func (e *embeddedServer) restartAfter(change func() error) error {
	e.restarting.Lock()
	defer e.restarting.Unlock()
	if e.isLast {
		return eventlog.ErrClosed
	}
	if err := e.stopInTime(); err != nil {
		return err
	}
	if change == nil {
		return e.start()
	}
	e.setChanges(true)
	err := change()
	e.setChanges(false)
	if err == nil {
		e.writeStamps()
	}
	return errors.Join(err, e.start())
}

func (e *embeddedServer) setChanges(changes bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.changes = changes
}

// close stops the server.
func (e *embeddedServer) close() {
	e.restarting.Lock()
	defer e.restarting.Unlock()
	e.mu.Lock()
	e.isLast = true
	e.mu.Unlock()
	if e.stopping != nil && e.stopInTime() != nil {
		return // its files are in use
	}
	e.stop()
	e.writeStamps()
}

// writeStamps stores that the server has stopped orderly, so that its files need not be checked.
func (e *embeddedServer) writeStamps() {
	if err := logfiles.WriteStamps(e.dir); err != nil {
		e.log.Debug("the log's files are checked at the next start", "error", err)
	}
}

// serverID identifies the running server: one that is started again has another id. It is "" if none is running.
func (e *embeddedServer) serverID() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running == nil {
		return ""
	}
	return e.running.ID()
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
