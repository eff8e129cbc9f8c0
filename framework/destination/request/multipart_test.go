package request_test

import (
	"bytes"
	"io"
	"mime"
	"mime/multipart"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination/request"
	"github.com/landfall-dev/landfall/framework/event"
)

// TestMultipartForms reads forms as a server does.
func TestMultipartForms(t *testing.T) {
	type part struct{ name, file, kind, content string }
	for body, want := range map[string][]part{
		`{}`:                               nil,
		`{"a":null,"b":[],"c":[null]}`:     nil,
		`{"a":[1,"x",true],"b":{"c":[1]}}`: {{"a", "", "", "1"}, {"a", "", "", "x"}, {"a", "", "", "true"}, {"b", "", "", `{"c":[1]}`}},
		`{"f":{"filename":"a.csv","content":"x,y\r\n--z--"}}`:                                    {{"f", "a.csv", "application/octet-stream", "x,y\r\n--z--"}},
		`{"f":{"filename":"a\"b\r\nX: 1.csv","contentType":" text/csv ","content":[1,{"a":2}]}}`: {{"f", "a\"b%0D%0AX: 1.csv", "text/csv", `[1,{"a":2}]`}},
		`{"f":[{"filename":"1"},{"filename":"2","content":null}],"na\"me\n":"é"}`:                {{"f", "1", "application/octet-stream", ""}, {"f", "2", "application/octet-stream", ""}, {"na\"me%0A", "", "", "é"}},
		`{"f":{"content":"no file"}}`:                                                            {{"f", "", "", `{"content":"no file"}`}},
	} {
		r := compileRequest(t, `{"url":"https://api.example.com","encoding":"multipart","headers":{"Content-Type":"text/plain"},"body":{"@path":"$.payload"}}`)
		built, err := r.Build(event.NewObject([]event.Member{{Key: "payload", Value: event.MustParse(body)}}))
		require.NoError(t, err, body)
		kind, parameters, err := mime.ParseMediaType(built.Header.Get("Content-Type"))
		require.NoError(t, err)
		assert.Equal(t, "multipart/form-data", kind)
		reader := multipart.NewReader(bytes.NewReader(built.Body), parameters["boundary"])
		var got []part
		for {
			p, err := reader.NextPart()
			if err == io.EOF {
				break
			}
			require.NoError(t, err, body)
			content, err := io.ReadAll(p)
			require.NoError(t, err)
			got = append(got, part{p.FormName(), p.FileName(), p.Header.Get("Content-Type"), string(content)})
		}
		assert.Equal(t, want, got, body)
	}
	for body, want := range map[string]string{
		`[1]`: "a multipart form needs an object, not an array", `"x"`: "a multipart form needs an object, not a string",
		`{"f":{"filename":"a","contentType":"text/csv\r\nX: 1"}}`: `the contentType of the file "f" is not valid`,
	} {
		r := compileRequest(t, `{"url":"https://api.example.com","encoding":"multipart","body":{"@path":"$.payload"}}`)
		_, err := r.Build(event.NewObject([]event.Member{{Key: "payload", Value: event.MustParse(body)}}))
		assert.EqualError(t, err, want, body)
	}
}

// TestSignaturesOfRequests checks what is signed, and when nothing is.
func TestSignaturesOfRequests(t *testing.T) {
	for text, want := range map[string][2]string{ // the URL and the header X
		`{"method":"GET","url":"https://api.example.com/a","sign":{"header":"X","secret":"s"}}`:                                                                                 {"https://api.example.com/a", ""},
		`{"method":"GET","url":"https://api.example.com/a","sign":{"header":"X","secret":"","text":"a","timestamp":{"header":"T"}}}`:                                            {"https://api.example.com/a", ""},
		`{"method":"GET","url":"https://api.example.com/a","headers":{"X":"own"},"sign":{"header":"X","secret":"s","text":"a"}}`:                                                {"https://api.example.com/a", "own"},
		`{"method":"GET","url":"https://api.example.com/a?sig=own","sign":{"query":"sig","secret":"s","text":"a"}}`:                                                             {"https://api.example.com/a?sig=own", ""},
		`{"method":"GET","url":"https://api.example.com/a b?q=1","sign":{"header":"X","secret":"s","prefix":"{{settings.p}} ","text":"{{request.method}}","algorithm":"sha1"}}`: {"https://api.example.com/a%20b?q=1", "p 6f910fd5ccfa9ce607570b23db1e423fc8629c31"},
	} {
		built, err := compileRequest(t, text).Build(event.MustParse(`{"settings":{"p":"p"}}`))
		require.NoError(t, err, text)
		var base *request.Base
		built, err = base.Extend(built, event.Value{}, exampleTime)
		require.NoError(t, err, text)
		assert.Equal(t, want[0], built.URL, text)
		assert.Equal(t, want[1], built.Header.Get("X"), text)
	}
	for text, want := range map[string]string{
		`{"url":"https://api.example.com/a","body":{},"sign":{"header":"{{settings.bad}}","secret":"s"}}`:                            `the signature cannot be sent in the header "a b": the name or the value is not valid`,
		`{"url":"https://api.example.com/a","body":{},"sign":{"header":"X","secret":"s","prefix":"a\nb"}}`:                           `the signature cannot be sent in the header "X": the name or the value is not valid`,
		`{"url":"https://api.example.com/a","body":{},"sign":{"header":"X","secret":"s","algorithm":"{{settings.bad}}"}}`:            `a signature's algorithm should be sha1, sha256, sha512, md5, but is "a b"`,
		`{"url":"https://api.example.com/a","body":{},"sign":{"header":"X","secret":"s","timestamp":{"header":"{{settings.bad}}"}}}`: `the signature cannot be sent in the header "a b": the name or the value is not valid`,
	} {
		built, err := compileRequest(t, text).Build(event.MustParse(`{"settings":{"bad":"a b"}}`))
		require.NoError(t, err, text)
		var base *request.Base
		_, err = base.Extend(built, event.Value{}, exampleTime)
		assert.EqualError(t, err, want, text)
	}
}

