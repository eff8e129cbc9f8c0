package yamldoc_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
)

func TestParseIgnoresAByteOrderMark(t *testing.T) {
	for _, text := range []string{"a: 1\nb: [2]\n", "{\"a\": 1, \"b\": [2]}", "# first\n---\na: 1\nb: [2]\n"} {
		marked := "\xef\xbb\xbf" + text
		doc, err := yamldoc.Parse("x.yaml", []byte(marked))
		require.NoError(t, err)
		assert.Equal(t, `{"a":1,"b":[2]}`, doc.Value().JSON())
		plain, err := yamldoc.Parse("x.yaml", []byte(text))
		require.NoError(t, err)
		line, column := doc.Position("/b/0")
		wantLine, wantColumn := plain.Position("/b/0")
		assert.Equal(t, []int{wantLine, wantColumn}, []int{line, column})
		edited, err := yamldoc.Edit("x.yaml", []byte(marked), event.MustParse(`{"a":3,"b":[2]}`))
		require.NoError(t, err)
		again, err := yamldoc.Parse("x.yaml", edited)
		require.NoError(t, err)
		assert.Equal(t, `{"a":3,"b":[2]}`, again.Value().JSON())
	}
	_, err := yamldoc.Parse("x.yaml", []byte("\xff\xfea\x00:\x00 \x001\x00"))
	require.Error(t, err)
	assert.True(t, strings.HasPrefix(err.Error(), "x.yaml:1:1: the text is UTF-16: save it as UTF-8"), err.Error())
}
