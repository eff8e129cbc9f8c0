package mapping_test

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
	"github.com/landfall-dev/landfall/framework/language/mapping"
)

var fence = regexp.MustCompile("(?s)```([^\n]*)\n(.*?)```")

// TestReadme runs every example of the language's reference.
func TestReadme(t *testing.T) {
	page, err := os.ReadFile("README.md")
	require.NoError(t, err)
	var v event.Value
	examples := 0
	for _, block := range fence.FindAllSubmatch(page, -1) {
		if string(block[1]) == "json event" {
			v = event.MustParse(string(block[2]))
			continue
		}
		for line := range strings.Lines(string(block[2])) {
			text, want, ok := strings.Cut(strings.TrimSpace(line), " => ")
			require.True(t, ok, "no => in %s", line)
			m, err := mapping.Compile(event.MustParse(text))
			require.NoError(t, err, text)
			got, err := m.Resolve(v)
			require.NoError(t, err, text)
			assert.True(t, event.Equal(event.MustParse(want), got), "%s\nwant %s\ngot  %s", text, want, got.JSON())
			examples++
		}
	}
	assert.Greater(t, examples, 30)
}

func TestCompileReportsEveryMistakeWithItsPosition(t *testing.T) {
	cases := map[string][]string{
		`{"a":{"b":{"@nope":1}}}`:                                                       {`/a/b has an invalid directive: @nope`},
		`{"a":{"@pth":"$.x"}}`:                                                          {`/a has an invalid directive: @pth (did you mean "@path"?)`},
		`{"a":{"@path":"x","@case":{}}}`:                                                {`/a should only have one @-prefixed key but it has 2 keys`},
		`{"a":{"@path":"x","b":1}}`:                                                     {`/a should only have one @-prefixed key but it has 2 keys`},
		`{"v":{"@path":5}}`:                                                             {`/v/@path should be a string or a mapping directive but it is a number`},
		`{"v":{"@path":[5]}}`:                                                           {`/v/@path should be a list of strings but it contains a number`},
		`{"v":{"@template":5}}`:                                                         {`/v/@template should be a string or a mapping directive but it is a number`},
		`{"v":{"@if":"x"}}`:                                                             {`/v/@if should be an object but it is a string`},
		`{"v":{"@if":{"then":1}}}`:                                                      {`/v/@if should have an "exists" or a "blank" condition`},
		`{"v":{"@if":{"exists":false,"then":1}}}`:                                       {`/v/@if should have an "exists" or a "blank" condition`},
		`{"v":{"@case":{"operator":"title","value":"x"}}}`:                              {`/v/@case/operator should be "lower" or "upper"`},
		`{"v":{"@replace":{"pattern":"01234567890","value":"x"}}}`:                      {`/v/@replace/pattern should be a string of length 10 or less`},
		`{"v":{"@replace":{"pattern":"","value":"x"}}}`:                                 {`/v/@replace/pattern should be a string of length 1 or greater`},
		`{"v":{"@replace":{"value":"x","global":1}}}`:                                   {`/v/@replace/global should be a boolean but it is a number`, `/v/@replace should have field "pattern" but it doesn't`},
		`{"v":{"@merge":{"direction":"up","objects":[]}}}`:                              {`/v/@merge/direction should be "left" or "right"`},
		`{"v":{"@merge":{"direction":"left"}}}`:                                         {`/v/@merge should have field "objects" but it doesn't`},
		`{"v":{"@merge":{"direction":"left","objects":{}}}}`:                            {`/v/@merge/objects should be an array but it is an object`},
		`{"v":{"@merge":{"objects":[{}]}}}`:                                             {`/v/@merge should have field "direction" but it doesn't`},
		`{"v":{"@merge":{"direction":"left","objects":[5]}}}`:                           {`/v/@merge/objects/0 should be an object or a mapping directive but it is a number`},
		`{"v":{"@flatten":{"value":1}}}`:                                                {`/v/@flatten should have field "separator" but it doesn't`},
		`{"v":{"@scalars":{"separator":";"}}}`:                                          {`/v/@scalars should have field "value" but it doesn't`},
		`{"v":{"@scalars":{"value":1,"separator":5}}}`:                                  {`/v/@scalars/separator should be a string but it is a number`},
		`{"v":{"@scalars":{"value":1,"separator":"01234567890"}}}`:                      {`/v/@scalars/separator should be a string of length 10 or less`},
		`{"v":{"@scalars":["x"]}}`:                                                      {`/v/@scalars should be an object but it is an array`},
		`{"v":{"@json":{"mode":"encode"}}}`:                                             {`/v/@json should have field "value" but it doesn't`},
		`{"v":{"@json":{"mode":"x","value":1}}}`:                                        {`/v/@json/mode should be "encode" or "decode"`},
		`{"v":{"@transform":{"apply":5,"mapping":{}}}}`:                                 {`/v/@transform/apply should be an object or a mapping directive but it is a number`},
		`{"v":{"@arrayPath":"x"}}`:                                                      {`/v/@arrayPath should be an array but it is a string`},
		`{"v":{"@arrayPath":[1]}}`:                                                      {`/v/@arrayPath/0 should be a string or a mapping directive but it is a number`},
		`{"v":{"@liquid":5}}`:                                                           {`/v/@liquid should be a string but it is a number`},
		`{"v":{"@liquid":"{% if a %}"}}`:                                                {`/v/@liquid the block is not closed by {% endif %} in {% if a %} (line 1, column 1)`},
		`{"v":{"@omit":{"value":1}}}`:                                                   {`/v/@omit should have field "keys" but it doesn't`},
		`{"v":{"@omit":{"keys":[]}}}`:                                                   {`/v/@omit should have field "value" but it doesn't`},
		`{"v":{"@omit":{"value":1,"keys":"a"}}}`:                                        {`/v/@omit/keys should be a list of texts but it is a string`},
		`{"v":{"@omit":{"value":1,"keys":["a",5]}}}`:                                    {`/v/@omit/keys/1 should be a string but it is a number`},
		`{"v":{"@transform":{"apply":{}}}}`:                                             {`/v/@transform should have field "mapping" but it doesn't`},
		`{"v":{"@transform":{"mapping":{}}}}`:                                           {`/v/@transform should have field "apply" but it doesn't`},
		`{"v":{"@flatten":{"separator":".","omitArrays":1}}}`:                           {`/v/@flatten/omitArrays should be a boolean but it is a number`, `/v/@flatten should have field "value" but it doesn't`},
		`{"v":{"@replace":{"value":"x","pattern":"a","replacement":"01234567890"}}}`:    {`/v/@replace/replacement should be a string of length 10 or less`},
		`{"v":{"@replace":{"value":"x","pattern":"a","pattern2":"","replacement2":5}}}`: {`/v/@replace/replacement2 should be a string but it is a number`},
		`{"v":{"@arrayPath":[]}}`:                                                       {`/v/@arrayPath/0 should be a string or a mapping directive but it is nothing`},
		`{"v":{"@expr":5}}`:                                                             {`/v/@expr should be a string but it is a number`},
		`{"l":[{"x":{"@path":1}},{"@nope":1}]}`:                                         {`/l/0/x/@path should be a string or a mapping directive but it is a number`, `/l/1 has an invalid directive: @nope`},
		`{"a/b":{"@path":1},"c":{"@template":[]}}`:                                      {`/a~1b/@path should be a string or a mapping directive but it is a number`, `/c/@template should be a string or a mapping directive but it is an array`},
		`{"__segment_internal_directive":5,"a":1}`:                                      {`/__segment_internal_directive should be a directive object but it is a number`},
		`{"v":{"@arrayPath":["$.a",{"x":{"@case":{"operator":"u"}}}]}}`:                 {`/v/@arrayPath/1/x/@case/operator should be "lower" or "upper"`},
	}
	for text, want := range cases {
		_, err := mapping.Compile(event.MustParse(text))
		var got []string
		for _, p := range fault.ProblemsOf(err) {
			got = append(got, p.String())
		}
		assert.Equal(t, want, got, text)
	}
}

