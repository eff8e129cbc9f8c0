package sqlsource

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"modernc.org/sqlite"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

func openSQLite(ctx context.Context, o Options) (cursor, error) {
	path := strings.TrimPrefix(o.URL, "sqlite:")
	if rest, ok := strings.CutPrefix(path, "//"); ok { // sqlite:///PATH is absolute, and sqlite://PATH relative
		path = rest
	}
	if info, err := os.Stat(path); err != nil {
		return nil, &OptionError{fault.Shorten(path, 200) + ": " + fault.FileReason(err)}
	} else if info.IsDir() {
		return nil, &OptionError{fault.Shorten(path, 200) + ": is a directory, not a database of SQLite"}
	}
	if file, err := os.Open(path); err != nil { // SQLite would not say why
		return nil, &OptionError{fault.Shorten(path, 200) + ": " + fault.FileReason(err)}
	} else if err := file.Close(); err != nil {
		return nil, err
	}
	if hasSeveralStatements(o.Query) { // the driver would return the rows of the last one
		return nil, &OptionError{"the query has several statements: it should be a single one"}
	}
	parameters := url.Values{"mode": {"ro"}, "_pragma": {"query_only(1)", "busy_timeout(10000)", "temp_store(1)"}}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+parameters.Encode())
	if err != nil {
		return nil, err
	}
	c := &databaseCursor{db: db, text: sqliteText, json: anyValue}
	db.SetMaxOpenConns(1)
	if c.tx, err = db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true}); err == nil {
		err = c.startSQLite(ctx, &o)
	}
	if err != nil {
		c.close()
		return nil, err
	}
	for i := range c.names {
		c.names[i].Unfit, c.names[i].Bytes = "", false // SQLite has types of values, not of columns
		c.values = append(c.values, new(any))
	}
	return c, nil
}

// sqliteText returns a value as text, or why it cannot identify users.
func sqliteText(_ string, value any) (text, problem string) {
	pointer, _ := value.(*any)
	switch v := (*pointer).(type) {
	case nil:
		return "", ""
	case string:
		return v, ""
	case int64:
		return strconv.FormatInt(v, 10), ""
	case float64:
		return "", "is a real number: " + unfitReason("real")
	case []byte:
		return "", "is a blob: select it as text, such as with hex(…)"
	case time.Time, bool:
		return "", "is a time or a boolean: CAST it to text"
	}
	return "", fmt.Sprintf("has the type %T: CAST it to text", *pointer)
}

// anyValue returns a value of a driver that returns Go values.
func anyValue(typeName string, value any) (event.Value, string) {
	pointer, _ := value.(*any)
	return goValue(typeName, *pointer)
}

// sqliteReason says what SQLite objects to.
func sqliteReason(err error) string {
	const readOnly, notDatabase = 8, 26
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return ""
	}
	switch e.Code() & 0xff {
	case readOnly:
		return "the query would write, and the database is opened for reading only"
	case notDatabase:
		return "the file is not a database of SQLite"
	}
	return "SQLite reports: " + e.Error()
}
