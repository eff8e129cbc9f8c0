package parquetfile_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/files/parquetfile"
)

// properties returns the values of a column as properties, or why they have no JSON form.
func properties(t *testing.T, content []byte, name string) (values, problems []string) {
	t.Helper()
	f, err := parquetfile.Open(bytes.NewReader(content), int64(len(content)))
	require.NoError(t, err)
	defer f.Close()
	for i, c := range f.Columns() {
		if c.Name == name {
			require.False(t, c.Bytes, name)
			f.UseProperties([]int{i})
		}
	}
	for {
		_, err := f.Next()
		if err == io.EOF {
			return values, problems
		}
		require.NoError(t, err, name)
		row, problem := f.Properties()
		values, problems = append(values, event.NewArray(row).JSON()), append(problems, problem)
	}
}

// TestPropertiesOfEachType checks the JSON form of types that rarely identify users, with null and with values that JSON lacks.
func TestPropertiesOfEachType(t *testing.T) {
	type row struct {
		Float  float32  `parquet:"float"`
		Double float64  `parquet:"double"`
		Small  int32    `parquet:"small"`
		Count  uint32   `parquet:"count"`
		Name   string   `parquet:"name"`
		Kind   string   `parquet:"kind,enum"`
		UUID   [16]byte `parquet:"uuid,uuid"`
		Cents  int32    `parquet:"cents,decimal(2:9)"`
		Whole  [16]byte `parquet:"whole,decimal(3:38)"`
		Milli  int64    `parquet:"milli,timestamp(millisecond)"`
		Nano   int64    `parquet:"nano,timestamp(nanosecond)"`
		Local  int64    `parquet:"local,timestamp(millisecond:local)"`
		Maybe  *int64   `parquet:"maybe,optional"`
		Text   []byte   `parquet:"text"`
	}
	minus := [16]byte{}
	for i := range minus {
		minus[i] = 0xff
	}
	one := int64(1)
	content := written(t, []row{
		{Float: 0.5, Double: 1e300, Small: -7, Count: 4294967295, Name: "12", Kind: "paid", UUID: [16]byte{15: 0x11}, Cents: -5, Whole: minus, Milli: 1767323045001, Nano: 1767323045000000001, Local: 1767323045000, Maybe: &one, Text: []byte("a")},
		{Float: float32(math.Inf(1)), Double: math.NaN(), Text: []byte{0xff}},
	})
	for name, want := range map[string][]string{
		"float": {`[0.5]`, `[null]`}, "double": {`[1e+300]`, `[null]`}, "small": {`[-7]`, `[0]`}, "count": {`[4294967295]`, `[0]`}, "name": {`["12"]`, `[""]`}, "kind": {`["paid"]`, `[""]`},
		"uuid": {`["00000000-0000-0000-0000-000000000011"]`, `["00000000-0000-0000-0000-000000000000"]`}, "cents": {`[-0.05]`, `[0.00]`}, "whole": {`[-0.001]`, `[0.000]`},
		"milli": {`["2026-01-02T03:04:05.001Z"]`, `["1970-01-01T00:00:00Z"]`}, "nano": {`["2026-01-02T03:04:05.000000001Z"]`, `["1970-01-01T00:00:00Z"]`},
		"local": {`["2026-01-02T03:04:05"]`, `["1970-01-01T00:00:00"]`}, "maybe": {`[1]`, `[null]`},
	} {
		values, problems := properties(t, content, name)
		assert.Equal(t, want, values, name)
		assert.Equal(t, []string{"", ""}, problems, name)
	}
	_, problems := properties(t, content, "text")
	assert.Equal(t, []string{"", "text is not valid text in UTF-8"}, problems, "the row stays, without this property")
	_, problems = properties(t, written(t, []row{{Text: []byte{0xff}}, {Text: []byte("a")}}), "text")
	assert.Equal(t, []string{"text is not valid text in UTF-8", ""}, problems, "the next row has no problem")
}

