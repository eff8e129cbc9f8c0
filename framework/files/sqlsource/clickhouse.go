package sqlsource

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/landfall-dev/landfall/framework/fault"
)

const clickhouseExample = "write clickhouse://USER:PASSWORD@HOST:PORT/DATABASE with the port of the native protocol, and with ?secure=true for TLS, also &skip_verify=true"

func openClickHouse(ctx context.Context, o Options) (cursor, error) {
	config, err := clickhouseConfig(o)
	if err != nil {
		return nil, err
	}
	c := &databaseCursor{db: clickhouse.OpenDB(config), text: clickhouseText, json: anyValue}
	c.db.SetMaxOpenConns(1)
	if err := c.beginClickHouse(withoutDeadline{ctx}, o); err != nil {
		c.close()
		return nil, err
	}
	for i := range c.names {
		c.names[i].Unfit = clickhouseUnfit(c.names[i].Type)
		c.values = append(c.values, new(any))
	}
	return c, nil
}

// withoutDeadline hides a deadline from the driver, which would turn it into settings that a read-only user cannot change.
type withoutDeadline struct{ context.Context }

func (withoutDeadline) Deadline() (time.Time, bool) { return time.Time{}, false }

// clickhouseConfig returns the configuration of a URL. Parameters that the driver would send as settings are not accepted.
func clickhouseConfig(o Options) (*clickhouse.Options, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Hostname() == "" {
		return nil, &OptionError{"the URL cannot be read: " + clickhouseExample}
	}
	if name := protectedSetting.FindString(o.Query); name != "" {
		return nil, &OptionError{fmt.Sprintf("the query names %s: Landfall sets it, so that a result that is not complete is an error", fault.Shorten(name, 40))}
	}
	secure, verify, err := clickhouseTLS(u.Query())
	if err != nil {
		return nil, err
	}
	config := &clickhouse.Options{Auth: clickhouse.Auth{Database: strings.Trim(u.Path, "/"), Username: u.User.Username()}, ReadTimeout: o.Timeout + time.Minute}
	config.Auth.Password, _ = u.User.Password()
	port := u.Port()
	switch {
	case port != "":
	case secure:
		port = "9440"
	default:
		port = "9000"
	}
	config.Addr = []string{net.JoinHostPort(u.Hostname(), port)}
	if secure {
		config.TLS = &tls.Config{ServerName: u.Hostname(), InsecureSkipVerify: !verify}
	}
	return config, nil
}

// clickhouseTLS reads the parameters of a URL.
func clickhouseTLS(parameters url.Values) (secure, verify bool, err error) {
	verify = true
	for name, values := range parameters {
		on := values[0] == "true"
		switch {
		case !on && values[0] != "false", len(values) > 1, name != "secure" && name != "skip_verify":
			return false, false, &OptionError{fmt.Sprintf("the URL has an unknown parameter or value for %q: %s", name, clickhouseExample)}
		case name == "secure":
			secure = on
		default:
			verify = !on
		}
	}
	if !secure && !verify {
		return false, false, &OptionError{"the URL has skip_verify without secure=true: " + clickhouseExample}
	}
	return secure, verify, nil
}

// protectedSetting matches the names of settings with which a result that is not complete is no error.
var protectedSetting = regexp.MustCompile(`(?i)\b(\w+_overflow_mode\w*|max_result_rows|max_result_bytes|skip_unavailable_shards|extremes)\b`)

// clickhouseSettings returns the settings of a query. A server changes no setting of a user whose setting readonly is 1, so they then are
// only those that should have the values of the server's defaults; the query fails if they have others.
func clickhouseSettings(readonly uint64, timeout time.Duration) clickhouse.Settings {
	settings := clickhouse.Settings{"readonly": max(readonly, 1), "max_result_rows": 0, "max_result_bytes": 0, "limit": 0, "offset": 0, "extremes": 0, "skip_unavailable_shards": 0}
	for _, kind := range []string{"result", "timeout", "read", "group_by", "sort", "distinct", "transfer", "set", "join"} {
		settings[kind+"_overflow_mode"] = "throw"
	}
	if readonly != 1 {
		settings["max_execution_time"] = int(math.Ceil(timeout.Seconds()))
	}
	return settings
}

