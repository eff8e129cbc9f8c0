package request_test

import (
	"net/url"
	"testing"

	"github.com/landfall-dev/landfall/framework/destination/request"
	"github.com/landfall-dev/landfall/framework/event"
)

// FuzzRequest checks that no request, scope or response makes the package panic, that errors belong to existing payloads, and that
// built requests can be sent.
func FuzzRequest(f *testing.F) {
	f.Add(`{"url":"{{settings.host}}/a/{{payload.id}}?q={{payload.q}}","body":{"@path":"$.payload"}}`, `{"settings":{"host":"https://example.com"},"payload":{"id":"../x","q":"a&b=c"}}`, `{}`)
	f.Add(`{"url":"https://example.com","encoding":"form","body":{"@path":"$.payload"},"sign":{"header":"X","secret":"s"}}`, `{"payload":{"a":[1,{"b":null}],"c":"é"}}`, `{"errors":[{"index":0}]}`)
	f.Add(`{"url":"https://example.com","batch":{"size":2,"item":{"i":{"@path":"$.index"}}},"body":{"@path":"$.items"},"response":{"errors":{"path":"e","index":"i","base":1,"status":"s"}}}`,
		`{"payload":{},"items":[{"i":0}]}`, `{"e":[{"i":1,"s":429},{"i":"x"},{"i":99999999999999999999}]}`)
	f.Add(`{"url":"https://example.com","method":"{{payload.m}}","headers":{"@path":"$.payload"},"query":{"@path":"$.payload"}}`, `{"payload":{"m":"GET","x":"a\r\nb"}}`, `[1]`)
	f.Add(`{"url":"https://example.com","batch":{"gather":true},"response":{"errors":{"path":"e","index":"at","indexPattern":"/([0-9]+)$"}}}`, `{"payload":{}}`, `{"e":[{"at":"/data/1"},{"at":"/data/x"},{"at":null}]}`)
	f.Add(`{"steps":[{"when":{"@path":"$.payload.x"},"refuse":"no {{payload.x}}"},{"name":"a","url":"https://example.com"}]}`, `{"payload":{"x":1}}`, `{}`)
	f.Add(`{"url":"https://example.com","encoding":"multipart","compress":"gzip","body":{"@path":"$.payload"},"sign":{"query":"s","secret":"x","text":"{{request.query}}{{request.body}}","timestamp":{"header":"T"}}}`,
		`{"payload":{"a":[1,{"filename":"f\r\n","content":[1]}],"b":null}}`, `{"errors":[{"message":"x","extensions":{"code":7}}]}`)
	f.Add(`{"url":"https://example.com","batch":{},"response":{"errors":{"path":"e","match":"{{payload.id}}","key":"id","missing":"retry"},"graphql":{}}}`, `{"payload":{}}`, `{"e":[{"id":1},{"id":{}}],"errors":{"a":1}}`)
	f.Fuzz(func(t *testing.T, text, scope, answer string) {
		v, err := event.ParseString(text)
		if err != nil || formOf(event.NewObject([]event.Member{{Key: "request", Value: v}})) != nil {
			return
		}
		r, err := request.Compile(v, request.Names{request.Settings: nil, request.Auth: nil, request.Payload: nil, request.Query: nil, request.Page: nil})
		if err != nil {
			return
		}
		body, err := event.ParseString(answer)
		if err == nil {
			errors, _ := r.PayloadErrors(request.Answer{Status: 200, Body: body}, 3, func(int) event.Value { return event.Value{} })
			for i := range errors {
				if i < 0 || i >= 3 {
					t.Fatalf("an error for payload %d of 3", i)
				}
			}
			_, _, _ = r.Choices(body, "x")
			r.Failure(request.Answer{Status: 200, Body: body, Text: body.JSON}, event.Value{})
		}
		s, err := event.ParseString(scope)
		if err != nil || s.Kind() != event.Object {
			return
		}
		built, err := r.Build(s)
		if err != nil {
			return
		}
		var base *request.Base
		if built, err = base.Extend(built, s, exampleTime); err != nil {
			return
		}
		u, err := url.Parse(built.URL)
		if err != nil || u.User != nil || u.Host != "" && u.Scheme != "https" && u.Scheme != "http" {
			t.Fatalf("%q cannot be sent", built.URL)
		}
	})
}

// BenchmarkBuild builds the request of a batch of a hundred.
func BenchmarkBuild(b *testing.B) {
	r, err := request.Compile(event.MustParse(`{"url":"{{settings.endpoint}}/users","headers":{"X-Key":"{{settings.key}}"},"batch":{"size":100},"body":{"users":{"@path":"$.items"}}}`),
		request.Names{request.Settings: nil, request.Auth: nil, request.Payload: nil})
	if err != nil {
		b.Fatal(err)
	}
	items := make([]event.Value, 100)
	for i := range items {
		items[i] = event.MustParse(`{"id":"u1","email":"ana@example.com","plan":"pro"}`)
	}
	scope := event.NewObject([]event.Member{
		{Key: request.Settings, Value: event.MustParse(`{"endpoint":"https://example.com","key":"k"}`)}, {Key: request.Items, Value: event.NewArray(items)},
	})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Build(scope); err != nil {
			b.Fatal(err)
		}
	}
}
