package sqlsource_test

import (
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/files/sqlsource"
)

// postgresAnswer is what a postgresPeer answers to a statement: rows of texts, the tag of their end, or an error.
type postgresAnswer struct {
	rows [][]string
	tag  string
	code string // SQLSTATE of an error; "" for none
}

// postgresPeer speaks the protocol of PostgreSQL. It answers the statements that it knows, and all others without rows.
type postgresPeer struct {
	answers map[string]postgresAnswer

	mu         sync.Mutex
	startup    map[string]string
	statements []string
	parameters []string // that were bound
	terminated int
}

// serve returns the URL of the peer.
func (p *postgresPeer) serve(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var open sync.WaitGroup
	open.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			open.Go(func() { p.talk(conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		open.Wait()
	})
	return "postgres://scott:tiger@" + listener.Addr().String() + "/shop?sslmode=disable"
}

// talk answers the messages of one connection.
func (p *postgresPeer) talk(conn net.Conn) {
	defer conn.Close()
	b := pgproto3.NewBackend(conn, conn)
	first, err := b.ReceiveStartupMessage()
	startup, ok := first.(*pgproto3.StartupMessage)
	if err != nil || !ok {
		return
	}
	p.mu.Lock()
	p.startup = startup.Parameters
	p.mu.Unlock()
	b.Send(&pgproto3.AuthenticationOk{})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	statement := ""
	for b.Flush() == nil {
		m, err := b.Receive()
		if err != nil {
			return
		}
		p.mu.Lock()
		switch m := m.(type) {
		case *pgproto3.Query:
			p.statements = append(p.statements, m.String)
			p.answer(b, p.answers[m.String], false)
		case *pgproto3.Parse:
			statement = m.Query
			p.statements = append(p.statements, statement)
		case *pgproto3.Bind:
			for _, value := range m.Parameters {
				p.parameters = append(p.parameters, string(value))
			}
		case *pgproto3.Sync:
			p.answer(b, p.answers[statement], true)
		case *pgproto3.Terminate:
			p.terminated++
		}
		p.mu.Unlock()
	}
}

// answer sends the answer to a statement, in the extended protocol with the answers to its parts.
func (p *postgresPeer) answer(b *pgproto3.Backend, a postgresAnswer, extended bool) {
	defer b.Send(&pgproto3.ReadyForQuery{TxStatus: 'T'})
	if a.code != "" {
		b.Send(&pgproto3.ErrorResponse{Severity: "ERROR", Code: a.code, Message: "no 'secret'"})
		return
	}
	if extended {
		b.Send(&pgproto3.ParseComplete{})
		b.Send(&pgproto3.BindComplete{})
	}
	if len(a.rows) == 0 {
		b.Send(&pgproto3.NoData{})
	} else {
		var d pgproto3.RowDescription
		for range a.rows[0] {
			d.Fields = append(d.Fields, pgproto3.FieldDescription{Name: []byte("id"), DataTypeOID: pgtype.TimestamptzOID})
		}
		b.Send(&d)
	}
	for _, row := range a.rows {
		var values [][]byte
		for _, v := range row {
			values = append(values, []byte(v))
		}
		b.Send(&pgproto3.DataRow{Values: values})
	}
	b.Send(&pgproto3.CommandComplete{CommandTag: []byte(a.tag)})
}

// openPeer opens a query and reads its rows. It returns their number, and waits until the connection has ended.
func openPeer(t *testing.T, p *postgresPeer, o sqlsource.Options) (rows int, err error) {
	o.URL = p.serve(t)
	defer func() {
		assert.Eventually(t, func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.terminated == 1
		}, time.Minute, time.Millisecond, "the connection is not closed")
	}()
	result, err := sqlsource.Open(t.Context(), o)
	if err != nil {
		return 0, err
	}
	defer result.Close()
	for {
		if _, err = result.Next(); err != nil {
			return rows, err
		}
		rows++
	}
}

