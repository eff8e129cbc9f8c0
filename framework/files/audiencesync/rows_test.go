package audiencesync_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/files/audiencesync"
	"github.com/landfall-dev/landfall/internal/textfile"
)

var twoIdentifiers = []string{"external_id", "device_id"}

// readRows returns a file's ids, and the errors of the rows that cannot be read.
func readRows(t *testing.T, file string, o audiencesync.Options) (ids, bad, warnings []string, err error) {
	if o.Identifiers == nil {
		o.Identifiers = twoIdentifiers
	}
	rows, err := audiencesync.OpenRows(strings.NewReader(file), o)
	for err == nil {
		err = rows.Next()
		var row *audiencesync.RowError
		switch {
		case errors.As(err, &row):
			bad = append(bad, row.Error())
			err = nil
		case err == nil:
			ids = append(ids, rows.Value("external_id"))
		}
		require.LessOrEqual(t, len(bad)+len(ids), len(file)+1, "reading must end")
	}
	if errors.Is(err, io.EOF) {
		return ids, bad, rows.Warnings(), nil
	}
	return ids, bad, nil, err
}

func TestUnreadableRows(t *testing.T) {
	cut := zippedFile(t, "external_id\nu1\nu2\n")
	for _, c := range []struct {
		name, file string
		ids        string
		bad        []string // how each begins or what is in it
	}{
		{"a quote inside a field", "external_id,size\nu1,5\nu2,5\" pipe\nu3,6\n", "u1 u3", []string{`line 3: column 2 has a quote (") inside`}},
		{"a quote that is not closed", "external_id,size\nu1,\"5 pipe\nu2,6\nu3,7\n", "u2 u3", []string{"line 2: the quote (\") that column 2 begins with is not closed: the file ends"}},
		{"a quote that the next one seems to close", "external_id,size\nu1,\"5\nu2,6\nu3,\"7\"\n", "u2 u3", []string{"line 2: the quote (\") that column 2 begins with is not closed before the next one in line 4"}},
		{"a quote that takes in whole rows", "external_id,size\nu1,\"5\nu2,6\nu3,7\"\nu4,8\n", "u2 u4", []string{"line 2: the quote (\") that column 2 begins with closes only in line 4", "line 4: column 2 has a quote"}},
		{"an identifier with a line break", "external_id\n\"u1\nu2\nu3\"\nu4\n", "u2 u4", []string{"line 2: the quote (\") that column 1 begins with closes only in line 4", "line 4: column 1 has a quote"}},
		{"text after a closing quote", "external_id,size\n\"u1\" x,5\nu2,6\n", "u2", []string{"line 2: column 1 has text after its closing quote"}},
		{"line breaks in quotes", "external_id,note\r\nu1,\"a\r\n\r\nb, \"\"c\"\"\"\r\nu2,d\r\n", "u1 u2", nil},
		{"a quote that opens on a later line of a row", "external_id,a,b\nu1,\"x\ny\",\"z\nu2,1,2\n", "u2", []string{"line 3: the quote (\") that column 3 begins with is not closed", "line 3: column 1 has a quote"}},
		{"more columns", "external_id,size\nu1,5,x\nu2,6\n", "u2", []string{"line 2: the row has 3 columns and the header has 2 columns"}},
		{"fewer columns", "external_id,size\nu1\nu2,6\n", "u2", []string{"line 2: the row has 1 column and the header has 2 columns"}},
		{"invalid UTF-8", "external_id\nM\xfcller\nu2\n", "u2", []string{"line 2: the line is not valid UTF-8: save the file as UTF-8, or name its encoding, such as --encoding windows-1252"}},
		{"a lost character", "external_id\nM\uFFFDller\nu2\n", "u2", []string{"line 2: external_id has the character U+FFFD"}},
		{"a NUL byte", "external_id\nu\x001\nu2\n", "u2", []string{"line 2: the line has a NUL byte"}},
		{"a control character", "external_id\nu\x071\nu2\n", "u2", []string{"line 2: external_id has a control character"}},
		{"a line that is too long", "external_id\n" + strings.Repeat("x", textfile.MaxLine+1) + "\nu2\n", "u2", []string{"line 2: the line is longer than 1 MB"}},
		{"CR", "external_id\ru1\ru2", "u1 u2", nil},
		{"CRLF and blank lines", "\r\nexternal_id\r\n\r\nu1\r\n  \r\nu2", "u1 u2", nil},
		{"semicolons", "external_id;size\nu1;5,5\nu2;\"6;6\"\n", "u1 u2", nil},
		{"tabs", "size\texternal_id\n5\tu1\n", "u1", nil},
		{"bars", "size|external_id\n5|u1\n", "u1", nil},
		{"a declared delimiter", "sep=;\nexternal_id;size\nu1;5\n", "u1", nil},
		{"quoted names", "\"external_id\";\"size\"\n\"u1\";\"5\"\n", "u1", nil},
		{"delimiters at the end", "external_id,size,,\nu1,5,,\nu2,6,,,,\nu3,7\n", "u1 u2 u3", nil},
		{"a header alone", "external_id\n", "", nil},
		{"a total", "external_id,size\nu1,5\nTotal,5\n", "u1", []string{`line 3: "Total" looks like a part of a report, and not like a user: remove the line, or move it up if it is a user`}},
		{"a total below another column", "size,external_id\n5,u1\nGrand total:,1\n\n", "u1", []string{`line 3: "Grand total:" looks like`}},
		{"a user called total", "external_id\ntotal\nu1\n", "total u1", nil},
		{"a count of rows and a ruler", "external_id\n-----------\nu1\n(1 row)\nu2\n12 rows selected.\n", "u1 u2", []string{`line 2: "-----------" looks like`, `line 4: "(1 row)" looks like`, `line 6: "12 rows selected."`}},
		{"users that are nearly a footer", "external_id\n-\n12 rows of seats\nTotally\nsum1\n7\ntotal@example.com", "- 12 rows of seats Totally sum1 7 total@example.com", nil},
		{"a total before a line that cannot be read", "external_id\nTotal\nM\xfcller\n", "Total", []string{"line 3: the line is not valid UTF-8"}},
		{"NDJSON cut off", "{\"external_id\":\"u1\"}\n{\"external_id\":\"u2", "u1", []string{"line 2: the line is an incomplete JSON object"}},
		{"NDJSON with a line that is none", "{\"external_id\":\"u1\"}\nnonsense\n[]\n{\"external_id\":\"u4\"}\n", "u1 u4", []string{"line 2: the line is not valid JSON at byte", "line 3: the line is an array"}},
		{"NDJSON with invalid UTF-8 at once", "{\"external_id\":\"M\xfcller\"}\n{\"external_id\":\"u2\"}\n", "u2", []string{"line 1: the line is not valid UTF-8"}},
		{"NDJSON with other members", "{\"external_id\":\"u1\"}\n{\"externalId\":\"u2\"}\n", "u1", []string{`line 2: no member of the object identifies users: it has externalId; it needs one of external_id, device_id (did you mean "external_id"?)`}},
		{"NDJSON with an identifier that is not text", "{\"external_id\":{\"a\":1}}\n{\"external_id\":12345678901234567890}\n", "12345678901234567890", []string{"line 1: external_id should be a string or a number"}},
		{"NDJSON with two objects in its last line", "{\"external_id\":\"u1\"} {\"external_id\":\"u2\"}", "", []string{"line 1: the line is not valid JSON at byte 22: unexpected text after the value"}},
		{"NDJSON with nothing in an object", "{}\n", "", []string{"line 1: no member of the object identifies users: it has none;"}},
		{"joined files", "external_id,size\nu1,5\n\uFEFFEXTERNAL_ID,size\nu2,6\n", "u1 u2", []string{"line 3: the line repeats the name of the column EXTERNAL_ID, so it is a header and not a user: remove it"}},
		{"joined files with other columns beside", "external_id,size\nu1,5\n external_id,color\nu2,red\n", "u1 u2", []string{"line 3: the line repeats the name of the column external_id,"}},
		{"a user with the name of another column", "external_id,size\nsize,5\n", "size", nil},
		{"joined files without a header in the second", "external_id\nu1\n\uFEFFu2\n", "u1 u2", nil},
		{"joined files without a line break", "external_id\nu1\uFEFFexternal_id\nu2\n", "u2", []string{"line 2: external_id has a byte order mark inside: two files may have been joined"}},
		{"two byte order marks", "\uFEFF\uFEFFexternal_id\nu1\n", "u1", nil},
		{"invisible characters around", "external_id\u200B\n\u200Eu1\u200B\n\u2060u2\u00AD\n", "u1 u2", nil},
		{"invisible characters inside", "external_id\n\U0001F469\u200D\U0001F52C\n", "\U0001F469\u200D\U0001F52C", nil},
		{"separators of lines and paragraphs", "external_id\nu1\u2028u2\nu3\u2029u4\nu5\n", "u5", []string{"line 2: external_id has a control character or a line break", "line 3: external_id has"}},
		{"formulas", "external_id,size\n\"=\"\"007\"\"\",1\n=\"008\",2\n=009,3\n=,4\n", "=009 =", []string{`line 2: external_id is a formula of a spreadsheet, such as ="007"`, `line 3: column 1 is a formula of a spreadsheet`}},
		{"gzip", string(cut), "u1 u2", nil},
		{"gzip cut off", string(cut[:len(cut)-5]), "u1 u2", []string{"line 4: the gzip data end too early: the file has been cut off"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ids, bad, _, err := readRows(t, c.file, audiencesync.Options{})
			require.NoError(t, err)
			assert.Equal(t, c.ids, strings.Join(ids, " "))
			require.Len(t, bad, len(c.bad), "%q", bad)
			for i, want := range c.bad {
				assert.Contains(t, bad[i], want)
			}
		})
	}
}

