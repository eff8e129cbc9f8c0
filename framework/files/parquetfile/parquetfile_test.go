package parquetfile_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/framework/files/parquetfile"
)

// written returns a Parquet file with rows.
func written[T any](t testing.TB, rows []T, options ...parquet.WriterOption) []byte {
	t.Helper()
	var b bytes.Buffer
	w := parquet.NewGenericWriter[T](&b, options...)
	_, err := w.Write(rows)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

// readColumn returns the values of a column; those of rows that cannot be read begin with an exclamation mark.
func readColumn(content []byte, name string) (values []string, err error) {
	f, err := parquetfile.Open(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for i, c := range f.Columns() {
		if c.Name != name {
			continue
		}
		if c.Unfit != "" {
			return nil, errors.New(c.Type + " is unfit: " + c.Unfit)
		}
		f.Use([]int{i})
		for {
			row, err := f.Next()
			var bad *audiencesync.RowError
			switch {
			case err == io.EOF:
				return values, nil
			case errors.As(err, &bad):
				values = append(values, fmt.Sprintf("! %d %s", bad.Line, bad.Reason))
			case err != nil:
				return values, err
			default:
				values = append(values, row[i])
			}
		}
	}
	return nil, errors.New("no such column")
}

type user struct {
	ID       int64              `parquet:"id"`
	Unsigned uint64             `parquet:"unsigned"`
	Small    uint32             `parquet:"small"`
	Name     *string            `parquet:"name,optional"`
	Kind     string             `parquet:"kind,dict"`
	Raw      []byte             `parquet:"raw"`
	Decimal  int64              `parquet:"decimal,decimal(2:18)"`
	Whole    [16]byte           `parquet:"whole,decimal(0:38)"`
	UUID     [16]byte           `parquet:"uuid,uuid"`
	Fixed    [4]byte            `parquet:"fixed"`
	Ratio    float64            `parquet:"ratio"`
	Fine     bool               `parquet:"fine"`
	At       int64              `parquet:"at,timestamp"`
	Tags     []string           `parquet:"tags"`
	Address  struct{ S string } `parquet:"address"`
	JSON     string             `parquet:"json,json"`
}

func TestValuesAreExact(t *testing.T) {
	name := "Zoë ☃ 🎉"
	minus := [16]byte{}
	for i := range minus {
		minus[i] = 0xff
	}
	content := written(t, []user{
		{ID: -9223372036854775808, Unsigned: 18446744073709551615, Small: 4294967295, Name: &name, Kind: "paid", Raw: []byte("a"), Decimal: -5, Whole: minus, UUID: [16]byte{0xa0, 0xee, 0xbc, 15: 0x11}, JSON: "{}"},
		{ID: 9007199254740993, Kind: "paid", Raw: []byte{0xff, 0xfe}, Decimal: 123456, Whole: [16]byte{7: 1}, JSON: "{}"},
	})
	for column, want := range map[string]string{
		"id": "-9223372036854775808|9007199254740993", "unsigned": "18446744073709551615|0", "small": "4294967295|0", "name": name + "|", "kind": "paid|paid",
		"raw": "a|! 2 raw is not valid text in UTF-8", "decimal": "-0.05|1234.56", "whole": "-1|18446744073709551616",
		"uuid": "a0eebc00-0000-0000-0000-000000000011|00000000-0000-0000-0000-000000000000",
	} {
		values, err := readColumn(content, column)
		if assert.NoError(t, err, column) {
			assert.Equal(t, want, strings.Join(values, "|"), column)
		}
	}
	for column, want := range map[string]string{
		"fixed": "its values are bytes", "ratio": "its values are not exact", "fine": "write it as text", "at": "it is a time", "tags": "it is nested", "address": "it is nested", "json": "write it as text",
	} {
		_, err := readColumn(content, column)
		assert.ErrorContains(t, err, want, column)
	}
}

// TestManyRowGroupsAndPages checks that all rows of a file arrive in their order, and that rows of columns with different pages stay together.
func TestManyRowGroupsAndPages(t *testing.T) {
	type row struct {
		ID   int64   `parquet:"id,delta"`
		Name *string `parquet:"name,optional,dict"`
	}
	var rows []row
	for i := range 5000 {
		r := row{ID: int64(i)}
		if i%3 > 0 {
			name := fmt.Sprint("n", i)
			r.Name = &name
		}
		rows = append(rows, r)
	}
	for _, codec := range []parquet.WriterOption{parquet.Compression(&parquet.Snappy), parquet.Compression(&parquet.Zstd), parquet.Compression(&parquet.Gzip)} {
		content := written(t, rows, parquet.MaxRowsPerRowGroup(1100), parquet.PageBufferSize(700), codec)
		f, err := parquetfile.Open(bytes.NewReader(content), int64(len(content)))
		require.NoError(t, err)
		f.Use([]int{1, 0})
		for i := range rows {
			record, err := f.Next()
			require.NoError(t, err)
			want := ""
			if rows[i].Name != nil {
				want = *rows[i].Name
			}
			require.Equal(t, []string{fmt.Sprint(i), want}, record)
		}
		_, err = f.Next()
		assert.Equal(t, io.EOF, err)
		f.Close()
	}
}

// TestCutAndDamagedFiles checks that no file whose end or middle is missing has a last row.
func TestCutAndDamagedFiles(t *testing.T) {
	type row struct {
		ID string `parquet:"id"`
	}
	var rows []row
	for i := range 300 {
		rows = append(rows, row{fmt.Sprint("user-", i)})
	}
	content := written(t, rows, parquet.PageBufferSize(500))
	for n := 0; n < len(content); n += 1 + n/20 {
		_, err := readColumn(content[:n], "id")
		var failed *parquetfile.Error
		require.ErrorAs(t, err, &failed, n)
		assert.NotContains(t, err.Error(), "user-")
	}
	for _, cut := range []int{4, 100, len(content) / 2} { // the middle is missing, and the footer complete
		values, err := readColumn(append(append([]byte{}, content[:cut]...), content[cut+50:]...), "id")
		require.Error(t, err, cut)
		require.NotErrorIs(t, err, io.EOF)
		assert.Less(t, len(values), len(rows))
	}
	damaged := append(append([]byte{}, content[:len(content)/2]...), content[len(content)/2+50:]...)
	f, err := parquetfile.Open(bytes.NewReader(damaged), int64(len(damaged)))
	require.NoError(t, err)
	defer f.Close()
	f.Use([]int{0})
	for err == nil {
		_, err = f.Next()
	}
	_, again := f.Next()
	require.Equal(t, err, again, "a file that has failed has no further rows")
	_, err = readColumn(append(append([]byte{}, content[:len(content)-8]...), "\xff\xff\xff\x7fPAR1"...), "id")
	assert.EqualError(t, err, "the Parquet file is damaged in its footer: make or copy it again")
	values, err := readColumn(written(t, []row{}), "id")
	require.NoError(t, err)
	assert.Empty(t, values)
}

func FuzzOpen(f *testing.F) {
	type row struct {
		ID   int64   `parquet:"id"`
		Name *string `parquet:"name,optional,dict"`
	}
	f.Add(written(f, []row{{ID: 1}, {ID: 2}}))
	f.Add([]byte("PAR1PAR1"))
	f.Fuzz(func(t *testing.T, content []byte) {
		values, err := readColumn(content, "id")
		if err != nil {
			assert.NotErrorIs(t, err, io.EOF)
		}
		assert.LessOrEqual(t, len(values), 1<<20)
	})
}

func TestProperties(t *testing.T) {
	type row struct {
		ID    string   `parquet:"id"`
		N     int64    `parquet:"n"`
		Price int64    `parquet:"price,decimal(2:18)"`
		Ratio float64  `parquet:"ratio"`
		Paid  bool     `parquet:"paid"`
		Day   int32    `parquet:"day,date"`
		At    int64    `parquet:"at,timestamp(microsecond)"`
		Data  string   `parquet:"data,json"`
		Name  *string  `parquet:"name,optional"`
		Tags  []string `parquet:"tags"`
		Raw   [3]byte  `parquet:"raw"`
	}
	content := written(t, []row{{ID: "u1", N: 9223372036854775807, Price: 1050, Ratio: 0.1, Paid: true, Day: 20455, At: 1767323045000001, Data: `{"a": [1]}`}, {ID: "u2", Data: "no JSON"}})
	f, err := parquetfile.Open(bytes.NewReader(content), int64(len(content)))
	require.NoError(t, err)
	defer f.Close()
	var names []string
	var columns []int
	for i, c := range f.Columns() {
		if !c.Bytes {
			names, columns = append(names, c.Name), append(columns, i)
		}
	}
	assert.Equal(t, []string{"id", "n", "price", "ratio", "paid", "day", "at", "data", "name"}, names)
	f.Use([]int{0})
	f.UseProperties(columns)
	for _, want := range []string{
		`["u1",9223372036854775807,10.50,0.1,true,"2026-01-02","2026-01-02T03:04:05.000001Z",{"a":[1]},null]`,
		`["u2",0,0.00,0,false,"1970-01-01","1970-01-01T00:00:00Z","no JSON",null]`,
	} {
		_, err := f.Next()
		require.NoError(t, err)
		values, problem := f.Properties()
		assert.Empty(t, problem)
		assert.Equal(t, want, event.NewArray(values).JSON())
	}
	_, err = f.Next()
	assert.Equal(t, io.EOF, err)
}
