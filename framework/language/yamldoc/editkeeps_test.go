package yamldoc_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/yamldoc"
)

// TestEditChangesOnlyTheLinesOfTheChange checks the exact text after an edit: what did not change keeps its comments and its style.
func TestEditChangesOnlyTheLinesOfTheChange(t *testing.T) {
	for _, c := range []struct{ name, text, to, want string }{
		{"an item between items", "l:\n  - a # 1\n  - b # 2\n", `{"l":["a","x","b"]}`, "l:\n  - a # 1\n  - x\n  - b # 2\n"},
		{"an item at the beginning", "l:\n  - a # 1\n  - b # 2\n", `{"l":["x","a","b"]}`, "l:\n  - x\n  - a # 1\n  - b # 2\n"},
		{"items at the end", "l:\n  - a # 1\n  - b # 2\n", `{"l":["a","b","x","y"]}`, "l:\n  - a # 1\n  - b # 2\n  - x\n  - y\n"},
		{"an item removed between items", "l:\n  - a # 1\n  - b # 2\n  - c # 3\n", `{"l":["a","c"]}`, "l:\n  - a # 1\n  - c # 3\n"},
		{"an item changed and one added after it", "l:\n  - a # 1\n  - b # 2\n  - c # 3\n", `{"l":["a","y","z","c"]}`, "l:\n  - a # 1\n  - y\n  - z\n  - c # 3\n"},
		{"all items changed and one added", "l:\n  - a # 1\nk: 1 # k\n", `{"l":["y","z"],"k":1}`, "l:\n  - y\n  - z\nk: 1 # k\n"},
		{"the last of equal items removed", "l:\n  - a # 1\n  - a # 2\n  - a # 3\n", `{"l":["a","a"]}`, "l:\n  - a # 1\n  - a # 2\n"},
		{"an equal item added", "l:\n  - a # 1\n  - a # 2\n", `{"l":["a","a","a"]}`, "l:\n  - a # 1\n  - a # 2\n  - a\n"},
		{"all items removed", "l:\n  - a # 1\nk: 1 # k\n", `{"l":[],"k":1}`, "l: []\nk: 1 # k\n"},
		{"a list at the indent of its key", "l:\n- a # 1\n- b # 2\nk: 1 # k\n", `{"l":["a","b","c"],"k":2}`, "l:\n- a # 1\n- b # 2\n- c\nk: 2 # k\n"},
		{"a key that begins with a dash after such a list", "l:\n- a # 1\n-k: 1 # k\n", `{"l":["a","b"],"-k":1}`, "l:\n- a # 1\n- b\n-k: 1 # k\n"},
		{"a list at the root", "- 1 # one\n- 2 # two\n", `[1,3]`, "- 1 # one\n- 3\n"},
		{"an item whose value begins on the next line", "l:\n  -\n    a: 1 # one\n    b: 2\n  # next\n  - a: 3 # three\n", `{"l":[{"a":1,"b":5},{"a":3}]}`, "l:\n  -\n    a: 1 # one\n    b: 5\n  # next\n  - a: 3 # three\n"},
		{"an item that ends with a colon", "- k:\n    - 1 # one\n- m: 2 # two\n", `[{"k":[1,3]},{"m":2}]`, "- k:\n    - 1 # one\n    - 3\n- m: 2 # two\n"},
		{"a list in an item before a list in a list", "- k:\n  - 1 # one\n- - 2 # two\n", `[{"k":[1,3]},[2]]`, "- k:\n  - 1 # one\n  - 3\n- - 2 # two\n"},
		{"a key after a list, before a list in a list", "- k:\n  - 1 # one\n- - 2 # two\n", `[{"k":[1],"m":3},[2]]`, "- k:\n  - 1 # one\n  m: 3\n- - 2 # two\n"},
		{"a list in a list", "l:\n  - - 1 # one\n    - 2\n  - - 3 # three\n", `{"l":[[1,5],[3]]}`, "l:\n  - - 1 # one\n    - 5\n  - - 3 # three\n"},
		{"the key on the line of the dash removed", "l:\n  - a: 1\n    b: 2\n  - c # c\n", `{"l":[{"b":2},"c"]}`, "l:\n  - {b: 2}\n  - c # c\n"},
		{"the key after the line of the dash removed", "l:\n  - a: 1 # one\n    b: 2\n", `{"l":[{"a":1}]}`, "l:\n  - a: 1 # one\n"},
		{"a list in flow style", "a: 1 # one\nd: [1, 2]\n", `{"a":1,"d":[1,3]}`, "a: 1 # one\nd: [1, 3]\n"},
		{"a list in flow style on several lines stays", "a: [\n  1, # one\n  2\n  ]\nb: 1 # b\n", `{"a":[1,2],"b":2}`, "a: [\n  1, # one\n  2\n  ]\nb: 2 # b\n"},
		{"a text on several lines", "a: |\n  x\n  y\n# c\nb: 1\n", `{"a":"x\nz\n","b":1}`, "a: \"x\\nz\\n\"\n# c\nb: 1\n"},
		{"a text on several lines stays", "a: >\n  x\n  y\n\n# c\nb: 1 # one\n", `{"a":"x y\n","b":2}`, "a: >\n  x\n  y\n\n# c\nb: 2 # one\n"},
		{"a quoted text on several lines", "a: \"x\n  y\" # c\nb: 1 # b\n", `{"a":"z","b":1}`, "a: z\nb: 1 # b\n"},
		{"a plain text on several lines", "a: x\n  y\nb: 1 # b\n", `{"a":"z","b":1}`, "a: z\nb: 1 # b\n"},
		{"quotes inside quotes", "a: 'it''s' # q\nb: \"x\\\"y\" # r\n", `{"a":"its","b":"z"}`, "a: its # q\nb: z # r\n"},
		{"a # inside quotes", "a: \"x # y\" # q\nb: 'p # q' # r\n", `{"a":"its","b":"z"}`, "a: its # q\nb: z # r\n"},
		{"a # that begins no comment", "a: 1 #not\nb: x#y # z\n", `{"a":2,"b":"w"}`, "a: 2 #not\nb: w # z\n"},
		{"a new key", "a: 1 # one\n# two\nb: 2\n", `{"a":1,"b":2,"c":3}`, "a: 1 # one\n# two\nb: 2\nc: 3\n"},
		{"new keys below the root", "a:\n  x: 1 # x\n  l:\n    - 1\n    # tail of l\n  # tail of a\nb: 2\n", `{"a":{"x":1,"l":[1,2],"z":3,"y":{"k":"v"}},"b":2}`,
			"a:\n  x: 1 # x\n  l:\n    - 1\n    - 2\n    # tail of l\n  z: 3\n  \"y\": {k: v}\n  # tail of a\nb: 2\n"},
		{"a new key after a gap", "a: \n  b: 1 # one\n\n  # about c\n  c: 2\nd: 3\n", `{"a":{"b":1,"c":2,"e":4},"d":3}`, "a: \n  b: 1 # one\n\n  # about c\n  c: 2\n  e: 4\nd: 3\n"},
		{"the first key removed", "a: 1\nb: 2 # two\n", `{"b":2}`, "b: 2 # two\n"},
		{"null", "a: 1\nb: 2 # two\n", `{"a":null,"b":2}`, "a: null\nb: 2 # two\n"},
		{"an empty object", "a: 1\nb: 2 # two\n", `{"a":{},"b":2}`, "a: {}\nb: 2 # two\n"},
		{"an object for a number", "a: 1\nb: 2 # two\n", `{"a":{"c":{"d":1,"e":2}},"b":2}`, "a:\n  c:\n    d: 1\n    e: 2\nb: 2 # two\n"},
		{"a number for a list", "a:\n  - 1\nb: 2 # two\n", `{"a":5,"b":2}`, "a: 5\nb: 2 # two\n"},
		{"keys without a value", "a: ~ # none\nb:\nc: 3 # c\n", `{"a":1,"b":2,"c":3}`, "a: 1 # none\nb: 2\nc: 3 # c\n"},
		{"a tagged value", "a: !!str 5\nb: 1 # b\n", `{"a":"6","b":1}`, "a: \"6\"\nb: 1 # b\n"},
		{"a value beside an alias", "a: &m {x: 1} # m\nb: *m\nc: 1 # c\n", `{"a":{"x":1},"b":{"x":1},"c":2}`, "a: &m {x: 1} # m\nb: *m\nc: 2 # c\n"},
		{"a value beside a merge key", "a: &m {x: 1} # m\nb:\n  <<: *m\n  k: 2\nc: 1 # c\n", `{"a":{"x":1},"b":{"k":3,"x":1},"c":1}`, "a: &m {x: 1} # m\nb:\n  k: 3\n  x: 1\nc: 1 # c\n"},
		{"characters of several bytes", "é: ü # one\nkey: \"ö\" # two\n", `{"é":"ä","key":2}`, "é: ä # one\nkey: 2 # two\n"},
		{"a quoted key", "\"a b\": 1 # one\n", `{"a b":2}`, "\"a b\": 2 # one\n"},
		{"lines that end with a carriage return", "a: 1\r\nb: 2 # two\r\n", `{"a":3,"b":2}`, "a: 3\r\nb: 2 # two\r\n"},
		{"mixed line ends", "# top\r\na: 1\r\nb: 2 # two\nc: 3", `{"a":1,"b":5,"c":3,"d":4}`, "# top\r\na: 1\r\nb: 5 # two\r\nc: 3\r\nd: 4\r\n"},
		{"a deeper indent", "a:\n    deep:\n        deeper: 1 # d\n", `{"a":{"deep":{"deeper":2,"new":[{"x":1,"z":[1]}]}}}`, "a:\n    deep:\n        deeper: 2 # d\n        new:\n          - x: 1\n            z: [1]\n"},
		{"marks of a document", "---\na: 1 # one\n...\n", `{"a":2}`, "---\na: 2 # one\n...\n"},
		{"blank lines at the end", "a: x\n\n\n", `{"a":"y"}`, "a: y\n"},
		{"a text of comments", "# nothing\n\n# so far", `{"a":1}`, "# nothing\n\n# so far\na: 1\n"},
		{"an empty text", "", `{"a":1}`, "a: 1\n"},
		{"another order", "# top\na: 1\nb: 2 # two\n", `{"b":2,"a":1}`, "# top\nb: 2\na: 1\n"},
		{"a list for an object", "a: 1 # one\n", `[1]`, "[1]\n"},
		{"an empty object for an object", "a: 1 # one\n", `{}`, "{}\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := yamldoc.Edit("f", []byte(c.text), event.MustParse(c.to))
			require.NoError(t, err)
			assert.Equal(t, c.want, string(out))
			doc, err := yamldoc.Parse("f", out)
			require.NoError(t, err)
			assert.Equal(t, c.to, doc.Value().JSON())
			if strings.Contains(c.text, "\n") && !strings.Contains(c.text, "\r") {
				out, err := yamldoc.Edit("f", []byte(strings.ReplaceAll(c.text, "\n", "\r\n")), event.MustParse(c.to))
				require.NoError(t, err)
				assert.Equal(t, strings.ReplaceAll(c.want, "\n", "\r\n"), string(out), "with the line ends of Windows")
			}
		})
	}
}

