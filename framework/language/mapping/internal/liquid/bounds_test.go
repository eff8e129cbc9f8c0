package liquid_test

import (
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/mapping/internal/liquid"
)

// heavy returns an event with a text of about 1 MB, a longer text, and long lists.
func heavy() event.Value {
	items := make([]event.Value, 200_000)
	for i := range items {
		items[i] = event.NewInt(1)
	}
	text := strings.Repeat("<a ", liquid.MaxText/3)
	return event.NewObject([]event.Member{
		{Key: "s", Value: event.NewString("abcdefgh")},
		{Key: "text", Value: event.NewString(text)},
		{Key: "beyond", Value: event.NewString(text + "1234")},
		{Key: "list", Value: event.NewArray(items)},
		{Key: "same", Value: event.NewArray(items)},
	})
}

// TestIntermediateValuesAreLimited checks that templates of 1,000 characters cannot create large values, and that they fail before the memory is
// allocated.
func TestIntermediateValuesAreLimited(t *testing.T) {
	cases := map[string]struct{ start, step, want string }{
		"append":         {"{%assign a=s%}", "{%assign a=a|append:a%}", "produces more than 1 MB of text"},
		"prepend":        {"{%assign a=s%}", "{%assign a=a|prepend:a%}", "produces more than 1 MB of text"},
		"capture":        {"{%assign a=s%}", "{%capture a%}{{a}}{{a}}{%endcapture%}", "produces more than 1 MB of text"},
		"output":         {"", "{{text}}", "produces more than 1 MB of text"},
		"long output":    {"", "{{beyond}}", "produces more than 1 MB of text"},
		"replace":        {"{%assign a=s%}", "{%assign a=a|replace:'',a%}", "produces more than 1 MB of text"},
		"replace first":  {"{%assign a=s%}", "{%assign a=a|replace_first:'a',a|append:a%}", "produces more than 1 MB of text"},
		"replace last":   {"{%assign a=s%}", "{%assign a=a|replace_last:'h',a|append:a%}", "produces more than 1 MB of text"},
		"join":           {"{%assign a=s%}", "{%assign a=a|split:''|join:a%}", "produces more than 1 MB of text"},
		"escape":         {"{%assign a=text%}", "{%assign a=a|escape%}", "produces more than 1 MB of text"},
		"url_encode":     {"{%assign a=text%}", "{%assign a=a|url_encode%}", "produces more than 1 MB of text"},
		"json":           {"{%assign a='\"\"'%}", "{%assign a=a|json%}", "produces more than 1 MB of text"},
		"json of lists":  {"{%assign a=s|push:s%}", "{%assign a=a|push:a|push:a%}", "produces more than 1 MB of text"},
		"indented json":  {"{%assign a=list|json:10%}", "{{a}}", "produces more than 1 MB of text"},
		"push":           {"{%assign a=list%}", "{%assign a=a|push:1%}", "produces a list of more than 100000 items"},
		"split":          {"{%assign a=text%}", "{%assign b=a|split:'<'%}", "produces a list of more than 100000 items"},
		"range":          {"", "{{(1..999999999)|size}}", "produces a list of more than 100000 items"},
		"endless range":  {"", "{{(9007199254740992..9007199254740994)|size}}", "produces a list of more than 100000 items"},
		"many ranges":    {"", "{{(1..99999)|size}}", "produces more than 32 MB of intermediate values"},
		"date width":     {"", "{{1|date:'%999999Y%999999Y'}}", "produces more than 1 MB of text"},
		"date width too": {"", "{{1|date:'%99999999999999999999Y'}}", "produces more than 1 MB of text"},
		"date fraction":  {"", "{{1|date:'%9999999N'}}", "produces more than 1 MB of text"},
		"much work":      {"", "{{text|size}}", "produces more than 32 MB of intermediate values"},
		"a large text":   {"", "{{beyond|size}}", "does not accept more than 1 MB"},
	}
	v := heavy()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			text := c.start + strings.Repeat(c.step, min(40, (liquid.MaxLength-len(c.start))/len(c.step)))
			template, err := liquid.Compile(text)
			require.NoError(t, err)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			synctest.Test(t, func(t *testing.T) { // the clock stands still, so that the limit of time is not the one that is exceeded
				_, err = template.Render(v)
			})
			runtime.ReadMemStats(&after)
			assert.ErrorContains(t, err, c.want)
			assert.Less(t, (after.TotalAlloc-before.TotalAlloc)>>20, uint64(256), "MB")
		})
	}
}