func TestResolveErrors(t *testing.T) {
	cases := map[string]string{
		`{"v":{"@path":{"@path":"$.n"}}}`:                                             `mapping /v/@path needs a string but got a number`,
		`{"v":{"@template":{"@path":"$.none"}}}`:                                      `mapping /v/@template needs a string but got nothing`,
		`{"v":{"@flatten":{"value":{"@path":"$.o"},"separator":{"@path":"$.n"}}}}`:    `mapping /v/@flatten/separator needs a string but got a number`,
		`{"v":{"@transform":{"apply":{"@path":"$.n"},"mapping":{"a":{"@path":""}}}}}`: `mapping /v/@transform/apply should produce an object but it produced a number`,
		`{"v":{"@transform":{"apply":{"a":{"@path":{"@path":"$.n"}}},"mapping":{}}}}`: `mapping /v/@transform/apply/a/@path needs a string but got a number`,
		`{"v":{"@transform":{"apply":{},"mapping":{"a":{"@path":{"@literal":5}}}}}}`:  `mapping /v/@transform/mapping/a/@path needs a string but got a number`,
	}
	v := event.MustParse(`{"n":5,"o":{}}`)
	for text, want := range cases {
		_, err := mapping.MustCompile(text).Resolve(v)
		require.EqualError(t, err, want, text)
		assert.Equal(t, fault.CodeInvalidPayload, fault.As(err).Code)
	}
	_, err := mapping.MustCompile(`{}`).Resolve(event.MustParse(`[]`))
	assert.EqualError(t, err, "mapping needs an object but got an array")
}