// beginClickHouse starts the query with settings that make it read-only, limit its time, and make a result that is cut an error.
func (c *databaseCursor) beginClickHouse(ctx context.Context, o Options) error {
	var readonly uint64
	if err := c.db.QueryRowContext(ctx, "SELECT toUInt64(getSetting('readonly'))").Scan(&readonly); err != nil {
		return err
	}
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouseSettings(readonly, o.Timeout)))
	return c.startQuery(ctx, c.db, o.Query)
}

// clickhouseText returns a value of a type that clickhouseUnfit accepts.
func clickhouseText(typeName string, value any) (text, problem string) {
	pointer, _ := value.(*any)
	v := *pointer
	if p := reflect.ValueOf(v); p.Kind() == reflect.Pointer && !p.IsNil() { // a value of a type with NULL
		v = p.Elem().Interface()
	}
	switch v := v.(type) {
	case nil:
		return "", ""
	case string:
		if strings.Contains(typeName, "fixedstring(") {
			v = strings.TrimRight(v, "\x00") // the server fills shorter values
		}
		return v, ""
	case big.Int:
		return v.String(), ""
	}
	switch n := reflect.ValueOf(v); {
	case n.CanInt():
		return strconv.FormatInt(n.Int(), 10), ""
	case n.CanUint():
		return strconv.FormatUint(n.Uint(), 10), ""
	}
	return "", fmt.Sprintf("has the type %T: select it with toString(…)", v)
}

// clickhouseUnfit says why values of a type, in lower case, cannot identify users; "" if they can.
func clickhouseUnfit(typeName string) string {
	for _, wrapper := range []string{"lowcardinality(", "nullable("} {
		if inner, ok := strings.CutPrefix(typeName, wrapper); ok {
			typeName = strings.TrimSuffix(inner, ")")
		}
	}
	name, _, _ := strings.Cut(typeName, "(")
	switch {
	case slices.Contains([]string{"string", "fixedstring", "uuid", "enum8", "enum16"}, name), strings.HasPrefix(name, "decimal"), clickhouseInteger.MatchString(name):
		return ""
	case strings.HasPrefix(name, "float"), name == "bfloat16":
		return unfitReason("float")
	case strings.HasPrefix(name, "date"), strings.HasPrefix(name, "time"):
		return "it is a time; select it with toString(…) if it does identify users"
	case name == "array", name == "nested":
		return "it is an array; select its elements with arrayJoin(…)"
	}
	return "select it with toString(…), or select a part of it"
}

var clickhouseInteger = regexp.MustCompile(`^u?int(8|16|32|64|128|256)$`)

// clickhouseReason says what ClickHouse objects to.
func clickhouseReason(err error) string {
	var server *clickhouse.Exception
	switch {
	case errors.As(err, &server):
		return clickhouseMessage(server)
	case isEndOfConnection(err):
		return "the server closed the connection"
	case errors.Is(err, sql.ErrNoRows):
		return "the server does not tell the setting readonly of its user"
	}
	return ""
}

// clickhouseMessage describes an error that the server reports. Messages about data quote values, and are shown without them.
func clickhouseMessage(e *clickhouse.Exception) string {
	message := fault.Shorten(e.Message, 500)
	switch e.Code {
	case 192, 193, 194, 516:
		return "the server refuses this user or its password"
	case 164:
		return "the query would write or change a setting, and it runs with readonly = 1: " + message
	case 159, 160, 394:
		return "the server has stopped the query: its time limit is over, or an administrator has cancelled it"
	case 396:
		return "the result is larger than the server allows its user: " + message
	case 46, 47, 60, 62, 81, 497: // names of functions, columns, tables and databases, and the text of the query
		return fmt.Sprintf("ClickHouse reports: %s (code %d)", message, e.Code)
	}
	return fmt.Sprintf("ClickHouse reports: %s (code %d)", withoutValues(message), e.Code)
}
