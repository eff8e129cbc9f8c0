package yamldoc_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/language/yamldoc"
)

// TestScalarText checks that the original text of a scalar is kept, for consumers that need text.
func TestScalarText(t *testing.T) {
	for _, text := range []string{"0123", "1e5", "1_000", "0x1F", "1.10", "0o17", "true", "True", "~", "-0", "1.0", "5", "+1"} {
		d, err := yamldoc.Parse("f", []byte("a: {b: [x, "+text+"]}\n"))
		require.NoError(t, err, text)
		if own, ok := d.ScalarText("/a/b/1"); assert.True(t, ok || d.Value().Get("a").Get("b").JSON() == `["x","`+text+`"]`, "%s is read as %s", text, d.Value().JSON()) && ok {
			assert.Equal(t, text, own)
		}
	}
	for _, text := range []string{`"0123"`, "null", "", "yes", "on", "2024-01-02", "'5'", ".inf", ".nan"} {
		d, err := yamldoc.Parse("f", []byte("a: "+text+"\n"))
		require.NoError(t, err, text)
		_, ok := d.ScalarText("/a")
		assert.False(t, ok, text)
	}
	d, err := yamldoc.Parse("f", []byte("a: 0x1F\nb: 31\nc: 1.10\n"))
	require.NoError(t, err)
	_, ok := d.NonJSONNumber("/a")
	assert.True(t, ok)
	for _, pointer := range []string{"/b", "/c", "/none"} {
		_, ok = d.NonJSONNumber(pointer)
		assert.False(t, ok, pointer)
	}
}
