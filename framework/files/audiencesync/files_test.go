package audiencesync_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

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
