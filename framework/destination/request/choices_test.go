package request_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination/request"
	"github.com/landfall-dev/landfall/framework/event"
)

// TestChoicesOfMappings reads each part of a choice with a mapping, which fails if the response has another form.
func TestChoicesOfMappings(t *testing.T) {
	const body = `{"list":[{"id":7,"name":"a"},{"id":8,"name":"b","old":true}],"at":3}`
	for choices, want := range map[string]string{
		`{"path":"list","value":"id"}`: "7:7 8:8",
		`{"path":{"@expr":"filter(body.list, .old == nil)"},"value":"id","label":"name"}`:           "7:a",
		`{"path":"list","value":{"@template":"x{{item.id}}"},"unless":"old"}`:                       "x7:x7",
		`{"path":"list","value":"id","label":{"@expr":"item.id == 7 ? '' : 'other'"}}`:              "7:7 8:other",
		`{"path":"list","value":"id","description":{"@template":"{{item.name}} {{body.at}}"}}`:      "7:7 (a 3) 8:8 (b 3)",
		`{"path":"list","value":"id","where":"old","next":{"@expr":"body.at + 1"}}`:                 "8:8 > 4",
		`{"path":"list","value":"id","where":"old","next":{"@expr":"body.at > 3 ? body.at : nil"}}`: "8:8",
		`{"path":"none"}`:                                                "",
		`{"path":{"@expr":"body.at + body.list"}}`:                       "error",
		`{"path":"list","value":{"@expr":"item.id + item.name"}}`:        "error",
		`{"path":"list","label":{"@expr":"item.id + item.name"}}`:        "error",
		`{"path":"list","description":{"@expr":"item.id + item.name"}}`:  "error",
		`{"path":"list","value":"id","next":{"@expr":"body.at.next.a"}}`: "error",
	} {
		r, err := request.Compile(event.MustParse(`{"url":"https://api.example.com","response":{"choices":`+choices+`}}`), request.Names{request.Query: nil, request.Page: nil})
		require.NoError(t, err, choices)
		found, next, err := r.Choices(event.MustParse(body), "")
		got := ""
		for _, c := range found {
			if got != "" {
				got += " "
			}
			if got += c.Value + ":" + c.Label; c.Description != "" {
				got += " (" + c.Description + ")"
			}
		}
		switch {
		case err != nil:
			got = "error"
		case next != "":
			got += " > " + next
		}
		assert.Equal(t, want, got, choices)
	}
}
