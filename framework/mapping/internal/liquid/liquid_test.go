package liquid_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/mapping/internal/liquid"
)

var v = event.MustParse(`{"userId":"u1","n":5,"f":25.5,"big":1234567.5,"million":1000000.0,"id":9007199254740993,"t":true,"none":null,"empty":"","s":"  Hello world ",
	"tags":["a","b",null,"c"],"o":{"k":{"x":1}},"list":[{"p":1,"on":true},{"p":2.5}],"when":"2026-01-02T03:04:05Z","seconds":1767323045,"numstr":"42"}`)

func TestRender(t *testing.T) {
	cases := map[string]string{
		"": "", "plain": "plain", "{{ userId }}-{{nope}}-{{none}}": "u1--", "{{ f }} {{ big }} {{ million }} {{ id }}": "25.5 1234567.5 1000000 9007199254740993",
		"{{ f | times: 2 }} {{ numstr | plus: 1 }} {{ 3 | minus: 1 | divided_by: 2 }} {{ 7 | divided_by: 2 }} {{ 7.0 | divided_by: 2 }}":                                                                                  "51 43 1 3 3.5",
		"{{ f | round }} {{ 2.345 | round: 2 }} {{ f | ceil }} {{ f | floor }} {{ -3 | abs }} {{ 7 | modulo: 4 }}":                                                                                                        "26 2.35 26 25 3 3",
		"{{ n | at_least: 7 }} {{ n | at_most: 2 }} {{ '0.1' | plus: '0.2' }}":                                                                                                                                            "7 2 0.30000000000000004",
		"{{ tags }} {{ tags | join: '+' }} {{ tags | size }} {{ tags | compact | size }} {{ tags.first }}{{ tags.last }}{{ tags[1] }}{{ tags.size }}":                                                                     "abc a+b++c 4 3 acb4",
		"{{ o }} {{ o.k.x }} {{ list | json }} {{ list | sum: 'p' }} {{ list | where: 'on' | size }}":                                                                                                                     `{"k":{"x":1}} 1 [{"on":true,"p":1},{"p":2.5}] 3.5 1`,
		"{{ s | strip | upcase }}|{{ s | lstrip }}|{{ s | rstrip }}|{{ 'ß' | upcase }}":                                                                                                                                   "HELLO WORLD|Hello world |  Hello world|SS",
		"{{ 'HELLO there' | capitalize }} {{ 'a-b-c' | split: '-' | last }} {{ 'a b' | slugify }}":                                                                                                                        "Hello there c a-b",
		"{{ 'abcdef' | truncate: 5 }} {{ 'a b c d' | truncatewords: 2 }} {{ 'a b' | truncatewords: 2 }} {{ tags | push: 'z' | last }}{{ tags | unshift: 'y' | first }} {{ 'abc' | slice: 1 }} {{ 'abc' | slice: -2, 2 }}": "ab... a b... a b... zy b bc",
		"{{ 'a.b.c' | replace: '.', '-' }} {{ 'aXbX' | remove_last: 'X' }} {{ 'aXbX' | replace_first: 'X', 'Y' }}":                                                                                                        "a-b-c aXb aYbX",
		"{{ 'a b&c' | url_encode }} {{ 'a%20b' | url_decode }} {{ 'x' | base64_encode }} {{ '<b>' | escape }} {{ '<b>x</b>' | strip_html }}":                                                                              "a+b%26c a b eA== &lt;b&gt; x",
		"{{ nope | default: 'd' }} {{ empty | default: 'e' }} {{ t | default: 'x' }}":                                                                                                                                     "d e true",
		"{{ when | date: '%Y-%m-%d' }} {{ seconds | date: '%H:%M' }} {{ 'no date' | date: '%Y' }}":                                                                                                                        "2026-01-02 03:04 no date",
		"{{ 'x' | md5_nope: 1, 2 }}": "x",
		"{% if t %}y{% else %}n{% endif %}{% unless t %}a{% else %}b{% endunless %}":                                                               "yb",
		"{% if empty == blank %}1{% endif %}{% if nope == blank %}2{% endif %}{% if userId != blank %}3{% endif %}{% if s == empty %}4{% endif %}": "123",
		"{% if f > 20 and n <= 5 %}y{% elsif t %}z{% endif %}{% if userId contains 'u' %}c{% endif %}{% if tags contains 'b' %}d{% endif %}":       "ycd",
		"{% if n == 5 %}eq{% endif %}{% if f == 25.5 %}eq{% endif %}{% if none == nil %}nil{% endif %}":                                            "eqeqnil",
		"{% assign x = n | plus: 1 %}{{ x }}{% capture y %}<{{ x }}>{% endcapture %}{{ y }}":                                                       "6<6>",
		"{% increment c %}{% increment c %}{% decrement d %}{% echo userId %}{% comment %}{{ for }}{% endcomment %}{% raw %}{{ x }}{% endraw %}":   "01-1u1{{ x }}",
		"a\n {{- userId -}} \n b": "au1b",
	}
	for text, want := range cases {
		template, err := liquid.Compile(text)
		if !assert.NoError(t, err, text) {
			continue
		}
		got, err := template.Render(v)
		assert.NoError(t, err, text)
		assert.Equal(t, want, got, text)
	}
}