// TestTimesOfEachUnit checks the JSON form of dates and times, of which those outside of the years 0 to 9999, such as infinity, have none.
func TestTimesOfEachUnit(t *testing.T) {
	type row struct {
		Day    int32 `parquet:"day,date"`
		Milli  int64 `parquet:"milli,timestamp(millisecond)"`
		Micro  int64 `parquet:"micro,timestamp(microsecond:local)"`
		Nano   int64 `parquet:"nano,timestamp(nanosecond)"`
		Clock3 int32 `parquet:"clock3,time(millisecond)"`
		Clock6 int64 `parquet:"clock6,time(microsecond)"`
		Clock9 int64 `parquet:"clock9,time(nanosecond:local)"`
	}
	const first, last = -719528, 2932896 // days of the year 0 and of 9999
	content := written(t, []row{
		{20455, 1767323045001, 1767323045000001, 1767323045000000001, 86_399_999, 86_399_999_999, 86_399_999_999_999},
		{first, first * 86_400_000, first * 86_400_000_000, math.MinInt64, 0, 0, 0},
		{first - 1, first*86_400_000 - 1, first*86_400_000_000 - 1, math.MaxInt64, 1, 1, 1},
		{last, (last+1)*86_400_000 - 1, (last+1)*86_400_000_000 - 1, 0, 60_000, 60_000_000, 60_000_000_000},
		{last + 1, (last + 1) * 86_400_000, math.MaxInt64, 0, 0, 0, 0},
	})
	for name, want := range map[string][]string{
		"day":    {`["2026-01-02"]`, `["0000-01-01"]`, `[null]`, `["9999-12-31"]`, `[null]`},
		"milli":  {`["2026-01-02T03:04:05.001Z"]`, `["0000-01-01T00:00:00Z"]`, `[null]`, `["9999-12-31T23:59:59.999Z"]`, `[null]`},
		"micro":  {`["2026-01-02T03:04:05.000001"]`, `["0000-01-01T00:00:00"]`, `[null]`, `["9999-12-31T23:59:59.999999"]`, `[null]`},
		"nano":   {`["2026-01-02T03:04:05.000000001Z"]`, `["1677-09-21T00:12:43.145224192Z"]`, `["2262-04-11T23:47:16.854775807Z"]`, `["1970-01-01T00:00:00Z"]`, `["1970-01-01T00:00:00Z"]`},
		"clock3": {`["23:59:59.999Z"]`, `["00:00:00Z"]`, `["00:00:00.001Z"]`, `["00:01:00Z"]`, `["00:00:00Z"]`},
		"clock6": {`["23:59:59.999999Z"]`, `["00:00:00Z"]`, `["00:00:00.000001Z"]`, `["00:01:00Z"]`, `["00:00:00Z"]`},
		"clock9": {`["23:59:59.999999999"]`, `["00:00:00"]`, `["00:00:00.000000001"]`, `["00:01:00"]`, `["00:00:00"]`},
	} {
		values, problems := properties(t, content, name)
		assert.Equal(t, want, values, name)
		assert.Equal(t, make([]string, 5), problems, name)
	}
}

// TestDecimalsThatAreTooLong checks the limits of decimals, whose digits a file could demand without end.
func TestDecimalsThatAreTooLong(t *testing.T) {
	column := func(scale, size int, value []byte) ([]string, error) {
		var b bytes.Buffer
		w := parquet.NewWriter(&b, parquet.NewSchema("row", parquet.Group{"d": parquet.Decimal(scale, 38, parquet.FixedLenByteArrayType(size))}))
		_, err := w.WriteRows([]parquet.Row{{parquet.FixedLenByteArrayValue(value).Level(0, 0, 0)}})
		require.NoError(t, err)
		require.NoError(t, w.Close())
		return readColumn(b.Bytes(), "d")
	}
	values, err := column(2, 64, append(make([]byte, 62), 1, 0))
	require.NoError(t, err)
	assert.Equal(t, []string{"2.56"}, values)
	values, err = column(0, 65, make([]byte, 65))
	require.NoError(t, err)
	assert.Equal(t, []string{"! 1 d is a decimal of more than 64 bytes"}, values)
	values, err = column(100, 2, []byte{0, 1})
	require.NoError(t, err)
	assert.Len(t, values[0], 102)
	_, err = column(101, 2, []byte{0, 1})
	assert.ErrorContains(t, err, "is unfit: write it as text, or a part of it")
}