// TestMistakeInCodeShowsThePosition checks that a mistake in an expression names the directive and shows the place in its text.
func TestMistakeInCodeShowsThePosition(t *testing.T) {
	_, err := mapping.Compile(event.MustParse(`{"v":{"@expr":"a +"}}`))
	assert.EqualError(t, err, "line 1, column 3: /v/@expr the expression ends too early: something should follow this\n\n | a +\n | ..^")
}

// TestErrorsInArgumentsAreKept checks that an argument which cannot be computed fails the mapping, in every directive that takes mappings.
func TestErrorsInArgumentsAreKept(t *testing.T) {
	const failing = `{"@path":{"@path":"$.n"}}`
	for _, directive := range []string{
		`{"@template":F}`, `{"@if":{"exists":F,"then":1}}`, `{"@if":{"exists":1,"then":F}}`, `{"@if":{"blank":F,"then":1}}`, `{"@if":{"exists":{"@path":"$.none"},"then":1,"else":F}}`,
		`{"@case":{"operator":"upper","value":F}}`, `{"@replace":{"pattern":"a","value":F}}`, `{"@merge":{"direction":"left","objects":[{"a":1},F]}}`, `{"@flatten":{"value":F,"separator":"."}}`,
		`{"@json":{"mode":"encode","value":F}}`, `{"@json":{"mode":"decode","value":F}}`, `{"@arrayPath":[F,{"a":1}]}`, `{"@arrayPath":["$.list",{"a":F}]}`, `{"@scalars":{"value":F}}`, `[1,F]`, `{"a":{"b":F}}`,
	} {
		m, err := mapping.Compile(event.MustParse(`{"v":` + strings.Replace(directive, "F", failing, 1) + `}`))
		require.NoError(t, err, directive)
		got, err := m.Resolve(event.MustParse(`{"n":5,"list":[{"n":6}]}`))
		assert.ErrorContains(t, err, "needs a string but got a number", "%s gives %s", directive, got.JSON())
	}
}