func TestCompileRefuses(t *testing.T) {
	cases := map[string]string{
		"{% for x in tags %}{% endfor %}": `tag "for" is disabled`,
		"{%- include 'x' -%}":             `tag "include" is disabled`,
		"{{ tags | map: 'x' }}":           `filter "map" is disabled`,
		"{% if tags | sort %}{% endif %}": `filter "sort" is disabled`,
		"{% nope %}":                      `undefined tag "nope"`,
		"{% if t %}":                      "unterminated",
		strings.Repeat("x", 1001):         "should be at most 1000 characters long but has 1001",
		"{{ 'a' | }}":                     "syntax error",
	}
	for text, want := range cases {
		_, err := liquid.Compile(text)
		assert.ErrorContains(t, err, want, text)
	}
}

func TestGrowthIsStopped(t *testing.T) {
	cases := []string{
		"{% assign a = 'xxxxxxxx' %}" + strings.Repeat("{%assign a=a|append:a%}", 40),
		"{% assign a = 'xxxxxxxx' %}" + strings.Repeat("{%assign a=a|replace:'x','xx'%}", 30),
		"{% assign a = 'xxxxxxxx' %}" + strings.Repeat("{%capture a%}{{a}}{{a}}{%endcapture%}", 25),
		"{% assign a = s %}" + strings.Repeat("{%assign a=a|split:''|join:a%}", 20),
		strings.Repeat("{{ l }}", 140),
	}
	long := event.NewObject([]event.Member{{Key: "s", Value: event.NewString("abcd")}, {Key: "l", Value: event.NewString(strings.Repeat("x", 10_000))}})
	for _, text := range cases {
		template, err := liquid.Compile(text)
		require.NoError(t, err, text)
		_, err = template.Render(long)
		assert.ErrorContains(t, err, "makes more than 1 MB of text", text[:40])
	}
	template, err := liquid.Compile("{{ n | divided_by: 0 }}")
	require.NoError(t, err)
	_, err = template.Render(v)
	assert.ErrorContains(t, err, "cannot divide by zero")
}

func TestConcurrentUse(t *testing.T) {
	template, err := liquid.Compile("{% assign x = userId | upcase %}{{ x }}{% increment c %}")
	require.NoError(t, err)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				if got, err := template.Render(v); got != "U10" || err != nil {
					t.Errorf("%q, %v", got, err)
					return
				}
			}
		})
	}
	group.Wait()
}

func FuzzCompileRender(f *testing.F) {
	for _, seed := range []string{"{{ userId | upcase }}", "{% if t == blank %}x{% endif %}", "{% assign a = n | plus: 1 %}{{a}}", "{{ tags[0] | slice: -1, 9 }}", "{{ f | round: 99 }}", "{{ 'x' | truncate: -5 }}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		template, err := liquid.Compile(text)
		if err != nil {
			return
		}
		out, _ := template.Render(v)
		if len(out) > liquid.MaxText {
			t.Fatalf("made %d bytes", len(out))
		}
	})
}