// tail is a file of which only the last bytes can be read.
type tail struct {
	end  []byte
	size int64
	asks int64 // the largest part that was requested
}

func (f *tail) ReadAt(p []byte, at int64) (int, error) {
	f.asks = max(f.asks, int64(len(p)))
	if from := at - (f.size - int64(len(f.end))); from >= 0 {
		return copy(p, f.end[from:]), nil
	}
	return 0, io.ErrUnexpectedEOF
}

// TestFootersAreCheckedBeforeTheyAreRead checks that the last eight bytes of a file are enough to refuse it.
func TestFootersAreCheckedBeforeTheyAreRead(t *testing.T) {
	for _, c := range []struct {
		footer uint32
		magic  string
		size   int64
		want   string
	}{
		{100, "PARE", 1 << 30, "the Parquet file is encrypted: export it without encryption"},
		{100, "PAR2", 1 << 30, "the Parquet file is cut off: make or copy it again"},
		{100, "PAR1", 100, "the Parquet file is damaged in its footer: make or copy it again"},
		{64<<20 + 1, "PAR1", 1 << 30, "the footer of the Parquet file is larger than 64 MB: write fewer row groups or columns"},
		{100, "PAR1", 11, "the Parquet file is cut off: make or copy it again"},
	} {
		f := &tail{end: append(binary.LittleEndian.AppendUint32(nil, c.footer), c.magic...), size: c.size}
		_, err := parquetfile.Open(f, c.size)
		assert.EqualError(t, err, c.want)
		assert.LessOrEqual(t, f.asks, int64(8))
	}
	_, err := parquetfile.Open(&tail{size: 1 << 20}, 1<<20)
	assert.ErrorContains(t, err, "the end of the Parquet file cannot be read")
}

// lost is a file whose middle cannot be read.
type lost struct {
	*bytes.Reader
	from, to int64
}

func (f lost) ReadAt(p []byte, at int64) (int, error) {
	if at < f.to && at+int64(len(p)) > f.from {
		return 0, io.ErrUnexpectedEOF
	}
	return f.Reader.ReadAt(p, at)
}

// TestRowsBeforeADamageAreTrue checks that a file which cannot be read to its end has only true rows before the error.
func TestRowsBeforeADamageAreTrue(t *testing.T) {
	type row struct {
		ID string `parquet:"id"`
	}
	var rows []row
	for i := range 3000 {
		rows = append(rows, row{fmt.Sprint("user-", i)})
	}
	content := written(t, rows, parquet.PageBufferSize(500))
	size := int64(len(content))
	for _, from := range []int64{10, size / 4, size / 2} {
		f, err := parquetfile.Open(lost{bytes.NewReader(content), from, size * 2 / 3}, size)
		require.NoError(t, err)
		f.Use([]int{0})
		n := 0
		for ; ; n++ {
			record, err := f.Next()
			if err != nil {
				assert.EqualError(t, err, "the Parquet file is damaged in its rows, or encodes them in a way that cannot be read: copy it again, or make it with the encodings of version 1")
				break
			}
			require.Equal(t, rows[n].ID, record[0])
		}
		assert.Less(t, n, len(rows))
		f.Close()
	}
}

// withFooter returns a file whose footer is changed.
func withFooter(t *testing.T, content []byte, change func(m *format.FileMetaData)) []byte {
	t.Helper()
	file, err := parquet.OpenFile(bytes.NewReader(content), int64(len(content)))
	require.NoError(t, err)
	change(file.Metadata())
	footer, err := thrift.Marshal(new(thrift.CompactProtocol), file.Metadata())
	require.NoError(t, err)
	old := int(binary.LittleEndian.Uint32(content[len(content)-8:]))
	changed := append(append([]byte{}, content[:len(content)-8-old]...), footer...)
	return append(binary.LittleEndian.AppendUint32(changed, uint32(len(footer))), parquetfile.Magic...)
}