// TestTimeIsBounded checks that a slow template is stopped.
func TestTimeIsBounded(t *testing.T) {
	v := heavy()
	for _, step := range []string{
		"{%if list==same%}{%endif%}", "{%if list contains 2%}{%endif%}", "{%if list>1%}{%endif%}", "{{text|strip:text}}", "{{text|strip_html|size}}",
		"{{text|slugify|size}}", "{%if text contains text%}{%endif%}", "{{o[list]}}",
	} {
		template, err := liquid.Compile(strings.Repeat(step, liquid.MaxLength/len(step)))
		require.NoError(t, err)
		began := time.Now()
		_, _ = template.Render(v)
		assert.Less(t, time.Since(began), 60*liquid.MaxTime, step) // the race detector is slow, and so is a busy machine
	}
}

func TestDeepExpressions(t *testing.T) {
	for _, text := range []string{
		"{{ a" + strings.Repeat("[a", 450) + strings.Repeat("]", 450) + " }}",
		"{% if " + strings.Repeat("not ", 240) + "a %}{% endif %}",
		"{{ " + strings.Repeat("(", 490) + " }}",
		strings.Repeat("{%if a%}", 60) + strings.Repeat("{%endif%}", 50),
	} {
		require.NotPanics(t, func() { _, _ = render(text, sample) })
	}
}

func TestRenderAllocates(t *testing.T) {
	cases := map[string]float64{
		"plain text":                 3,
		"Hello {{ userId }}":         4,
		"{{ o.k.x | plus: 1 }}":      10,
		"{% if n > 3 %}y{% endif %}": 5,
	}
	for text, most := range cases {
		template, err := liquid.Compile(text)
		require.NoError(t, err)
		got := testing.AllocsPerRun(100, func() { _, _ = template.Render(sample) })
		assert.LessOrEqual(t, got, most, text)
	}
}

func BenchmarkRender(b *testing.B) {
	template, err := liquid.Compile("{% if properties.vip %}VIP{% else %}-{% endif %} {{ userId | upcase }} {{ n | times: 2 }}")
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := template.Render(sample); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := liquid.Compile("{% if properties.vip %}VIP{% endif %} {{ userId | upcase }}"); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzCompileRender(f *testing.F) {
	for _, seed := range []string{
		"{{ userId | upcase }}", "{% if t == blank %}x{% elsif n %}y{% else %}z{% endif %}", "{% assign a = n | plus: 1 %}{{a}}",
		"{{ tags[0] | slice: -1, 9 }}", "{{ f | round: 99 }}", "{{ 'x' | truncate: -5 }}", "{%- raw -%} {{ x {%- endraw -%}",
		"{% liquid\n assign a = 1\n echo a %}", "{{ (1..n) | join: '-' }}", "{{ when | date: '%-d %10Y %^b', 60 }}",
		"{% capture \"a\" %}{% cycle g: 1, 'b' %}{% endcapture %}", "{{ o | json: 2 }}{{ s | replace: '', n }}", "{% # x %}{% comment %}{% endcomment %}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		template, err := liquid.Compile(text)
		if err != nil {
			refuteBug(t, err)
			return
		}
		out, err := template.Render(sample)
		if len(out) > liquid.MaxText {
			t.Fatalf("made %d bytes", len(out))
		}
		if err != nil {
			refuteBug(t, err)
		}
	})
}

func refuteBug(t *testing.T, err error) {
	if strings.Contains(err.Error(), "cannot be processed") {
		t.Fatalf("panicked: %v", err)
	}
}
