package audiencesync_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/files/audiencesync"
)

// readValues returns the external ids of rows, and the errors of those that cannot be read.
func readValues(rows *audiencesync.Rows) (values string, err error) {
	for {
		var bad *audiencesync.RowError
		switch err := rows.Next(); {
		case errors.Is(err, io.EOF):
			return values, nil
		case errors.As(err, &bad):
			values += "! " + bad.Error() + "\n"
		case err != nil:
			return values, err
		default:
			values += rows.Value("external_id") + "\n"
		}
	}
}

// TestSeveralFilesAreOneList checks the rows of files with headers and formats of their own, with and without a filter by audience.
func TestSeveralFilesAreOneList(t *testing.T) {
	closed := 0
	input := func(name, text string) audiencesync.Input {
		return audiencesync.Input{Name: name, Open: func() (audiencesync.Source, error) {
			return countedCloser{strings.NewReader(text), &closed}, nil
		}}
	}
	files := []audiencesync.Input{
		input("a.csv", "segment;external_id\nvip; 1\nfree;2\n"), input("b.ndjson", "{\"external_id\":3,\"segment\":\"vip\"}\n{\"external_id\":4}\n{\n"),
		input("c.csv", "external_id,segment,city\n5,vip,x\n6\n7, vip ,y\n"),
	}
	options := audiencesync.Options{Identifiers: []string{"external_id"}}
	rows, err := audiencesync.OpenFiles(files, options)
	require.NoError(t, err)
	values, err := readValues(rows)
	require.NoError(t, err)
	rows.Close()
	assert.Equal(t, 3, closed)
	assert.Equal(t, []string{"1", "2", "3", "4", "5", "7"}, withoutErrors(values))
	assert.Contains(t, values, "! b.ndjson:3: the line is an incomplete JSON object")
	assert.Contains(t, values, "! c.csv:3: the row has 1 column and the header has 3 columns")
	assert.Equal(t, []string{"columns are ignored, only external_id name users: segment, city", "white space around 1 identifier was removed (first: a.csv:2)"}, rows.Warnings())

	options.Only = audiencesync.RowFilter{Column: "segment", Value: "vip"}
	rows, err = audiencesync.OpenFiles(files, options)
	require.NoError(t, err)
	values, err = readValues(rows)
	require.NoError(t, err)
	rows.Close()
	assert.Equal(t, []string{"1", "3", "5", "7"}, withoutErrors(values))

	rows, err = audiencesync.OpenFiles(append(files[:1:1], input("d.csv", "external_id\n1\n")), options)
	require.NoError(t, err)
	_, err = readValues(rows)
	require.EqualError(t, err, `d.csv: the file has no column "segment" with audiences: it has external_id`)
	rows.Close()
}

type countedCloser struct {
	io.Reader
	closed *int
}

func (c countedCloser) Close() error { *c.closed++; return nil }

// withoutErrors returns the lines that are values.
func withoutErrors(values string) (list []string) {
	for line := range strings.Lines(values) {
		if !strings.HasPrefix(line, "!") {
			list = append(list, strings.TrimSpace(line))
		}
	}
	return list
}

// noSource is a file that is neither text nor a table.
type noSource struct{ io.Closer }

// TestFilesThatCannotBeOpened checks that a file which cannot be used ends the rows with its name, whichever it is, and is closed.
func TestFilesThatCannotBeOpened(t *testing.T) {
	closed := 0
	input := func(text string, err error) audiencesync.Input {
		return audiencesync.Input{Name: "x.csv", Open: func() (audiencesync.Source, error) { return countedCloser{strings.NewReader(text), &closed}, err }}
	}
	odd := audiencesync.Input{Name: "odd", Open: func() (audiencesync.Source, error) { return noSource{countedCloser{nil, &closed}}, nil }}
	missing := errors.New("x.csv is missing")
	options := audiencesync.Options{Identifiers: []string{"external_id"}}
	for _, c := range []struct {
		bad    audiencesync.Input
		want   string
		closes int
	}{
		{input("", missing), "x.csv is missing", 0},
		{input("name\n1\n", nil), "x.csv: no column identifies users", 1},
		{odd, "odd: a file of users cannot be read from a audiencesync_test.noSource", 1},
	} {
		closed = 0
		_, err := audiencesync.OpenFiles([]audiencesync.Input{c.bad, input("external_id\n1\n", nil)}, options)
		assert.ErrorContains(t, err, c.want)
		assert.Equal(t, c.closes, closed)
		rows, err := audiencesync.OpenFiles([]audiencesync.Input{input("external_id\n1\n", nil), c.bad, input("external_id\n2\n", nil)}, options)
		require.NoError(t, err)
		values, err := readValues(rows)
		assert.ErrorContains(t, err, c.want)
		assert.Equal(t, []string{"1"}, withoutErrors(values))
		rows.Close()
	}
}

// typedTable is a file whose columns have types.
type typedTable struct {
	usedTable
	properties []int
	problem    string
}

func (t *typedTable) Close() error                { return nil }
func (t *typedTable) UseProperties(columns []int) { t.properties = columns }
func (t *typedTable) Properties() ([]event.Value, string) {
	values := make([]event.Value, len(t.properties))
	for i, at := range t.properties {
		values[i] = event.NewString(t.columns[at].Name)
		if t.columns[at].Name == "gone" {
			values[i] = event.NewBool(true)
		}
	}
	return values, t.problem
}

