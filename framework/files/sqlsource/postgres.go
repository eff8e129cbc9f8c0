package sqlsource

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
)

// postgresCursor reads a result in the text format of PostgreSQL, which is exact for all types.
type postgresCursor struct {
	conn   *pgconn.PgConn
	now    time.Time // the clock of the database before the snapshot, if it was asked for
	reader *pgconn.ResultReader
	names  []audiencesync.Column
	values [][]byte // of the current row
	padded []bool   // columns of type char(n), whose values end with spaces
	rows   int64
}

func openPostgres(ctx context.Context, o Options) (cursor, error) {
	address := o.URL
	if rest, ok := strings.CutPrefix(address, "redshift:"); ok {
		address = "postgres:" + rest
	}
	config, err := pgconn.ParseConfig(address)
	if err != nil {
		return nil, err
	}
	config.RuntimeParams["application_name"] = "landfall"
	config.RuntimeParams["client_encoding"] = "UTF8"
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	c := &postgresCursor{conn: conn}
	if err = c.begin(ctx, o.Timeout); err == nil {
		err = c.startQuery(ctx, &o)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// begin starts a transaction that can only read. The statements are sent one by one, since not all servers of this protocol accept several at once.
func (c *postgresCursor) begin(ctx context.Context, timeout time.Duration) error {
	for _, statement := range []string{
		"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", fmt.Sprintf("SET LOCAL statement_timeout = %d", timeout.Milliseconds()),
		"SET LOCAL TimeZone = 'UTC'", "SET LOCAL DateStyle = 'ISO'",
	} {
		if _, err := c.conn.Exec(ctx, statement).ReadAll(); err != nil {
			return err
		}
	}
	return nil
}

// startQuery starts the query and reads its columns. The extended protocol accepts a single statement only.
func (c *postgresCursor) startQuery(ctx context.Context, o *Options) error {
	if o.Changes == nil {
		c.reader = c.conn.ExecParams(ctx, o.Query, nil, nil, nil, nil)
		return c.readHeader()
	}
	clock := c.conn.ExecParams(ctx, "SELECT extract(epoch FROM now())", nil, nil, nil, nil).Read()
	if clock.Err != nil {
		return clock.Err
	}
	if len(clock.Rows) != 1 || len(clock.Rows[0]) != 1 {
		return io.ErrUnexpectedEOF
	}
	var err error
	if c.now, err = parseEpoch(string(clock.Rows[0][0])); err != nil {
		return err
	}
	d := postgresChanges()
	query, hasTime := d.wrap(o.Query, o.Changes)
	var parameters [][]byte
	if hasTime {
		parameters = [][]byte{postgresTime(o.Changes.Since)}
	}
	c.reader = c.conn.ExecParams(ctx, query, parameters, nil, nil, nil)
	if err := c.readHeader(); err != nil {
		return err
	}
	return d.check(c.names, o.Changes)
}

func (c *postgresCursor) clock() time.Time { return c.now }

// readHeader reads the columns of the result.
func (c *postgresCursor) readHeader() error {
	fields := c.reader.FieldDescriptions()
	if len(fields) == 0 {
		if _, err := c.reader.Close(); err != nil {
			return err
		}
		return &OptionError{"the query returns no columns"}
	}
	types := pgtype.NewMap()
	for _, f := range fields {
		name := cmp.Or(redshiftType(f.DataTypeOID), fmt.Sprintf("oid %d", f.DataTypeOID))
		if t, ok := types.TypeForOID(f.DataTypeOID); ok {
			name = t.Name
		}
		c.names = append(c.names, newColumn(f.Name, name))
		c.padded = append(c.padded, f.DataTypeOID == pgtype.BPCharOID)
	}
	return nil
}

// redshiftType returns the name of a type that only Redshift has; "" for any other.
func redshiftType(oid uint32) string {
	switch oid {
	case 4000:
		return "super"
	case 6551:
		return "varbyte"
	case 3000, 3001, 3999:
		return "geometry"
	}
	return ""
}

func (c *postgresCursor) columns() []audiencesync.Column { return c.names }

func (c *postgresCursor) next(used []int, record []string) (problem string, err error) {
	if !c.reader.NextRow() {
		return "", c.readEnd()
	}
	c.rows++
	c.values = c.reader.Values()
	for _, i := range used {
		record[i] = string(c.values[i])
		if c.padded[i] {
			record[i] = strings.TrimRight(record[i], " ")
		}
	}
	return "", nil
}

func (c *postgresCursor) value(column int) (event.Value, string) {
	text := c.values[column]
	if text == nil {
		return event.NewNull(), ""
	}
	if c.padded[column] {
		return textValue("text", strings.TrimRight(string(text), " "))
	}
	return textValue(c.names[column].Type, string(text))
}

// readEnd returns io.EOF if the server reports the end of the query, and as many rows as were read. Redshift reports the end without a number.
func (c *postgresCursor) readEnd() error {
	tag, err := c.reader.Close()
	if err != nil {
		return err
	}
	if tag.RowsAffected() != c.rows && tag.String() != tagWithoutCount {
		return io.ErrUnexpectedEOF
	}
	return io.EOF
}

// tagWithoutCount is what Redshift, like PostgreSQL before version 9, reports at the end of a query.
const tagWithoutCount = "SELECT"

func (c *postgresCursor) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.conn.Close(ctx)
}

// postgresReason says what PostgreSQL objects to.
func postgresReason(err error) string {
	var server *pgconn.PgError
	var connecting *pgconn.ConnectError
	var parsing *pgconn.ParseConfigError
	switch {
	case errors.As(err, &parsing):
		return "the URL cannot be read: write postgres://USER:PASSWORD@HOST:PORT/DATABASE"
	case errors.As(err, &server):
		return postgresMessage(server)
	case errors.As(err, &connecting):
		return ""
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the server closed the connection"
	}
	return ""
}

// postgresMessage describes an error that the server reports. Messages about data quote values, and are shown without them.
func postgresMessage(e *pgconn.PgError) string {
	message := e.Message
	switch e.Code {
	case "28P01", "28000":
		return "the server refuses this user or its password"
	case "25006":
		return "the query would write, and it runs in a read-only transaction: " + message
	case "57014":
		return "the server has stopped the query: its time limit is over, or an administrator has cancelled it"
	}
	switch {
	case strings.HasPrefix(e.Code, "42"), strings.HasPrefix(e.Code, "3"): // names of tables and columns
	default:
		message = withoutValues(message)
	}
	if e.Position > 0 {
		message += fmt.Sprintf(" (at character %d of the query)", e.Position)
	}
	return fmt.Sprintf("PostgreSQL reports: %s (SQLSTATE %s)", message, e.Code)
}