// The query runs in a transaction that can only read, with a time limit of the server. If one of these cannot be had, it does not run.
func TestTransactionsOfPostgres(t *testing.T) {
	t.Parallel()
	const query = "SELECT id FROM users"
	statements := []string{
		"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "SET LOCAL statement_timeout = 1500000", "SET LOCAL TimeZone = 'UTC'", "SET LOCAL DateStyle = 'ISO'", query,
	}
	o := sqlsource.Options{Query: query, Timeout: 1500 * time.Second}
	p := &postgresPeer{answers: map[string]postgresAnswer{query: {rows: [][]string{{"a"}, {"b"}}, tag: "SELECT 2"}}}
	rows, err := openPeer(t, p, o)
	assert.EqualError(t, err, "EOF")
	assert.Equal(t, 2, rows)
	assert.Equal(t, statements, p.statements)
	assert.Equal(t, []string{"landfall", "UTF8", "scott", "shop"}, []string{p.startup["application_name"], p.startup["client_encoding"], p.startup["user"], p.startup["database"]})
	for i, statement := range statements {
		p := &postgresPeer{answers: map[string]postgresAnswer{statement: {code: "22023"}}}
		_, err := openPeer(t, p, o)
		require.Error(t, err, statement)
		assert.True(t, strings.HasSuffix(err.Error(), "/shop: PostgreSQL reports: no … (SQLSTATE 22023)"), err)
		assert.Equal(t, statements[:i+1], p.statements)
	}
}

// A result is complete if the server reports as many rows as were read, or, as Redshift does, none at all.
func TestEndsOfPostgres(t *testing.T) {
	t.Parallel()
	const query = "SELECT id FROM users"
	two := [][]string{{"a"}, {"b"}}
	for tag, want := range map[string]string{"SELECT 2": "EOF", "SELECT": "EOF", "SELECT 3": "after row 2: the server closed the connection", "SELECT 1": "after row 2: the server closed the connection"} {
		rows, err := openPeer(t, &postgresPeer{answers: map[string]postgresAnswer{query: {rows: two, tag: tag}}}, sqlsource.Options{Query: query})
		assert.ErrorContains(t, err, want, tag)
		assert.Equal(t, 2, rows)
	}
	_, err := openPeer(t, &postgresPeer{answers: map[string]postgresAnswer{query: {tag: "SELECT 2"}}}, sqlsource.Options{Query: query})
	assert.EqualError(t, err, "the query returns no columns")
}

// The rows that have changed are read only if the server tells its clock, and the time is bound, not written into the query.
func TestChangesOfPostgres(t *testing.T) {
	t.Parallel()
	const clock = "SELECT extract(epoch FROM now())"
	since := time.Date(2026, 1, 2, 4, 4, 5, 678000000, time.FixedZone("", 3600))
	for name, c := range map[string]struct {
		answer postgresAnswer
		want   string
	}{
		"a clock":     {postgresAnswer{rows: [][]string{{"1767323045.5"}}, tag: "SELECT 1"}, "EOF"},
		"no row":      {postgresAnswer{tag: "SELECT 0"}, "the server closed the connection"},
		"two rows":    {postgresAnswer{rows: [][]string{{"1"}, {"2"}}, tag: "SELECT 2"}, "the server closed the connection"},
		"two columns": {postgresAnswer{rows: [][]string{{"1", "2"}}, tag: "SELECT 1"}, "the server closed the connection"},
		"no time":     {postgresAnswer{rows: [][]string{{"soon"}}, tag: "SELECT 1"}, "the connection failed"},
		"an error":    {postgresAnswer{code: "57014"}, "its time limit is over"},
	} {
		wrapped := "SELECT * FROM (\nSELECT id\n) AS landfall_rows WHERE landfall_rows.\"id\" IS NULL OR landfall_rows.\"id\" >= $1"
		p := &postgresPeer{answers: map[string]postgresAnswer{clock: c.answer, wrapped: {rows: [][]string{{"2026-01-02"}}, tag: "SELECT 1"}}}
		_, err := openPeer(t, p, sqlsource.Options{Query: "SELECT id;", Changes: &sqlsource.Changes{Column: "id", Since: since}})
		require.ErrorContains(t, err, c.want, name)
		if c.want == "EOF" {
			assert.Equal(t, wrapped, p.statements[5])
			assert.Equal(t, []string{"2026-01-02 03:04:05.678+00"}, p.parameters)
		} else {
			assert.Len(t, p.statements, 5, "the query does not run")
		}
	}
}