func TestLimits(t *testing.T) {
	deep := strings.Repeat(`{"a":`, mapping.MaxDepth-1) + `{"@path":"x"}` + strings.Repeat("}", mapping.MaxDepth-1)
	_, err := mapping.Compile(event.MustParse(deep))
	require.NoError(t, err)
	tooDeep := event.NewObject([]event.Member{{Key: "a", Value: event.MustParse(deep)}})
	_, err = mapping.Compile(tooDeep)
	assert.ErrorContains(t, err, "is nested deeper than 200")

	_, err = mapping.Compile(event.NewString(strings.Repeat("x", mapping.MaxBytes)))
	assert.ErrorContains(t, err, "should be at most 1 MB but is larger")

	doubling := `{"a":{"@path":"$.a"},"b":{"@path":"$.a"}}`
	for range 40 {
		doubling = `{"@transform":{"apply":{"a":` + doubling + `},"mapping":{"a":{"@path":"$.a"},"b":{"@path":"$.a"}}}}`
	}
	_, err = mapping.MustCompile(doubling).Resolve(event.MustParse(`{"a":"0123456789"}`))
	assert.ErrorContains(t, err, "produces more than 10 MB for this event")

	long := event.NewObject([]event.Member{{Key: "s", Value: event.NewString(strings.Repeat("x", 1<<20))}})
	_, err = mapping.MustCompile(`{"v":{"@template":"` + strings.Repeat("{{s}}", 11) + `"}}`).Resolve(long)
	assert.ErrorContains(t, err, "mapping /v/@template produces more than 10 MB for this event")
	_, err = mapping.MustCompile(`{"v":{"@replace":{"value":{"@path":"$.s"},"pattern":"x","replacement":"0123456789"}}}`).Resolve(
		event.NewObject([]event.Member{{Key: "s", Value: event.NewString(strings.Repeat("x", 2<<20))}}))
	assert.ErrorContains(t, err, "mapping /v/@replace produces more than 10 MB for this event")
}

func TestTraceSaysWhereValuesCameFrom(t *testing.T) {
	m := mapping.MustCompile(`{"id":{"@path":"$.userId"},"p":{"@if":{"exists":{"@path":"$.properties"},"then":{"@path":"$.properties"},"else":{"@path":"$.traits"}}},
		"key":"vip","t":{"@template":"{{userId}}!"},"none":{"@path":"$.nope"},"bad":{"@path":{"@path":"$.n"}}}`)
	var lines []string
	for _, trace := range m.Trace(event.MustParse(`{"userId":"u1","traits":{"a":1},"n":5}`)) {
		line := trace.Key + " | " + trace.From + " | " + trace.Value.JSON()
		if trace.Err != nil {
			line += " | " + trace.Err.Error()
		}
		lines = append(lines, line)
	}
	assert.Equal(t, []string{
		`id | @path $.userId | "u1"`,
		`p | @if exists @path $.properties: else @path $.traits | {"a":1}`,
		`key | literal "vip" | "vip"`,
		`t | @template "{{userId}}!" | "u1!"`,
		`none | @path $.nope | `,
		`bad | @path of @path $.n |  | mapping /bad/@path needs a string but got a number`,
	}, lines)
}

func TestResolveIsSafeForConcurrentUse(t *testing.T) {
	m := mapping.MustCompile(`{"a":{"@case":{"operator":"upper","value":{"@path":"$.s"}}},"b":{"@liquid":"{{ s | upcase }}"},"c":{"@expr":"upper(s)"}}`)
	v := event.MustParse(`{"s":"straße"}`)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 200 {
				got, err := m.Resolve(v)
				if err != nil || !strings.HasPrefix(got.JSON(), `{"a":"STRASSE"`) {
					t.Errorf("got %s, %v", got.JSON(), err)
					return
				}
			}
		})
	}
	group.Wait()
}

