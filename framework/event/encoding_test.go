package event_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
)

func TestByteOrderMarks(t *testing.T) {
	const text = `{"a":1}`
	for name, c := range map[string]struct{ text, encoding string }{
		"none":              {text, ""},
		"UTF-8":             {"\xef\xbb\xbf" + text, ""},
		"UTF-16 LE":         {"\xff\xfe{\x00\"\x00", "UTF-16"},
		"UTF-16 BE":         {"\xfe\xff\x00{\x00\"", "UTF-16"},
		"UTF-32 LE":         {"\xff\xfe\x00\x00{\x00\x00\x00", "UTF-32"},
		"UTF-32 BE":         {"\x00\x00\xfe\xff\x00\x00\x00{", "UTF-32"},
		"UTF-16 LE, no BOM": {"{\x00\"\x00", "UTF-16"},
		"UTF-16 BE, no BOM": {"\x00{\x00\"", "UTF-16"},
	} {
		got, err := event.WithoutBOM([]byte(c.text))
		read, readErr := io.ReadAll(event.ReaderWithoutBOM(iotest.OneByteReader(strings.NewReader(c.text))))
		value, parseErr := event.ParseValue([]byte(c.text))
		if c.encoding == "" {
			require.NoError(t, errors.Join(err, readErr, parseErr), name)
			assert.Equal(t, text, string(got), name)
			assert.Equal(t, text, string(read), name)
			assert.Equal(t, text, value.JSON(), name)
			continue
		}
		var wrong *event.EncodingError
		for _, err := range []error{err, readErr} {
			if assert.ErrorAs(t, err, &wrong, name) {
				assert.Contains(t, wrong.Encoding, c.encoding, name)
			}
		}
		assert.ErrorContains(t, parseErr, c.encoding, name)
		assert.ErrorContains(t, parseErr, "save it as UTF-8", name)
	}
	for _, text := range []string{"", "1", "\xef", "\xef\xbb", "\xef\xbb\xbf", "é"} {
		read, err := io.ReadAll(event.ReaderWithoutBOM(strings.NewReader(text)))
		assert.NoError(t, err)
		assert.Equal(t, strings.TrimPrefix(text, "\xef\xbb\xbf"), string(read))
	}
	for _, bad := range []string{"\xef\xbb\xbf", "\xef\xbb\xbf\xef\xbb\xbf1", "\x00", "é"} {
		_, err := event.ParseString(bad)
		assert.Error(t, err, "%q", bad)
	}
}