// TestGraphQLErrors checks the failures that responses of GraphQL APIs report.
func TestGraphQLErrors(t *testing.T) {
	r := compileRequest(t, `{"url":"https://api.example.com","response":{"graphql":{"retryCodes":["THROTTLED"]}}}`)
	for body, want := range map[string]string{
		`{"data":{}}`:               "",
		`{"data":{},"errors":null}`: "",
		`{"data":{},"errors":[]}`:   "",
		`[]`:                        "",
		`{"errors":[{"message":"no such field"},{"message":"other"}]}`:               "400: no such field",
		`{"errors":[{"message":"wait","extensions":{"code":"THROTTLED"}}]}`:          "retry 400: THROTTLED: wait",
		`{"errors":[{"message":"who?","extensions":{"code":"UNAUTHENTICATED"}}]}`:    "401: UNAUTHENTICATED: who?",
		`{"errors":[{"message":"x","extensions":{"code":"INTERNAL_SERVER_ERROR"}}]}`: "retry 500: INTERNAL_SERVER_ERROR: x",
		`{"errors":"all wrong"}`:  `400: "all wrong"`,
		`{"errors":[{"code":7}]}`: `400: [{"code":7}]`,
		`{"errors":{}}`:           "400: {}",
	} {
		got := ""
		if e := r.Failure(request.Answer{Status: 200, Body: event.MustParse(body)}, event.Value{}); e != nil {
			got = words(e)
		}
		assert.Equal(t, want, got, body)
	}
	assert.Equal(t, "no such field", r.ErrorMessage(event.MustParse(`{"errors":[{"message":"no such field"}]}`)), "of a response with an error status")
	own := compileRequest(t, `{"url":"https://api.example.com","response":{"graphql":{},"message":"why"}}`)
	assert.Equal(t, "own", own.ErrorMessage(event.MustParse(`{"errors":[{"message":"no such field"}],"why":"own"}`)))
	_, err := request.Compile(event.MustParse(`{"url":"https://api.example.com","response":{"graphql":{},"errors":{"path":"errors"}}}`), request.Names{})
	assert.ErrorContains(t, err, "/response/graphql fails all payloads if there are errors: leave it out")
}

// TestPayloadsThatAreNotMentioned checks the results of payloads that a list of results leaves out.
func TestPayloadsThatAreNotMentioned(t *testing.T) {
	const unknown = "400: the response does not say whether the event was accepted"
	scopeOf := func(i int) event.Value {
		return event.NewObject([]event.Member{{Key: "payload", Value: event.MustParse(`{"id":"` + string(rune('a'+i)) + `"}`)}})
	}
	for _, c := range []struct {
		errors, body string
		status       int
		want         []string
	}{
		{`"index":"i","where":"bad"`, `{"list":[{"i":0},{"i":1,"bad":"x"},{"i":2}]}`, 200, []string{"", `400: {"i":1,"bad":"x"}`, ""}},
		{`"index":"i","where":"bad"`, `{"list":[{"i":0},{"i":1,"bad":"x"}]}`, 200, []string{"", `400: {"i":1,"bad":"x"}`, unknown}},
		{`"index":"i","where":"bad"`, `{"list":[]}`, 200, []string{unknown, unknown, unknown}},
		{`"index":"i","where":"bad"`, `{}`, 200, []string{unknown, unknown, unknown}},
		{`"index":"i","where":"bad"`, `{}`, 500, []string{"", "", ""}},
		{`"where":"bad"`, `{"list":[{},{}]}`, 207, []string{"", "", unknown}},
		{`"match":"{{payload.id}}","key":"id","status":"s"`, `{"list":[{"id":"c","s":200},{"id":"a","s":409}]}`, 200, []string{`409: {"id":"a","s":409}`, unknown, ""}},
		{`"match":"{{payload.id}}","where":"why"`, `{"list":{"b":{},"a":{"why":"x"}}}`, 200, []string{`400: {"why":"x"}`, "", unknown}},
	} {
		r := compileRequest(t, `{"url":"https://api.example.com","batch":{},"response":{"errors":{"path":"list","missing":"fail",`+c.errors+`}}}`)
		found, rest := r.PayloadErrors(request.Answer{Status: c.status, Body: event.MustParse(c.body)}, 3, scopeOf)
		assert.Nil(t, rest)
		for i, want := range c.want {
			got := ""
			if found[i] != nil {
				got = words(found[i])
			}
			assert.Equal(t, want, got, "%s %s %d", c.errors, c.body, i)
		}
	}
}
