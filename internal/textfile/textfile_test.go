package textfile_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/internal/textfile"
)

func zipped(t *testing.T, text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func TestOpenDecodes(t *testing.T) {
	for _, c := range []struct{ name, encoding, file, want string }{
		{"plain", "", "id\nü\n", "id\nü\n"},
		{"byte order mark", "", "\xef\xbb\xbfid\n", "id\n"},
		{"invalid bytes are kept", "", "M\xfcller", "M\xfcller"},
		{"latin1", "latin1", "M\xfcller", "Müller"},
		{"a name in other letters", "ISO_8859_1", "M\xfcller", "Müller"},
		{"windows-1252", "windows-1252", "\x80", "€"},
		{"shift-jis", "Shift_JIS", "\x83e\x83X\x83g\xb1", "テストｱ"},
		{"shift-jis under another name", "cp932", "\x93\xfa", "日"},
		{"an incomplete character", "sjis", "u\x93", "u\uFFFD"},
		{"windows-1251", "CP1251", "\xc8\xe2\xe0\xed", "Иван"},
		{"windows-1254", "windows1254", "\xde\xfd", "Şı"},
		{"latin2", "latin2", "\xa3", "Ł"},
		{"gb18030", "GBK", "\xc0\xee", "李"},
		{"big5", "big5", "\xa7\xf5", "李"},
		{"euc-kr", "euc_kr", "\xb1\xe8", "김"},
		{"UTF-16 with a mark", "", "\xff\xfei\x00d\x00\n\x00", "id\n"},
		{"UTF-16 with a mark, big endian", "utf-16", "\xfe\xff\x00i\x00d", "id"},
		{"UTF-16 without a mark", "utf-16le", "i\x00d\x00", "id"},
		{"UTF-16 without a mark, big endian", "utf-16be", "\x00i\x00d", "id"},
		{"gzip", "", string(zipped(t, "\xef\xbb\xbfid\n")), "id\n"},
		{"zstd", "", string(zstandard(t, "\xef\xbb\xbfid\n")), "id\n"},
		{"zstd in two frames", "", string(zstandard(t, "id\n")) + string(zstandard(t, "u1\n")), "id\nu1\n"},
		{"empty", "", "", ""},
		{"a word that begins like a format", "", "BZhan\nPARis\n", "BZhan\nPARis\n"},
	} {
		text, err := textfile.Open(iotest.OneByteReader(strings.NewReader(c.file)), c.encoding)
		require.NoError(t, err, c.name)
		got, err := io.ReadAll(text)
		require.NoError(t, err, c.name)
		assert.Equal(t, c.want, string(got), c.name)
	}
}

func TestOpenRefusesByName(t *testing.T) {
	for _, c := range []struct{ file, encoding, want string }{
		{"PK\x03\x04....", "", "the file is a ZIP archive or a spreadsheet (XLSX, ODS): unpack it, or save the sheet as CSV (UTF-8)"},
		{"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "", "the file is a spreadsheet (XLS): save the sheet as CSV (UTF-8)"},
		{"BZh91AY&SY", "", "the file is compressed with bzip2: pipe it in: bzcat FILE | landfall … -"},
		{string(zipped(t, string(zipped(t, "id\n")))), "", "the file is compressed twice: decompress it once"},
		{"i\x00d\x00", "", "the file is text in UTF-16 without a byte order mark: give its encoding with --encoding utf-16le or utf-16be, or save it as UTF-8"},
		{"\xff\xfe\x00\x00i\x00\x00\x00", "", "the file is text in UTF-32: save it as UTF-8"},
		{"\xff\xfei\x00", "latin1", "the file is text in UTF-16: leave out --encoding latin1"},
		{"\xef\xbb\xbfid", "latin1", "the file is text in UTF-8: leave out --encoding latin1"},
		{"id", "Latin_3", `unknown encoding "Latin_3" (did you mean "latin1"?): the encodings are utf-8, latin1, iso-8859-1, iso-8859-2, iso-8859-15, windows-1250, windows-1251, windows-1252, windows-1253, windows-1254, macintosh, shift-jis, euc-jp, euc-kr, gb18030, big5, utf-16, utf-16le, utf-16be`},
	} {
		_, err := textfile.Open(strings.NewReader(c.file), c.encoding)
		assert.EqualError(t, err, c.want)
		if _, err = io.ReadAll(textfile.NewReader(strings.NewReader(c.file))); c.encoding == "" && !strings.Contains(c.want, "--encoding") {
			assert.EqualError(t, err, c.want)
		}
	}
	for _, name := range append(textfile.Encodings(), "") {
		assert.NoError(t, textfile.CheckEncoding(name), name)
	}
	assert.ErrorContains(t, textfile.CheckEncoding("latin3"), `unknown encoding "latin3"`)
}

// zstandard returns a text compressed with zstd.
func zstandard(t *testing.T, text string) []byte {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	require.NoError(t, err)
	defer w.Close()
	return w.EncodeAll([]byte(text), nil)
}

func TestDamagedFiles(t *testing.T) {
	var text strings.Builder
	for i := range 20_000 { // several blocks
		fmt.Fprintf(&text, "line %d\n", i*i)
	}
	read := func(file []byte) error {
		text, err := textfile.Open(bytes.NewReader(file), "")
		if err == nil {
			_, err = io.ReadAll(text)
		}
		return err
	}
	for format, file := range map[string][]byte{"gzip": zipped(t, text.String()), "zstd": zstandard(t, text.String())} {
		require.NoError(t, read(file), format)
		for _, size := range []int{5, 11, len(file) / 2, len(file) - 1} {
			var truncated *textfile.TruncatedError
			assert.ErrorAs(t, read(file[:size]), &truncated, "%s, %d bytes", format, size)
		}
		damaged := bytes.Clone(file)
		damaged[len(file)-map[string]int{"gzip": 6, "zstd": 2}[format]] ^= 1 // the checksum
		var corrupt *textfile.CorruptError
		assert.ErrorAs(t, read(damaged), &corrupt, format)
	}
}

func TestLinesEndInAnyWay(t *testing.T) {
	long := strings.Repeat("x", textfile.MaxLine+1)
	lines := textfile.NewLines(iotest.HalfReader(strings.NewReader("a\r\n\uFEFF\uFEFFb\rc\n\n" + long + "\n\uFEFFd")))
	var got []textfile.Line
	for {
		line, err := lines.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		got = append(got, line)
	}
	assert.Equal(t, []textfile.Line{
		{Number: 1, Text: "a"}, {Number: 2, Text: "b"}, {Number: 3, Text: "c"}, {Number: 4}, {Number: 5, TooLong: true}, {Number: 6, Text: "d", Unterminated: true},
	}, got)
	lines.Unread(got[1], got[2])
	for _, want := range got[1:3] {
		line, err := lines.Next()
		require.NoError(t, err)
		assert.Equal(t, want, line)
	}
}

func TestIncompleteLineIsNotReturned(t *testing.T) {
	broken := errors.New("broken")
	lines := textfile.NewLines(io.MultiReader(strings.NewReader("a\nu12"), iotest.ErrReader(broken)))
	line, err := lines.Next()
	require.NoError(t, err)
	assert.Equal(t, "a", line.Text)
	_, err = lines.Next()
	assert.ErrorIs(t, err, broken)
}

// TestCommandsWithoutAnEncoding checks that a reader of a command which has no flag for the encoding does not advise it.
func TestCommandsWithoutAnEncoding(t *testing.T) {
	_, err := io.ReadAll(textfile.NewReader(strings.NewReader("i\x00d\x00")))
	require.EqualError(t, err, "the file is text in UTF-16 without a byte order mark: save it as UTF-8")
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "none"))
	_, err = textfile.Unnamed("landfall")
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.Regexp(t, "^no temporary file can be created: .*: there is no directory .*none: set TMPDIR to a directory that can be written$", err.Error())
	_, err = textfile.TemporaryDir("landfall")
	require.ErrorIs(t, err, fs.ErrNotExist)
}