const brazeMapping = `{"external_id":{"@path":"$.userId"},"user_alias":{"@path":"$.context.alias"},"device_id":{"@path":"$.context.device.id"},
	"cohort_id":{"@path":"$.context.personas.computation_id"},"cohort_name":{"@path":"$.context.personas.computation_key"},"enable_batching":true,
	"personas_audience_key":{"@path":"$.properties.audience_key"},"event_properties":{"@if":{"exists":{"@path":"$.properties"},"then":{"@path":"$.properties"},"else":{"@path":"$.traits"}}},
	"time":{"@path":"$.timestamp"},"batch_keys":["cohort_name","cohort_id"]}`

const brazeEvent = `{"type":"track","event":"Audience Entered","userId":"u1","timestamp":"2026-01-02T03:04:05Z","context":{"device":{"id":"d1"},
	"personas":{"computation_class":"audience","computation_id":"aud_1","computation_key":"vip"}},"properties":{"audience_key":"vip","vip":true}}`

func TestResolveAllocations(t *testing.T) {
	m, v := mapping.MustCompile(brazeMapping), event.MustParse(brazeEvent)
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = m.Resolve(v) }), 2.0)
}

// TestCompileAllocations checks that what is known about a directive is not read again for each of its uses: commands compile thousands of mappings.
func TestCompileAllocations(t *testing.T) {
	v := event.MustParse(`{"list":[` + strings.Repeat(`{"@case":{"operator":"lower","value":"A"}},`, 99) + `{"@case":{"operator":"upper","value":"a"}}]}`)
	assert.LessOrEqual(t, testing.AllocsPerRun(10, func() { _, _ = mapping.Compile(v) }), 1200.0)
}

func BenchmarkResolve(b *testing.B) {
	m, v := mapping.MustCompile(brazeMapping), event.MustParse(brazeEvent)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = m.Resolve(v)
	}
}

func FuzzCompileResolve(f *testing.F) {
	page, err := os.ReadFile("README.md")
	require.NoError(f, err)
	for _, line := range bytes.Split(page, []byte("\n")) {
		if text, _, ok := bytes.Cut(line, []byte(" => ")); ok {
			f.Add(string(text), brazeEvent)
		}
	}
	f.Add(brazeMapping, brazeEvent)
	f.Fuzz(func(t *testing.T, text, on string) {
		v, err := event.ParseString(text)
		if err != nil {
			return
		}
		e, err := event.ParseString(on)
		if err != nil {
			return
		}
		m, err := mapping.Compile(v)
		if err != nil {
			for _, p := range fault.ProblemsOf(err) {
				assert.NotEmpty(t, p.Message)
			}
			return
		}
		out, err := m.Resolve(e)
		if err != nil {
			return
		}
		again, err := m.Resolve(e)
		require.NoError(t, err)
		assert.True(t, event.Equal(out, again), "the same mapping made two things of one event")
		m.Trace(e)
	})
}

// TestSizeOfSparsePayloads checks that absent fields do not count toward Size, which limits the bytes of a batch.
func TestSizeOfSparsePayloads(t *testing.T) {
	var members []string
	for i := range 50 {
		members = append(members, fmt.Sprintf(`"optional_field_%d":{"@path":"$.properties.f%d"}`, i, i))
	}
	payload, err := mapping.MustCompile(`{"id":{"@path":"$.userId"},` + strings.Join(members, ",") + `}`).Resolve(event.MustParse(`{"userId":"u"}`))
	require.NoError(t, err)
	assert.InDelta(t, len(payload.JSON()), payload.Size(), 20)
	m := mapping.MustCompile(`{"id":{"@path":"$.text"},"` + strings.Repeat("k", 900<<10) + `":{"@path":"$.missing"}}`)
	_, err = m.Resolve(event.MustParse(`{"text":"` + strings.Repeat("x", event.MaxBytes-500<<10) + `"}`))
	assert.NoError(t, err)
}
