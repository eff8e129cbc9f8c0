package fql

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestIndexKeys(t *testing.T) {
	for query, want := range map[string]string{
		`event = "A"`:                                "[event [A]]",
		`"A" = event`:                                "[event [A]]",
		`event = "A" or event = "B"`:                 "[event [A B]]",
		`event in ["A", "B"] and type = "track"`:     "[event [A B]] [type [track]]",
		`event = "A" and (x = 1 or type = "track")`:  "[event [A]]",
		`event = "A" or type = "track"`:              "",
		`(event = "A" and x = "1") or event = "B"`:   "[event [A B]]",
		`event != "A"`:                               "",
		`!(event = "A")`:                             "",
		`event in ["A", 1]`:                          "[event [A 1]]",
		`x = 1`:                                      "",
		`lowercase(event) = "a"`:                     "",
		`event = "A" and event = "B"`:                "[event [A]] [event [B]]",
		`properties.audience_key = "k" and f = true`: "[properties.audience_key [k]]",
	} {
		q, err := Compile(query)
		require.NoError(t, err)
		got := ""
		for _, k := range q.IndexKeys() {
			got += fmt.Sprintf(" [%s %v]", k.Path, k.Values)
		}
		assert.Equal(t, want, trimBlank(got), query)
	}
}

func trimBlank(s string) string {
	if s != "" {
		return s[1:]
	}
	return s
}
