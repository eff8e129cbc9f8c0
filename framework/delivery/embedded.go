package delivery

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// embeddedServer is the NATS server in this process. It listens nowhere. Clients that connect through it reach whichever server
// runs at the moment, so they reconnect by themselves after a restart.
type embeddedServer struct {
	dir    string
	unlock func()

	mu      sync.Mutex
	running *server.Server // nil while it is being restarted, and after close
}

var errServerDown = errors.New("the server in this process is being restarted")

// openEmbedded starts the server on a directory, which no other process can use until close.
func openEmbedded(dir string) (*embeddedServer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	unlock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	e := &embeddedServer{dir: dir, unlock: unlock}
	if err := e.start(); err != nil {
		unlock()
		return nil, err
	}
	return e, nil
}

// start runs a server. It returns when that accepts connections.
func (e *embeddedServer) start() error {
	s, err := server.NewServer(&server.Options{
		ServerName: "landfall", DontListen: true, JetStream: true, SyncAlways: true, StoreDir: e.dir, NoSigs: true, NoLog: true,
		MaxPayload: maxMessage, JetStreamMaxStore: 1 << 50, JetStreamMaxMemory: 64 << 20, MaxPending: 256 << 20,
	})
	if err != nil {
		return err
	}
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

// restart opens the storage anew: the server forgets its write errors, and reads what is on disk as after a crash.
func (e *embeddedServer) restart() error {
	e.stop()
	return e.start()
}

// close ends the server and lets other processes use the directory.
func (e *embeddedServer) close() {
	e.stop()
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
