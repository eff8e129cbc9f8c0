package sqlsource

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/landfall-dev/landfall/framework/event"
)

func openMySQL(ctx context.Context, o Options) (cursor, error) {
	config, err := mysqlConfig(o.URL)
	if err != nil {
		return nil, err
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, &OptionError{"the URL cannot be read: " + mysqlExample}
	}
	c := &databaseCursor{db: sql.OpenDB(connector), text: rawText, json: rawValue}
	c.db.SetMaxOpenConns(1)
	if err := c.beginMySQL(ctx, o); err != nil {
		c.close()
		return nil, err
	}
	for range c.names {
		c.values = append(c.values, new(sql.RawBytes))
	}
	return c, nil
}

const mysqlExample = "write mysql://USER:PASSWORD@HOST:PORT/DATABASE, with ?tls=true, false, skip-verify or preferred, or ?socket=PATH"

// mysqlConfig returns the configuration of a URL. Only parameters that cannot weaken the transaction are accepted.
func mysqlConfig(address string) (*mysql.Config, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, &OptionError{"the URL cannot be read: " + mysqlExample}
	}
	config := mysql.NewConfig()
	config.User, config.DBName = u.User.Username(), strings.Trim(u.Path, "/")
	config.Passwd, _ = u.User.Password()
	config.Net, config.Addr = "tcp", net.JoinHostPort(u.Hostname(), "3306")
	if u.Port() != "" {
		config.Addr = u.Host
	}
	config.TLSConfig, config.Logger, config.ParseTime = "preferred", silentLogger{}, false
	config.Params = map[string]string{"time_zone": "'+00:00'"}
	for name, values := range u.Query() {
		switch value := values[0]; {
		case name == "tls" && slices.Contains([]string{"true", "false", "skip-verify", "preferred"}, value):
			config.TLSConfig = value
		case name == "socket":
			config.Net, config.Addr, config.TLSConfig = "unix", value, "false"
		default:
			return nil, &OptionError{fmt.Sprintf("the URL has an unknown parameter or value for %q: %s", name, mysqlExample)}
		}
	}
	return config, nil
}

// silentLogger keeps the driver from writing to the standard error.
type silentLogger struct{}

func (silentLogger) Print(...any) {}

// beginMySQL starts the query in a read-only transaction with a time limit of the server.
func (c *databaseCursor) beginMySQL(ctx context.Context, o Options) error {
	var version string
	if err := c.db.QueryRowContext(ctx, "SELECT VERSION()").Scan(&version); err != nil {
		return err
	}
	limit := fmt.Sprintf("SET SESSION max_execution_time = %d", o.Timeout.Milliseconds())
	if strings.Contains(strings.ToLower(version), "mariadb") {
		limit = fmt.Sprintf("SET SESSION max_statement_time = %g", o.Timeout.Seconds())
	}
	if _, err := c.db.ExecContext(ctx, limit); err != nil {
		return err
	}
	var err error
	if c.tx, err = c.db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}); err != nil {
		return err
	}
	if o.Changes != nil {
		return c.startMySQLChanges(ctx, &o)
	}
	return c.startQuery(ctx, c.tx, o.Query)
}

// rawText returns a value as the server has written it.
func rawText(_ string, value any) (text, problem string) {
	raw, _ := value.(*sql.RawBytes)
	return string(*raw), ""
}

// rawValue returns a value that the server has written as text. The session's times are in UTC.
func rawValue(typeName string, value any) (event.Value, string) {
	raw, _ := value.(*sql.RawBytes)
	switch {
	case *raw == nil:
		return event.NewNull(), ""
	case typeName == "timestamp":
		typeName = "timestamptz"
	}
	return textValue(typeName, string(*raw))
}

// mysqlReason says what MySQL objects to.
func mysqlReason(err error) string {
	var server *mysql.MySQLError
	switch {
	case errors.As(err, &server):
		return mysqlMessage(server)
	case errors.Is(err, mysql.ErrInvalidConn), errors.Is(err, io.ErrUnexpectedEOF):
		return "the server closed the connection"
	}
	return ""
}

// mysqlMessage describes an error that the server reports. Messages about data quote values, and are shown without them.
func mysqlMessage(e *mysql.MySQLError) string {
	switch e.Number {
	case 1045, 1698:
		return "the server refuses this user or its password"
	case 1792:
		return "the query would write, and it runs in a read-only transaction"
	case 1969, 3024, 1317:
		return "the server has stopped the query: its time limit is over, or an administrator has cancelled it"
	case 1044, 1049, 1054, 1064, 1142, 1143, 1146, 1305: // names of databases, tables and columns, and the text of the query
		return fmt.Sprintf("MySQL reports: %s (error %d)", e.Message, e.Number)
	}
	return fmt.Sprintf("MySQL reports: %s (error %d)", withoutValues(e.Message), e.Number)
}