func zippedFile(t *testing.T, text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func TestFilesWithoutUsersAreRefused(t *testing.T) {
	for _, c := range []struct{ name, file, want string }{
		{"empty", "", "the file is empty: it should start with a header line such as external_id,device_id"},
		{"blank", " \r\n\r\n", "the file is empty"},
		{"an address", "email\na@example.com\n", "no column identifies users: the file has email; it needs one of external_id, device_id, or use --column external_id=NAME"},
		{"nearly the name", "user,externalId\n1,2\n", `(did you mean "external_id"?)`},
		{"no header", "a@example.com\nb@example.com\n", "the file has an e-mail address;"},
		{"twice", "external_id,size,EXTERNAL_ID\n1,2,3\n", "the column external_id occurs twice, as columns 1 and 3: remove one of them"},
		{"an array", "[{\"external_id\":\"u1\"}]", "the file contains a JSON array: it should be NDJSON with one object per line, or CSV"},
		{"a quote in the header", "external\"id,b\n", "line 1: column 1 has a quote"},
		{"a delimiter alone", "sep=;\n", "the file has no header line"},
	} {
		_, _, _, err := readRows(t, c.file, audiencesync.Options{})
		var header *audiencesync.HeaderError
		if assert.ErrorAs(t, err, &header, c.name) {
			assert.Contains(t, strings.Replace(err.Error(), "EXTERNAL_ID", "external_id", 1), c.want, c.name)
		}
	}
	_, _, _, err := readRows(t, "device_id,customer\nd1,c1\n", audiencesync.Options{Columns: map[string]string{"external_id": "customer_no"}})
	assert.EqualError(t, err, `the file has no column "customer_no" for external_id (did you mean "customer"?): it has device_id, customer`)
}

func TestIDsWithoutAHeader(t *testing.T) {
	o := audiencesync.Options{AllowIDs: true}
	ids, bad, _, err := readRows(t, "u1\n\nu2\n", o)
	require.NoError(t, err)
	assert.Empty(t, bad)
	assert.Equal(t, []string{"u1", "u2"}, ids)
	for _, header := range []string{"email", "user_id", "userId", "User ID", "externalid", "email,name", "email;name"} {
		_, _, _, err := readRows(t, header+"\nu1\n", o)
		assert.ErrorContains(t, err, "no column identifies users", header)
	}
}

func TestRowsWarn(t *testing.T) {
	_, bad, warnings, err := readRows(t, "external_id,email,First name\n u1 ,a,b\n1.23457E+15,c,d\n#N/A,,\n\"u2\",,\n", audiencesync.Options{})
	require.NoError(t, err)
	assert.Empty(t, bad)
	assert.Equal(t, []string{
		"columns are ignored, only external_id, device_id name users: email, First name",
		"white space around 1 identifier was removed (first: line 2)",
		"2 identifiers look damaged by a spreadsheet, such as 1.23457E+15 or #N/A (first: line 3): format the column as text and export it again",
	}, warnings)
	ids, bad, warnings, err := readRows(t, "external_id\nNULL\nnone\n\\N\n-\n(null)\nNancy\nnullable\nN\n", audiencesync.Options{})
	require.NoError(t, err)
	assert.Empty(t, bad)
	assert.Len(t, ids, 8)
	assert.Equal(t, []string{"5 identifiers look like a missing value, such as NULL or N/A (first: line 2): export an empty text instead, unless users have this identifier"}, warnings)
	_, _, warnings, err = readRows(t, "{\"external_id\":\"u1\",\"email\":\"a\"}\n{\"external_id\":\"u2\",\"age\":1}\n", audiencesync.Options{})
	require.NoError(t, err)
	assert.Equal(t, []string{"columns are ignored, only external_id, device_id name users: email, age"}, warnings)
}

// TestJoinedFilesWithOtherColumns checks that the rows below a header with another order of columns are not read.
func TestJoinedFilesWithOtherColumns(t *testing.T) {
	ids, _, _, err := readRows(t, "size,external_id\n5,u1\nexternal_id,size\nu2,6\n", audiencesync.Options{})
	var header *audiencesync.HeaderError
	require.ErrorAs(t, err, &header)
	assert.Equal(t, "line 3 is another header, with the columns in another order, so the rows below it cannot be read: give the joined files one by one", header.Reason)
	assert.Equal(t, []string{"u1"}, ids)
}

func TestEncodingsOfRows(t *testing.T) {
	ids, bad, _, err := readRows(t, "external_id\nM\xfcller\n", audiencesync.Options{Encoding: "latin1"})
	require.NoError(t, err)
	assert.Empty(t, bad)
	assert.Equal(t, []string{"Müller"}, ids)
}

// TestUnclosedQuoteAffectsOneRow checks that an unclosed quote affects only its own row, at any position and in files of any
// length.
func TestUnclosedQuoteAffectsOneRow(t *testing.T) {
	const n = 3000
	for _, at := range []int{1, 920, n} {
		var file strings.Builder
		file.WriteString("external_id,note\n")
		for i := 1; i <= n; i++ {
			quote := ""
			if i == at {
				quote = `"`
			}
			fmt.Fprintf(&file, "u%d,%sx\n", i, quote)
		}
		ids, bad, _, err := readRows(t, file.String(), audiencesync.Options{})
		require.NoError(t, err)
		require.Len(t, bad, 1)
		assert.Contains(t, bad[0], fmt.Sprintf("line %d: the quote", at+1))
		assert.Len(t, ids, n-1)
		assert.NotContains(t, ids, fmt.Sprintf("u%d", at))
	}
}

// FuzzCSVRows checks that every valid row is read exactly once and in order, with arbitrary rows in between.
func FuzzCSVRows(f *testing.F) {
	for _, seed := range []string{"x,\"", "\"", "a\"b,c", "\"a,b\"c\"", "\xff", "\x00", "a,b,c", "\"a,\"\"b"} {
		f.Add(seed, uint8(3))
	}
	f.Fuzz(func(t *testing.T, damage string, at uint8) {
		if strings.ContainsAny(damage, "\r\n") || strings.TrimSpace(damage) == "" {
			return
		}
		const n = 10
		damagedAt := int(at) % n
		var file strings.Builder
		file.WriteString("external_id,note\n")
		var want []string
		for i := range n {
			if i == damagedAt {
				file.WriteString(damage + "\n")
			}
			id := fmt.Sprintf("row-%d", i)
			want = append(want, id)
			fmt.Fprintf(&file, "%s,x\n", id)
		}
		ids, bad, _, err := readRows(t, file.String(), audiencesync.Options{})
		require.NoError(t, err)
		var got []string
		for _, id := range ids {
			if strings.HasPrefix(id, "row-") {
				got = append(got, id)
			}
		}
		if !strings.Contains(damage, "row-") {
			assert.Equal(t, want, got)
			assert.LessOrEqual(t, len(ids)+len(bad), n+1)
			assert.GreaterOrEqual(t, len(ids)+len(bad), n+1)
		}
	})
}
