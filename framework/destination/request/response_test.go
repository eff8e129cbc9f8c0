package request_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination/request"
	"github.com/landfall-dev/landfall/framework/event"
)

// TestErrorsOfAnyShape checks that a 2xx response never counts as delivered if it has a value at the path of errors.
func TestErrorsOfAnyShape(t *testing.T) {
	r, err := request.Compile(event.MustParse(`{
		"url": "https://api.example.com", "batch": {},
		"response": {"errors": {"path": "failed", "index": "index", "message": "message"}}
	}`), request.Names{})
	require.NoError(t, err)
	for _, tc := range []struct {
		body    string
		indexes []int
		rest    string // the error of every other payload; "" for none
	}{
		{body: `{}`},
		{body: `{"failed": null}`},
		{body: `{"failed": []}`},
		{body: `{"failed": {}}`},
		{body: `{"failed": {"u1": "bad"}}`, rest: `{"u1":"bad"}`},
		{body: `{"failed": {"message": "all of them"}}`, rest: "all of them"},
		{body: `{"failed": "all failed"}`, rest: "all failed"},
		{body: `{"failed": ""}`, rest: `""`},
		{body: `{"failed": true}`, rest: "true"},
		{body: `{"failed": false}`, rest: "false"},
		{body: `{"failed": 2}`, rest: "2"},
		{body: `{"failed": [{"index": 1, "message": "no"}]}`, indexes: []int{1}},
		{body: `{"failed": [{"index": "1"}, {"index": 0}]}`, indexes: []int{0, 1}},
		{body: `{"failed": ["u1"]}`, rest: "u1"},
		{body: `{"failed": [null]}`, rest: "null"},
		{body: `{"failed": [{"index": 2, "message": "beyond"}]}`, rest: "beyond"},
		{body: `{"failed": [{"index": -1, "message": "before"}]}`, rest: "before"},
		{body: `{"failed": [{"index": 0.5, "message": "half"}]}`, rest: "half"},
		{body: `{"failed": [{"index": 0, "message": "first"}, {"message": "whose?"}]}`, indexes: []int{0}, rest: "whose?"},
	} {
		errors, rest := r.PayloadErrors(request.Answer{Status: 200, Body: event.MustParse(tc.body)}, 2, nil)
		var indexes []int
		for i := range 2 {
			if errors[i] != nil {
				indexes = append(indexes, i)
			}
		}
		assert.Equal(t, tc.indexes, indexes, tc.body)
		assert.Len(t, errors, len(indexes), tc.body)
		if tc.rest == "" {
			assert.Nil(t, rest, tc.body)
			continue
		}
		if assert.NotNil(t, rest, tc.body) {
			assert.Equal(t, tc.rest, rest.Message, tc.body)
			assert.Equal(t, 400, rest.Status, tc.body)
			assert.False(t, rest.Retry, tc.body)
		}
	}
}

func TestStatusesThatCanBeDeclared(t *testing.T) {
	for list, want := range map[string]string{
		`[300, 404, 999]`: "", `[299]`: "/response/%s/0 should be a status from 300 to 999 but is 299", `[404, 1000]`: "/response/%s/1 should be a status from 300 to 999 but is 1000",
	} {
		for _, key := range []string{"retry", "accept"} {
			_, err := request.Compile(event.MustParse(`{"url":"https://api.example.com","response":{"`+key+`":`+list+`}}`), request.Names{})
			if want == "" {
				assert.NoError(t, err, list)
				continue
			}
			assert.ErrorContains(t, err, fmt.Sprintf(want, key))
		}
	}
}

// TestBodiesByEncoding checks what is sent, and that a request without a body has no type of it.
func TestBodiesByEncoding(t *testing.T) {
	for text, want := range map[string][]string{
		`{"url":"https://a.example","method":"GET"}`:                                       {"", ""},
		`{"url":"https://a.example","body":{"@path":"$.payload.id"}}`:                      {"", ""},
		`{"url":"https://a.example","body":{"a":1}}`:                                       {`{"a":1}`, "application/json"},
		`{"url":"https://a.example","encoding":"form","body":[{"a":[1,2],"b":{"c":"&"}}]}`: {"a=1&a=2&b=%7B%22c%22%3A%22%26%22%7D", "application/x-www-form-urlencoded"},
	} {
		built, err := compileRequest(t, text).Build(event.MustParse(`{"payload":{}}`))
		require.NoError(t, err, text)
		assert.Equal(t, want, []string{string(built.Body), built.Header.Get("Content-Type")}, text)
	}
	for _, body := range []string{`"text"`, `[{"a":1},{"b":2}]`, `[1]`} {
		_, err := compileRequest(t, `{"url":"https://a.example","encoding":"form","body":`+body+`}`).Build(event.MustParse(`{"payload":{}}`))
		assert.ErrorContains(t, err, "a form needs an object", body)
	}
}

func TestGatheringIsChosen(t *testing.T) {
	for batch, want := range map[string]bool{`{}`: false, `{"gather":true}`: true, `{"gather":false}`: false} {
		assert.Equal(t, want, compileRequest(t, `{"url":"https://a.example","batch":`+batch+`}`).Gathers(), batch)
	}
	assert.False(t, compileRequest(t, `{"url":"https://a.example"}`).Gathers())
}

func TestNamesOfAStepEndWithIt(t *testing.T) {
	const steps = `{"steps":[{"name":"one","each":{"@path":"$.payload.list"},"url":"https://a.example/{{item}}/{{index}}"},{"url":"https://a.example/%s"}]}`
	for last, want := range map[string]string{"{{answers.one.status}}": "", "{{item}}": `"item"`, "{{index}}": `"index"`, "{{answers.two.status}}": "answers.two"} {
		_, err := request.Compile(event.MustParse(fmt.Sprintf(steps, last)), request.Names{request.Payload: {"id", "list"}})
		if want == "" {
			assert.NoError(t, err, last)
			continue
		}
		assert.ErrorContains(t, err, want, last)
	}
}

func TestTokensThatRequestsUse(t *testing.T) {
	for text, want := range map[string]bool{`{"url":"https://a.example"}`: false, `{"url":"https://a.example","headers":{"X-Token":"{{auth.accessToken}}"}}`: true, `{"url":"https://a.example","body":{"t":{"@path":"$.auth.accessToken"}}}`: true} {
		r, err := request.Compile(event.MustParse(text), request.Names{request.Auth: nil})
		require.NoError(t, err, text)
		assert.Equal(t, want, r.UsesToken(), text)
	}
}

func TestCompressedBodies(t *testing.T) {
	built, err := compileRequest(t, `{"url":"https://a.example","body":{"a":1},"compress":"gzip"}`).Build(event.MustParse(`{"payload":{}}`))
	require.NoError(t, err)
	assert.Equal(t, "gzip", built.Header.Get("Content-Encoding"))
	plain, err := gzip.NewReader(bytes.NewReader(built.Body))
	require.NoError(t, err)
	text, err := io.ReadAll(plain)
	require.NoError(t, err)
	assert.Equal(t, `{"a":1}`, string(text))
}