// TestColumnsWithAnotherNumberOfValues checks that a file does not end where its footer says unless its columns end there.
func TestColumnsWithAnotherNumberOfValues(t *testing.T) {
	type row struct {
		ID string `parquet:"id"`
	}
	var rows []row
	for i := range 600 {
		rows = append(rows, row{fmt.Sprint("user-", i)})
	}
	content := written(t, rows, parquet.MaxRowsPerRowGroup(300))
	for _, c := range []struct {
		first, second, whole int64
		part                 string // that is damaged; "" if the file is right
	}{
		{300, 300, 600, ""}, {299, 300, 599, "rows"}, {256, 300, 556, "rows"}, {300, 299, 599, "rows"}, {301, 300, 601, "rows"}, {300, 301, 601, "rows"}, {300, 300, 599, "footer"}, {300, -1, 299, "footer"},
	} {
		changed := withFooter(t, content, func(m *format.FileMetaData) {
			m.RowGroups[0].NumRows, m.RowGroups[1].NumRows, m.NumRows = c.first, c.second, c.whole
		})
		values, err := readColumn(changed, "id")
		if c.part == "" {
			require.NoError(t, err)
			assert.Len(t, values, 600)
			continue
		}
		assert.EqualError(t, err, "the Parquet file is damaged in its "+c.part+": make or copy it again", c)
	}
}

// broken is a file that makes the library panic, as contradictions in a file do.
type broken struct {
	*bytes.Reader
	from int64
}

func (f broken) ReadAt(p []byte, at int64) (int, error) {
	if at < f.from {
		panic("index out of range")
	}
	return f.Reader.ReadAt(p, at)
}

// TestPanicsOfTheLibraryAreDamage checks that a file cannot end the program.
func TestPanicsOfTheLibraryAreDamage(t *testing.T) {
	content := written(t, []struct {
		ID string `parquet:"id"`
	}{{"u1"}, {"u2"}})
	size := int64(len(content))
	_, err := parquetfile.Open(broken{bytes.NewReader(content), size - 8}, size)
	assert.EqualError(t, err, "the Parquet file is damaged in its footer: make or copy it again")
}

// TestValuesOfOtherWriters checks types that Go's writer does not choose: integers without a logical type, and decimals of any length.
func TestValuesOfOtherWriters(t *testing.T) {
	for want, c := range map[string]struct {
		node  parquet.Node
		value parquet.Value
	}{
		"-5":    {parquet.Leaf(parquet.Int64Type), parquet.Int64Value(-5)},
		"-6":    {parquet.Leaf(parquet.Int32Type), parquet.Int32Value(-6)},
		"text":  {parquet.Leaf(parquet.ByteArrayType), parquet.ByteArrayValue([]byte("text"))},
		"0.00":  {parquet.Decimal(2, 20, parquet.ByteArrayType), parquet.ByteArrayValue(nil)},
		"-0.01": {parquet.Decimal(2, 20, parquet.ByteArrayType), parquet.ByteArrayValue([]byte{0xff})},
		"2.56":  {parquet.Decimal(2, 20, parquet.ByteArrayType), parquet.ByteArrayValue([]byte{1, 0})},
	} {
		var b bytes.Buffer
		w := parquet.NewWriter(&b, parquet.NewSchema("row", parquet.Group{"c": c.node}))
		_, err := w.WriteRows([]parquet.Row{{c.value.Level(0, 0, 0)}})
		require.NoError(t, err)
		require.NoError(t, w.Close())
		values, err := readColumn(b.Bytes(), "c")
		require.NoError(t, err, want)
		assert.Equal(t, []string{want}, values)
	}
}

// A null is empty in each type of column, and not the zero of the type: 0 would be a user.
func TestNullsAreEmpty(t *testing.T) {
	type row struct {
		Number *int64  `parquet:"number,optional"`
		Short  *int32  `parquet:"short,optional"`
		Text   *string `parquet:"text,optional"`
	}
	number, short, text := int64(7), int32(8), "x"
	content := written(t, []row{{}, {Number: &number, Short: &short, Text: &text}, {}})
	for name, want := range map[string]string{"number": "7", "short": "8", "text": "x"} {
		values, err := readColumn(content, name)
		require.NoError(t, err, name)
		assert.Equal(t, []string{"", want, ""}, values, name)
	}
}
