package yamldoc_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/language/yamldoc"
)

// TestJSONFilesAreJSON reads texts that are YAML and not JSON. A file whose name ends in .json is held to JSON.
func TestJSONFilesAreJSON(t *testing.T) {
	for text, want := range map[string]string{
		`{"a": 1,}`:                       "1:9: this is not JSON: there is a comma after the last entry",
		"{\"a\": [1,\n  2,\n]}":           "3:1: this is not JSON: there is a comma after the last entry",
		"{\n  // a note\n  \"a\": 1\n}":   "2:3: this is not JSON: it has no comments",
		"# a note\n{\"a\": 1}":            "1:1: this is not JSON: it has no comments",
		`{'a': 1}`:                        "1:2: this is not JSON: texts and keys are written in double quotes",
		`{a: 1}`:                          "1:2: this is not JSON: expected a key in quotes",
		"a: 1\n":                          "1:1: this is not JSON: a word without quotes: texts are written in double quotes, and the only words are true, false and null",
		`{"a": NaN}`:                      "1:7: this is not JSON: a word without quotes: texts are written in double quotes, and the only words are true, false and null",
		`{"ä": 01}`:                       "1:8: this is not JSON: a number must not have a leading zero",
		`{"a": 0x1F}`:                     "1:8: this is not JSON: expected a comma or } after a member",
		`{"a": +1}`:                       "1:7: this is not JSON: a number begins with a digit or a minus sign",
		`{"a": "\q"}`:                     "1:9: this is not JSON: unknown escape in a string",
		"{\"a\": \"x\ty\"}":               "1:9: this is not JSON: unescaped control character 0x9 in a string",
		`{"a": [1, 2}`:                    "1:12: this is not JSON: expected a comma or ] after an item",
		`{"a": 1} {}`:                     "1:10: this is not JSON: unexpected text after the value",
		`{"a": `:                          "1:7: this is not JSON: unexpected end of the text",
		``:                                "1:1: this is not JSON: the file is empty",
		"{\"a\": 1}\n---\n{\"a\": 2}\n":   "2:1: this is not JSON: unexpected text after the value",
		"{\"a\": 1, \"b\": 2, \"a\": 3}":  `1:18: the key "a" is written twice: it is in line 1 already`,
		"\xef\xbb\xbf{\"a\": 1, \"b\":,}": `1:14: this is not JSON: a value is missing before ','`,
	} {
		_, err := yamldoc.Parse("x.json", []byte(text))
		require.Error(t, err, text)
		assert.Equal(t, "x.json:"+want, err.Error(), text)
	}
	for _, name := range []string{"x.json", "X.JSON", "x.yaml", "x"} {
		doc, err := yamldoc.Parse(name, []byte("{\n\t\"a\": [1e400, \"\\ud83d\\ude00\"]}\n"))
		require.NoError(t, err, name)
		assert.Equal(t, 2, doc.Value().Get("a").Len(), name)
	}
	doc, err := yamldoc.Parse("x.yaml", []byte(`{"a": [1,],}`))
	require.NoError(t, err)
	assert.Equal(t, `{"a":[1]}`, doc.Value().JSON())
}

func TestTextsThatAreNotUTF8(t *testing.T) {
	for text, want := range map[string]string{
		"a: 1\nb: \"ä\xe4\"\n": "2:6: the byte 0xe4 is not UTF-8: save the file as UTF-8",
		"{\"a\": \"\xff\"}":    "1:8: the byte 0xff is not UTF-8: save the file as UTF-8",
	} {
		for _, name := range []string{"x.yaml", "x.json"} {
			_, err := yamldoc.Parse(name, []byte(text))
			require.Error(t, err)
			assert.Equal(t, name+":"+want, err.Error())
		}
	}
}