// TestTypedFiles checks files whose columns have types: which of them are read, and what is said of those that have no JSON form.
func TestTypedFiles(t *testing.T) {
	k := syncer(t, func() error { return nil })
	columns := []audiencesync.Column{{Name: "photo", Type: "bytes", Bytes: true}, {Name: "plan", Type: "int"}, {Name: "external_id", Type: "text"}, {Name: "gone", Type: "bool"}}
	open := func(o audiencesync.Options, tables ...*typedTable) *audiencesync.Rows {
		var files []audiencesync.Input
		for _, table := range tables {
			table.columns, table.rows = columns, [][]string{{"b", "7", "u1", "false"}, {"b", "8", "u2", "true"}}
			files = append(files, audiencesync.Input{Name: "users.parquet", Open: func() (audiencesync.Source, error) { return table, nil }})
		}
		o.Identifiers = k.Audiences.Identifiers
		rows, err := audiencesync.OpenFiles(files, o)
		require.NoError(t, err)
		return rows
	}
	all := audiencesync.Options{Properties: audiencesync.Properties{All: true}, Removed: "gone"}
	one, two := &typedTable{}, &typedTable{problem: "plan is too large"}
	rows := open(all, one, two)
	var failures []audiencesync.Failure
	k.OnFailure = func(f audiencesync.Failure) { failures = append(failures, f) }
	report, err := k.Sync(t.Context(), vip, rows, audiencesync.Mirror, 1)
	require.NoError(t, err)
	assert.Equal(t, [][]int{{1, 2, 3}, {1, 2, 3}}, [][]int{one.properties, two.properties})
	assert.Equal(t, [][]int{{2}, {2}}, [][]int{one.used, two.used})
	assert.Equal(t, []int{4, 2, 0}, []int{report.Rows, report.Unusable, report.Enters}, "users of the first file leave, those of the second cannot be read")
	require.Len(t, failures, 2)
	assert.Equal(t, audiencesync.Failure{Line: 1, File: "users.parquet", Identity: failures[0].Identity, Outcome: "refused", Reason: "plan is too large"}, failures[0])
	assert.Equal(t, 1, strings.Count(strings.Join(report.Warnings, "\n"), "photo"), "of several files, each column is named once")

	none := &typedTable{}
	_, err = k.Sync(t.Context(), vip, open(audiencesync.Options{}, none), audiencesync.Mirror, 1)
	require.NoError(t, err)
	assert.Nil(t, none.properties)
}

// TestHeadersOfSeveralLines checks a header whose names have line breaks: the rows after it have their own lines.
func TestHeadersOfSeveralLines(t *testing.T) {
	rows, err := audiencesync.OpenRows(strings.NewReader("external_id,\"first\nname\",\"a\nb\"\n1,x,y\n2\n"), audiencesync.Options{Identifiers: []string{"external_id"}})
	require.NoError(t, err)
	values, err := readValues(rows)
	require.NoError(t, err)
	assert.Equal(t, "1\n! line 5: the row has 1 column and the header has 3 columns\n", values)
}

// TestFirstLinesThatCannotBeRead checks that a file without a readable first line is refused, unless its rows are objects, each with its own keys.
func TestFirstLinesThatCannotBeRead(t *testing.T) {
	for text, want := range map[string]string{
		"external_id\xff\n1\n": "line 1: the line is not valid UTF-8",
		"external_id\x00\n1\n": "line 1: the line has a NUL byte",
		"sep=;\n\xff\n1\n":     "line 2: the line is not valid UTF-8",
		"sep=;\n":              "the file has no header line",
		"[{}]":                 "the file contains a JSON array",
	} {
		_, err := audiencesync.OpenRows(strings.NewReader(text), audiencesync.Options{Identifiers: []string{"external_id"}})
		var header *audiencesync.HeaderError
		require.ErrorAs(t, err, &header, text)
		assert.Contains(t, header.Reason, want)
	}
	rows, err := audiencesync.OpenRows(strings.NewReader("{\"external_id\":\"\xff\"}\n{\"external_id\":\"2\"}\n"), audiencesync.Options{Identifiers: []string{"external_id"}})
	require.NoError(t, err)
	values, err := readValues(rows)
	require.NoError(t, err)
	assert.Equal(t, []string{"2"}, withoutErrors(values))
	assert.Contains(t, values, "! line 1: the line is not valid UTF-8")
	_, err = audiencesync.OpenRows(iotest.ErrReader(errors.New("broken disk")), audiencesync.Options{Identifiers: []string{"external_id"}})
	assert.ErrorContains(t, err, "broken disk")
}

// TestSpacesInHeaders checks that white space around the names of columns means nothing.
func TestSpacesInHeaders(t *testing.T) {
	rows, err := audiencesync.OpenRows(strings.NewReader(" External_ID , at ,city, city ,,\n1,2026-01-01,x,x,,\n"), audiencesync.Options{Identifiers: []string{"external_id"}})
	require.NoError(t, err)
	values, err := readValues(rows)
	require.NoError(t, err)
	assert.Equal(t, "1\n", values)
	assert.Equal(t, []string{"a column is ignored, only external_id name users: city"}, rows.Warnings())
}
