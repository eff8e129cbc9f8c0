package fql

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

func FuzzCompileMatch(f *testing.F) {
	for _, text := range append(mistakes, `type = "track" and (event = "A" or !contains(event, "b"))`, `properties.a["x y"][0] in [1, "a", null]`, `match(lowercase(event), "o* [a-z]?\\*")`) {
		f.Add(text, kilobyte)
	}
	f.Fuzz(func(t *testing.T, text, on string) {
		q, err := Compile(text)
		if err != nil {
			for _, p := range fault.ProblemsOf(err) {
				assert.NotEmpty(t, p.Message)
				assert.Positive(t, p.Line)
			}
			return
		}
		v, err := event.ParseString(on)
		if err != nil {
			v = event.MustParse(kilobyte)
		}
		matched := q.Match(v)
		assert.Equal(t, matched, q.Explain(v).Matched, "%s explains itself wrongly", text)
		assert.NotEmpty(t, q.Words())
		if len(text) > MaxBytes/8 {
			return // spelled out it may be longer than a query can be
		}
		again, err := Compile(q.String())
		require.NoError(t, err, "%q prints as %q, which does not compile", text, q.String())
		assert.Equal(t, q.String(), again.String())
		assert.Equal(t, matched, again.Match(v), "%q and %q differ", text, q.String())
	})
}

var fence = regexp.MustCompile("(?s)```([^\n]*)\n(.*?)```")

// TestReadme runs every example of the language's reference.
func TestReadme(t *testing.T) {
	page, err := os.ReadFile("README.md")
	require.NoError(t, err)
	var v event.Value
	examples := 0
	for _, block := range fence.FindAllStringSubmatch(string(page), -1) {
		switch block[1] {
		case "json event":
			v = event.MustParse(block[2])
		case "fql":
			for line := range strings.Lines(block[2]) {
				text, want, ok := strings.Cut(strings.TrimSpace(line), " => ")
				require.True(t, ok, line)
				q, err := Compile(text)
				require.NoError(t, err, text)
				assert.Equal(t, want, fmt.Sprint(q.Match(v)), text)
				examples++
			}
		case "refused":
			for line := range strings.Lines(block[2]) {
				_, err := Compile(strings.TrimSpace(line))
				assert.Error(t, err, line)
				examples++
			}
		}
	}
	assert.Greater(t, examples, 40)
}

func ExampleCompile() {
	q, err := Compile(`type = "track" and (event = "Order Completed" or match(event, "Checkout *"))`)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(q.Match(event.MustParse(`{"type": "track", "event": "Checkout Started"}`)))
	fmt.Println(q)
	// Output:
	// true
	// type = "track" and (event = "Order Completed" or match(event, "Checkout *"))
}

func ExampleCompile_mistake() {
	_, err := Compile(`type = "track" AND event = "Order Completed"`)
	fmt.Println(err)
	// Output:
	// line 1, column 16: write "and" in lower case
	// type = "track" AND event = "Order Completed"
	//                ^
}

func ExampleQuery_Words() {
	q, _ := Compile(`event = "Audience Entered" or event = "Audience Exited"`)
	fmt.Println(q.Words())
	// Output: the event is “Audience Entered” or “Audience Exited”
}

func ExampleQuery_Explain() {
	q, _ := Compile(`type = "track" and properties.revenue > 20`)
	fmt.Print(q.Explain(event.MustParse(`{"type": "track", "properties": {"revenue": 5}}`)))
	// Output:
	// ✗ all of
	//   ✓ type = "track"  ← type: "track"
	//   ✗ properties.revenue > 20  ← properties.revenue: 5
}
