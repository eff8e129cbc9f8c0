package sqlsource_test

import (
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/files/sqlsource"
	"github.com/landfall-dev/landfall/framework/state/statetest"
)

// redshiftProxy is a server in front of PostgreSQL that differs from it as Redshift does: it reports the end of a query without the number of rows,
// has types of its own, and takes one statement at a time.
type redshiftProxy struct {
	t        *testing.T
	socket   string // of PostgreSQL
	types    map[uint32]uint32
	cutAfter int // the connection is cut after this number of rows; 0 for never

	mu         sync.Mutex
	statements []string
}

// serve returns the URL of the proxy.
func (p *redshiftProxy) serve() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(p.t, err)
	var open sync.WaitGroup
	open.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			open.Go(func() { p.relay(client) })
		}
	})
	p.t.Cleanup(func() {
		_ = listener.Close()
		open.Wait()
	})
	return "redshift://postgres@" + listener.Addr().String() + "/postgres?sslmode=disable"
}

// relay passes the messages of one connection on.
func (p *redshiftProxy) relay(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("unix", p.socket)
	if err != nil {
		return
	}
	defer server.Close()
	backend, frontend := pgproto3.NewBackend(client, client), pgproto3.NewFrontend(server, server)
	startup, err := backend.ReceiveStartupMessage()
	if err != nil {
		return
	}
	if _, err := server.Write(encode(p.t, startup)); err != nil {
		return
	}
	var sending sync.WaitGroup
	sending.Go(func() {
		defer server.Close()
		for {
			m, err := backend.Receive()
			if err != nil {
				return
			}
			p.note(m)
			frontend.Send(m)
			if frontend.Flush() != nil {
				return
			}
		}
	})
	p.answer(backend, frontend)
	_ = client.Close()
	sending.Wait()
}

// note records a statement.
func (p *redshiftProxy) note(m pgproto3.FrontendMessage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch m := m.(type) {
	case *pgproto3.Query:
		p.statements = append(p.statements, m.String)
	case *pgproto3.Parse:
		p.statements = append(p.statements, m.Query)
	}
}

// answer passes the messages of the server on, as Redshift would send them.
func (p *redshiftProxy) answer(backend *pgproto3.Backend, frontend *pgproto3.Frontend) {
	rows := 0
	for {
		m, err := frontend.Receive()
		if err != nil {
			return
		}
		switch m := m.(type) {
		case *pgproto3.CommandComplete:
			if strings.HasPrefix(string(m.CommandTag), "SELECT ") {
				m.CommandTag = []byte("SELECT")
			}
		case *pgproto3.RowDescription:
			for i, f := range m.Fields {
				if other, ok := p.types[f.DataTypeOID]; ok {
					m.Fields[i].DataTypeOID = other
				}
			}
		case *pgproto3.DataRow:
			if rows++; p.cutAfter > 0 && rows > p.cutAfter {
				return
			}
		}
		backend.Send(m)
		if backend.Flush() != nil {
			return
		}
	}
}

func encode(t *testing.T, m pgproto3.FrontendMessage) []byte {
	raw, err := m.Encode(nil)
	require.NoError(t, err)
	return raw
}

func TestRedshift(t *testing.T) {
	t.Parallel()
	server := statetest.Start(t)
	u, err := url.Parse(server.URL)
	require.NoError(t, err)
	sockets, err := filepath.Glob(filepath.Join(u.Query().Get("host"), ".s.PGSQL.*[0-9]"))
	require.NoError(t, err)
	require.Len(t, sockets, 1)
	const jsonb, bytea = 3802, 17
	proxy := &redshiftProxy{t: t, socket: sockets[0], types: map[uint32]uint32{jsonb: 4000, bytea: 6551}}
	address := proxy.serve()
	checkValues(t, address, []valueCase{
		{query: `SELECT i FROM generate_series(1, 3) i`, want: "1|2|3"},
		{query: `SELECT 1 WHERE false`, want: ""},
		{query: `SELECT 'ab'::char(5)`, want: "ab"},
		{query: `SELECT '{}'::jsonb`, failure: "super is unfit"},
		{query: `SELECT '\x00'::bytea`, failure: "varbyte is unfit"},
		{query: `SELECT nme`, failure: `column "nme" does not exist`},
		{query: `SELECT 1 / (3 - i) FROM generate_series(1, 9) i`, failure: "division by zero"},
		{query: `WITH gone AS (DELETE FROM pg_class RETURNING 1) SELECT 1 FROM gone`, failure: "read-only transaction"},
	})
	checkProperties(t, address, map[string]string{`SELECT '{"a": 1}'::jsonb AS s, '\x00'::bytea AS raw, true AS yes`: `{"s":{"a":1},"yes":true}`})
	proxy.mu.Lock()
	for _, s := range proxy.statements {
		assert.NotContains(t, strings.TrimRight(s, "; "), ";", "several statements at once")
	}
	proxy.mu.Unlock()

	cut := &redshiftProxy{t: t, socket: sockets[0], cutAfter: 5}
	_, err = readAll(t.Context(), sqlsource.Options{URL: cut.serve(), Query: `SELECT i FROM generate_series(1, 100) i`, Timeout: time.Minute})
	require.Error(t, err)
	assert.Contains(t, err.Error(), "the result is incomplete after row ")
}