// TestEditOfLinesThatEndWithACarriageReturn checks that a carriage return ends a line, as for the parser, also one that is not followed by a line feed.
func TestEditOfLinesThatEndWithACarriageReturn(t *testing.T) {
	for text, want := range map[string]string{
		"\r{\"a\": 1}":                      "\na: 2\n",
		"# kept\ra: 1 # kept\rb: 3\r":       "# kept\na: 2 # kept\nb: 3\n",
		"# kept\rb: 3\n\ra: 1 # kept\nc: 4": "# kept\nb: 3\n\na: 2 # kept\nc: 4\n",
		"b: 3\r\n\ra: 1\r\nc: 4\r\n":        "b: 3\r\n\r\na: 2\r\nc: 4\r\n",
		"a: 1\nb: \"x\ry\"\n":               "a: 2\nb: \"x\ny\"\n",
	} {
		doc, err := yamldoc.Parse("f", []byte(text))
		require.NoError(t, err, "%q", text)
		to := event.MustParse(strings.Replace(doc.Value().JSON(), `"a":1`, `"a":2`, 1))
		out, err := yamldoc.Edit("f", []byte(text), to)
		require.NoError(t, err, "%q", text)
		assert.Equal(t, want, string(out), "%q", text)
	}
}

// TestEditOfJSONStaysJSON checks that the text of a file whose name ends in .json is JSON afterwards.
func TestEditOfJSONStaysJSON(t *testing.T) {
	out, err := yamldoc.Edit("f.json", []byte("{\"a\": 1,\n \"b\": \"x\"}\n"), event.MustParse(`{"a":1,"b":"y","c":[2]}`))
	require.NoError(t, err)
	assert.Equal(t, `{"a":1,"b":"y","c":[2]}`+"\n", string(out))
	text := "{ \"a\" : 1 }"
	out, err = yamldoc.Edit("f.json", []byte(text), event.MustParse(`{"a":1}`))
	require.NoError(t, err)
	assert.Equal(t, text, string(out), "a text with the right value stays as it is")
}

func TestEditRefusesTextsThatCannotBeRead(t *testing.T) {
	for _, text := range []string{"a: [", "a: 1\na: 2\n", "\xff\xfea\x00", strings.Repeat("#", yamldoc.MaxBytes+1)} {
		_, err := yamldoc.Edit("f", []byte(text), event.MustParse(`{"a":3}`))
		assert.Error(t, err)
	}
}
