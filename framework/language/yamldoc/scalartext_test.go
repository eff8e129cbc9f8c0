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

// TestScalarTextOfMergedMembers checks that a merged number keeps its text, unless the object has the key itself.
func TestScalarTextOfMergedMembers(t *testing.T) {
	d, err := yamldoc.Parse("f", []byte("base: &b {key: 0123, own: 0123, deep: {key: 1.10}}\nv: {<<: *b, own: \"7\"}\nw: {<<: [{x: 0o7}, *b]}\n"))
	require.NoError(t, err)
	for pointer, want := range map[string]string{"/v/key": "0123", "/v/deep/key": "1.10", "/w/x": "0o7", "/w/own": "0123"} {
		text, ok := d.ScalarText(pointer)
		assert.True(t, ok, pointer)
		assert.Equal(t, want, text, pointer)
	}
	_, ok := d.ScalarText("/v/own")
	assert.False(t, ok)
}

func TestNumbersThatJSONDoesNotHave(t *testing.T) {
	for text, isNumber := range map[string]bool{".nan": true, ".NaN": true, ".inf": true, "-.Inf": true, `".nan"`: false, "nan": false, "NaN": false, "Infinity": false,
		"true": false, "False": false, "~": false, "null": false, "": false, "5": false, "-1.5e3": false} {
		d, err := yamldoc.Parse("f", []byte("a: "+text+"\n"))
		require.NoError(t, err, text)
		own, ok := d.NonJSONNumber("/a")
		assert.Equal(t, isNumber, ok, text)
		if ok {
			assert.Equal(t, text, own)
			assert.Equal(t, text, d.Value().Get("a").Str())
		}
	}
}
