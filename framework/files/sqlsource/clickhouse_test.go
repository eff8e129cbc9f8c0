package sqlsource_test

import (
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/files/sqlsource"
)

// TestClickHouse runs queries on the server whose URL is in LANDFALL_CLICKHOUSE.
func TestClickHouse(t *testing.T) {
	address := os.Getenv("LANDFALL_CLICKHOUSE")
	if address == "" {
		t.Skip("no server: set LANDFALL_CLICKHOUSE to a URL such as clickhouse://default:@127.0.0.1:9000/default")
	}
	checkValues(t, address, []valueCase{
		{query: `SELECT toUInt64(18446744073709551615)`, want: "18446744073709551615"},
		{query: `SELECT toInt256('-57896044618658097711785492504343953926634992332820282019728792003956564819968')`, want: "-57896044618658097711785492504343953926634992332820282019728792003956564819968"},
		{query: `SELECT arrayJoin([toNullable(toUInt128(1)), NULL])`, want: "1|"},
		{query: `SELECT arrayJoin([toNullable('Zoë ☃ 🎉'), NULL, ''])`, want: "Zoë ☃ 🎉||"},
		{query: `SELECT toLowCardinality(arrayJoin([toNullable('a'), NULL, 'b']))`, want: "a||b"},
		{query: `SELECT toLowCardinality('a')`, want: "a"},
		{query: `SELECT toFixedString('ab', 5)`, want: "ab"},
		{query: `SELECT toNullable(toFixedString('ab', 5))`, want: "ab"},
		{query: `SELECT toUUID('A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11')`, want: "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
		{query: `SELECT toNullable(toUUID('A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'))`, want: "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
		{query: `SELECT CAST('paid', 'Enum8(\'free\' = 1, \'paid\' = 2)')`, want: "paid"},
		{query: `SELECT toDecimal128('123456789012345678901234567890.5', 1)`, want: "123456789012345678901234567890.5"},
		{query: `SELECT 1 WHERE 0`, want: ""},
		{query: `SELECT 1.5`, failure: "float64 is unfit"},
		{query: `SELECT now()`, failure: "it is a time"},
		{query: `SELECT [1]`, failure: "it is an array"},
		{query: `SELECT true`, failure: "bool is unfit"},
		{query: `SELECT 1; SELECT 2`, failure: "code 62"},
		{query: `SELECT nme FROM system.one`, failure: "code 47"},
		{query: `SELECT number FROM numbers(10) SETTINGS max_threads = 1`, failure: "readonly = 1"},
		{query: `SELECT number, count() FROM numbers(3) GROUP BY number WITH TOTALS`, failure: "the query has several results"},
		{query: `SELECT throwIf(number = 900000, 'no') FROM numbers(1000000) SETTINGS extremes = 1`, failure: "the query names extremes"},
		{query: `SELECT throwIf(number = 900000, 'no') FROM numbers(1000000)`, failure: "code 395"},
	})
	values, err := readAll(t.Context(), sqlsource.Options{URL: address, Query: `SELECT number FROM numbers(200000)`})
	require.NoError(t, err)
	assert.Len(t, values, 200000)
	_, err = readAll(t.Context(), sqlsource.Options{URL: address, Query: `SELECT sleepEachRow(0.1) = 0 ? 1 : 2 FROM numbers(100)`, Timeout: 500 * time.Millisecond})
	assert.ErrorContains(t, err, "its time limit")
}

// clickhousePeer speaks the protocol of ClickHouse for one connection: it answers the question for the setting readonly, and a query with two
// rows. The connection then ends as end says. It returns the URL, and the settings of the query, by name.
func clickhousePeer(t *testing.T, readonly uint64, end func(*proto.Buffer)) (address string, settings <-chan map[string]string) {
	const revision = 54447
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	sent, ended := make(chan map[string]string, 1), make(chan error, 1)
	t.Cleanup(func() {
		_ = listener.Close()
		require.NoError(t, <-ended)
	})
	go func() {
		ended <- func() error {
			conn, err := listener.Accept()
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close() }()
			reader := proto.NewReader(conn)
			var b proto.Buffer
			write := func() error {
				_, err := conn.Write(b.Buf)
				b.Reset()
				return err
			}
			if _, err := reader.UVarInt(); err != nil {
				return err
			}
			if err := (&proto.ClientHello{}).Decode(reader); err != nil {
				return err
			}
			(&proto.ServerHello{Name: "peer", Revision: revision, Timezone: "UTC"}).EncodeAware(&b, revision)
			if err := write(); err != nil {
				return err
			}
			if _, err := readClickhouseQuery(reader, revision); err != nil {
				return err
			}
			for _, rows := range []proto.ColUInt64{{}, {readonly}} {
				if err := writeClickhouseBlock(&b, revision, rows); err != nil {
					return err
				}
			}
			proto.ServerCodeEndOfStream.Encode(&b)
			if err := write(); err != nil {
				return err
			}
			query, err := readClickhouseQuery(reader, revision)
			if err != nil {
				return err
			}
			names := map[string]string{}
			for _, s := range query.Settings {
				names[s.Key] = s.Value
			}
			sent <- names
			for _, rows := range []proto.ColUInt64{{}, {18446744073709551615}, {7}} {
				if err := writeClickhouseBlock(&b, revision, rows); err != nil {
					return err
				}
			}
			end(&b)
			return write()
		}()
	}()
	return "clickhouse://scott:tiger@" + listener.Addr().String() + "/shop", sent
}

// readClickhouseQuery reads a query and the empty block that follows it.
func readClickhouseQuery(r *proto.Reader, revision int) (q proto.Query, err error) {
	if _, err = r.UVarInt(); err != nil {
		return q, err
	}
	if err = q.DecodeAware(r, revision); err != nil {
		return q, err
	}
	if _, err = r.UVarInt(); err != nil {
		return q, err
	}
	if err = (&proto.ClientData{}).DecodeAware(r, revision); err != nil {
		return q, err
	}
	var empty proto.Block
	return q, empty.DecodeBlock(r, revision, nil)
}

func writeClickhouseBlock(b *proto.Buffer, revision int, rows proto.ColUInt64) error {
	proto.ServerCodeData.Encode(b)
	b.PutString("")
	return proto.Block{Columns: 1, Rows: len(rows)}.EncodeBlock(b, revision, []proto.InputColumn{{Name: "external_id", Data: rows}})
}

// TestClickHouseResultsThatEndEarly checks that only the server's end of the result is its end: the driver reports a connection that was
// lost as io.EOF.
func TestClickHouseResultsThatEndEarly(t *testing.T) {
	exception := func(code int32, message string) func(*proto.Buffer) {
		return func(b *proto.Buffer) {
			proto.ServerCodeException.Encode(b)
			b.PutInt32(code)
			b.PutString("DB::Exception")
			b.PutString(message)
			b.PutString("")
			b.PutBool(false)
		}
	}
	for name, c := range map[string]struct {
		end     func(*proto.Buffer)
		failure string
	}{
		"complete":       {proto.ServerCodeEndOfStream.Encode, ""},
		"lost":           {func(*proto.Buffer) {}, "the server closed the connection"},
		"lost in a row":  {proto.ServerCodeData.Encode, "the server closed the connection"},
		"an error":       {exception(395, "Value passed: 'secret value'"), "ClickHouse reports: Value passed: … (code 395)"},
		"the time limit": {exception(159, "Timeout exceeded"), "its time limit is over"},
		"too many rows":  {exception(396, "Limit for result exceeded, max rows: 1.00"), "larger than the server allows"},
	} {
		t.Run(name, func(t *testing.T) {
			address, _ := clickhousePeer(t, 0, c.end)
			values, err := readAll(t.Context(), sqlsource.Options{URL: address, Query: "SELECT external_id FROM vips"})
			if c.failure == "" {
				require.NoError(t, err)
				assert.Equal(t, []string{"18446744073709551615", "7"}, values)
				return
			}
			require.ErrorContains(t, err, c.failure)
			assert.False(t, err == io.EOF, "the result is not complete")
			assert.NotContains(t, err.Error(), "tiger")
			assert.NotContains(t, err.Error(), "secret value")
		})
	}
}

// TestClickHouseSettings checks what the server is told about a query, by the setting readonly of its user.
func TestClickHouseSettings(t *testing.T) {
	for readonly, limit := range map[uint64]string{0: "90", 1: "", 2: "90"} {
		address, settings := clickhousePeer(t, readonly, proto.ServerCodeEndOfStream.Encode)
		_, err := readAll(t.Context(), sqlsource.Options{URL: address, Query: "SELECT external_id FROM vips", Timeout: 89*time.Second + time.Millisecond})
		require.NoError(t, err)
		got := <-settings
		assert.Equal(t, limit, got["max_execution_time"])
		assert.Equal(t, map[uint64]string{0: "1", 1: "1", 2: "2"}[readonly], got["readonly"])
		for name, value := range map[string]string{"result_overflow_mode": "throw", "timeout_overflow_mode": "throw", "max_result_rows": "0", "max_result_bytes": "0", "extremes": "0", "skip_unavailable_shards": "0"} {
			assert.Equal(t, value, got[name], name)
		}
	}
}

func TestClickHouseOptionsAreChecked(t *testing.T) {
	for address, want := range map[string]string{
		"clickhouse://scott:tiger@":                                     "the URL cannot be read",
		"clickhouse:///shop":                                            "the URL cannot be read",
		"clickhouse://scott:ti%ger@host/x":                              "the URL cannot be read",
		"clickhouse://scott:tiger@host/x?password=tiger":                `unknown parameter or value for "password"`,
		"clickhouse://scott:tiger@host/x?result_overflow_mode=break":    `unknown parameter or value for "result_overflow_mode"`,
		"clickhouse://scott:tiger@host/x?secure=tiger":                  `unknown parameter or value for "secure"`,
		"clickhouse://scott:tiger@host/x?skip_verify=true":              "skip_verify without secure=true",
		"clickhouse://scott:tiger@host/x?secure=true&secure=false":      `unknown parameter or value for "secure"`,
		"clickhous://scott:tiger@host/x":                                `did you mean "clickhouse"?`,
		"clickhouse://scott:tiger@host/x?secure=true&alt_hosts=another": `unknown parameter or value for "alt_hosts"`,
	} {
		_, err := readAll(t.Context(), sqlsource.Options{URL: address, Query: "SELECT 1"})
		var wrong *sqlsource.OptionError
		if assert.ErrorAs(t, err, &wrong, address) {
			assert.Contains(t, err.Error(), want)
			assert.NotContains(t, err.Error(), "tiger")
		}
	}
	_, err := readAll(t.Context(), sqlsource.Options{URL: "clickhouse://h/x", Query: "SELECT 1 SETTINGS max_result_rows = 5, Result_Overflow_Mode = 'break'"})
	assert.ErrorContains(t, err, "the query names max_result_rows")
	_, err = readAll(t.Context(), sqlsource.Options{URL: "clickhouse://scott:tiger@127.0.0.1:1/x", Query: "SELECT 1"})
	var failed *sqlsource.Error
	require.ErrorAs(t, err, &failed)
	assert.True(t, strings.HasPrefix(err.Error(), "clickhouse://127.0.0.1:1/x: "), err.Error())
}
