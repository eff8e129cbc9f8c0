package liquid_test

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/mapping/internal/liquid"
)

//go:embed testdata/blocks.ndjson
var blocks string

// TestBlocks renders templates that combine tags, blocks, white space control, comments and mistakes. An earlier implementation, on
// another parser of blocks, gave the same output.
func TestBlocks(t *testing.T) {
	for line := range strings.Lines(blocks) {
		var c struct{ Template, Output, Fails string }
		require.NoError(t, json.Unmarshal([]byte(line), &c), line)
		template, err := liquid.Compile(c.Template)
		if c.Fails == "compile" {
			assert.Error(t, err, c.Template)
			continue
		}
		require.NoError(t, err, c.Template)
		got, err := template.Render(sample)
		assert.Equal(t, c.Fails == "render", err != nil, "%q: %v", c.Template, err)
		assert.Equal(t, c.Output, got, "%q", c.Template)
	}
}

// TestPathsOfTemplates checks that variables of a template's own are no paths of the event.
func TestPathsOfTemplates(t *testing.T) {
	for text, want := range map[string]string{
		`{{ payload.name }} {% if traits.vip %}x{% endif %}`:  "[[payload name] [traits vip]]",
		`{% assign name = payload.name %}{{ name }}`:          "[[payload name]]",
		`{% capture both %}{{ a }}{% endcapture %}{{ both }}`: "[[a]]",
	} {
		compiled, err := liquid.Compile(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, fmt.Sprint(compiled.Paths()), text)
	}
}

func TestIndirectPathsOfTemplates(t *testing.T) {
	for text, want := range map[string]string{
		`{{ payload.items[0].sku }} {{ payload.items[-1]["a b"] }}`:       "[[payload items 0 sku] [payload items 1 a b]]",
		`{{ payload.items.sku }} {{ payload.items[payload.n].sku }}`:      "[]",
		`{% if payload.items[1].tags[2].c %}x{% endif %}`:                 "[[payload items 1 tags 2 c]]",
		`{% assign payload = payload.items[0] %}{{ payload.items[0].x }}`: "[]",
	} {
		compiled, err := liquid.Compile(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, fmt.Sprint(compiled.IndirectPaths()), text)
	}
}

func TestDefaultsReplaceWhatIsMissing(t *testing.T) {
	for text, want := range map[string]string{
		`{{ none | default: "x" }}`: "x", `{{ none | default: "x", allow_false: true }}`: "x", `{{ no | default: "x" }}`: "x", `{{ no | default: "x", allow_false: true }}`: "false",
		`{{ yes | default: "x" }}`: "true", `{{ empty | default: "x" }}`: "x", `{{ list | default: "x" }}`: "x", `{{ zero | default: "x" }}`: "0",
	} {
		compiled, err := liquid.Compile(text)
		require.NoError(t, err, text)
		got, err := compiled.Render(event.MustParse(`{"no":false,"yes":true,"empty":"","list":[],"zero":0}`))
		require.NoError(t, err, text)
		assert.Equal(t, want, got, text)
	}
}
