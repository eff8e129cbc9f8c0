package event

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// batchTexts are batches of all kinds, valid and not.
var batchTexts = []string{
	`{"batch":[{"a":1},{"a":[{"a":2}]},{"a":{"b":"}]"}}],"sentAt":"x"}`, `{"sentAt":"x", "batch" : [ {"a":1} , {"a":2} ] }`, `{"batch":[]}`, `{"batch":[ ]}`, `{}`,
	`{"batch":[{"a":1}],"batch":[{"a":2}]}`, `{"batch":{},"batch":[{"a":2}]}`, `{"batch":[{"a":1}],"batch":[]}`, `{"batch":[{"a":1}],"batch":7}`, `{"b\u0061tch":[{"a":1}]}`,
	`{"x":{"batch":[{"a":1}]},"batch":[{"a":2}]}`, `{"x":"\\","y":"\"","batch":[{"a":"\\"},{"a":"\""}]}`, `{"batch":[{"a":1},7,{"a":2}]}`, `{"batch":[{"a":1}`, `{"batch":[{"a":1},]}`,
	`{"batch":[{"a":1}}`, `{"batch":[{"a":1}]`, `{"batch":[{"a":1}]]}`, `{"batch":[{"a":1]}`, `{"batch":[{"a":1}{"a":2}]}`, `{"batch":[{"a":1},,{"a":2}]}`, `{"batch":[{"a":tru}]}`,
	`[{"batch":[{"a":1}]}]`, `{"x":],"batch":[{"a":1}]}`, `{"x":1 2,"batch":[{"a":1}]}`, `{"x","batch":[{"a":1}]}`, "{\"batch\":[{\"a\":\"\xff\"},{\"a\":\"é\"}],\"x\":\"\xc3\"}", `{"batch":[{"a":1}]} x`,
	"\ufeff" + `{"batch":[{"a":1}]}`, `{"batch":[{"a":[{"a":0},{"a":0}]},{"a":[{"a":0},{"a":0}]},{"b":1},{"b":1}]}`, ``, `{"batch":`, `{"batch":[`, `{"batch`, `{"x":"\`, `7`,
}

// FuzzParseBatch compares ParseBatch with ParseValue.
func FuzzParseBatch(f *testing.F) {
	for _, seed := range batchTexts {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		whole, failed := ParseString(text)
		object, items, err := ParseBatch([]byte(text), "batch")
		if failed != nil && err == nil {
			require.ErrorContains(t, failed, "nested deeper", "%q", text)
			return
		}
		require.Equal(t, failed, err, "%q", text)
		if items != nil {
			require.Equal(t, `[]`, object.Get("batch").JSON(), "%q", text)
			require.Equal(t, string(whole.Get("batch").appendJSON(nil, visitAll)), NewArray(items).JSON(), "%q", text)
			whole, object = whole.Without("batch"), object.Without("batch")
		}
		require.Equal(t, whole.JSON(), object.JSON(), "%q", text)
	})
}

// TestBatchesAreSplit checks that the items of usual batches are parsed by themselves and with outlines, and guesses are mostly right.
func TestBatchesAreSplit(t *testing.T) {
	for name, c := range map[string]struct {
		around, separator, item string
		misguided               int
	}{
		"compact":                    {`{"batch":[%s]}`, `,`, `{"type":"track","messageId":"m%d","properties":{"list":[1,{"x":2}]}}`, 0},
		"members after":              {`{"batch":[%s],"sentAt":"x","context":{"a":[{"b":1}]}}`, `,`, `{"type":"track","messageId":"m%d","properties":{"name":"a product"}}`, 1},
		"spaces, and members before": {"{\"writeKey\": \"x\",\n\"batch\": [\n%s ]\n}\n", ",\n ", `{"type": "track", "messageId": "m%d", "properties": {"a": "}]"}}`, 2},
		"items within items":         {`{"batch":[%s]}`, `,`, `{"id":"a-long-id-%d","products":[{"id":"a-long-id"},{"id":"a-long-id"}]}`, maxMisguided},
	} {
		t.Run(name, func(t *testing.T) {
			list := make([]string, 2000)
			for i := range list {
				list[i] = fmt.Sprintf(c.item, i)
			}
			text := fmt.Sprintf(c.around, strings.Join(list, c.separator))
			require.Greater(t, len(text), maxShort)
			s := itemSplitter{text: text, separator: ","}
			items, end := s.parseItems(strings.Index(text, "[") + 1)
			require.Len(t, items, len(list))
			assert.Equal(t, byte(']'), text[end])
			assert.LessOrEqual(t, s.misguided, c.misguided)
			_, again, err := ParseBatch([]byte(text), "batch")
			require.NoError(t, err)
			require.Len(t, again, len(list))
			for i, item := range again {
				assert.Equal(t, list[i], item.Raw())
			}
			assert.NotNil(t, again[1999].doc().outline)
		})
	}
}

// TestUnusualBatchesAreNotSplit checks that items that are short or no objects share a document, and that a few long ones do not hide them.
func TestUnusualBatchesAreNotSplit(t *testing.T) {
	for _, item := range []string{`{}`, `7`, `{"a":1}`, `null`} {
		text := `{"batch":[` + strings.Repeat(item+",", 1000) + item + `]}`
		object, items, err := ParseBatch([]byte(text), "batch")
		require.NoError(t, err)
		assert.Nil(t, items, item)
		assert.Equal(t, 1001, object.Get("batch").Len())
	}
}
