package liquid_test

import (
	_ "embed"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/language/mapping/internal/liquid"
)

//go:embed testdata/event.json
var eventJSON string

//go:embed testdata/reference.txt
var reference string

var sample = event.MustParse(eventJSON)

func render(text string, v event.Value) (string, error) {
	template, err := liquid.Compile(text)
	if err != nil {
		return "", err
	}
	return template.Render(v)
}

// TestReference compares every template of reference.txt with the output of the reference implementation.
func TestReference(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(reference), "\n")[2:]
	for i := 0; i+1 < len(lines); i += 2 {
		got, err := render(lines[i], sample)
		if lines[i+1] == "\terror" {
			assert.Error(t, err, lines[i])
			continue
		}
		want, unquoted := strconv.Unquote(strings.TrimSpace(lines[i+1]))
		require.NoError(t, unquoted, lines[i+1])
		assert.NoError(t, err, lines[i])
		assert.Equal(t, want, got, lines[i])
	}
}

func TestSegment(t *testing.T) {
	v := event.MustParse(`{"event":"Audience Entered","userId":"u-100","context":{"traits":{"email":"Ana@Example.com"}},
		"properties":{"vip":true,"revenue":25.5,"quantity":3,"empty":"","none":null,"one":["numstr"],"tags":["a","b","c"],"numstr":"42","spaced":"  pad  ",
		"products":[{"name":"Hat"}],"long":"the quick brown fox jumps over the lazy dog"}}`)
	cases := map[string]string{
		"a\n  {{- userId -}}\n b":                                                 "au-100b",
		"{{ event | upcase }} {{ event | downcase }}":                             "AUDIENCE ENTERED audience entered",
		"{{ properties.tags | join: '+' }}":                                       "a+b+c",
		"{% if properties.empty == blank %}blank{% endif %}":                      "blank",
		"Hello {{ userId }}":                                                      "Hello u-100",
		"{% if event contains 'Audience' %}c{% endif %}":                          "c",
		"{{ properties.quantity | at_least: 5 }}":                                 "5",
		"{{ properties.quantity | at_most: 1 }}":                                  "1",
		"{{ properties.revenue | times: 2 }}":                                     "51",
		"{{ properties.revenue | abs }}":                                          "25.5",
		"{{ properties.quantity | minus: 1 | divided_by: 2 }}":                    "1",
		"{{ properties.tags | size }}":                                            "3",
		"{{ 'x' | md5_nope }}":                                                    "x",
		"{{ properties.none }}.":                                                  ".",
		"{{ properties.numstr | plus: 1 }}":                                       "43",
		"{{ properties.products[0].name }}":                                       "Hat",
		"{{ properties.long | truncatewords: 3 }}":                                "the quick brown...",
		"{{ properties.spaced | strip }}|":                                        "pad|",
		"{{ context.traits.email | split: \"@\" | first | downcase }}":            "ana",
		"{{ 'a b&c' | url_encode }}":                                              "a+b%26c",
		"{{ properties.tags[1] }}{{ properties.tags.first }}":                     "ba",
		"{{ properties.tags.last }}":                                              "c",
		"{% unless properties.vip %}no{% endunless %}x":                           "x",
		"{{ context.traits.email | url_decode }}":                                 "Ana@Example.com",
		"{{ properties.revenue | round }}":                                        "26",
		"{% liquid\n assign a = 1\n # note\n echo a\n if a\n echo 'y'\n endif %}": "1y",
		"{% liquid\n comment\n for\n endcomment\n echo 2 %}":                      "2",
		"{{ 'Crème Brûlée 2' | slugify: 'latin' }}":                               "creme-brulee-2",
		"{{ 'Crème Brûlée 2' | slugify }}":                                        "crème-brûlée-2",
		"{{ properties[properties.one] }}|{{ properties[properties] }}|":          "||",
		"{{ properties['numstr'] }}{{ properties[properties.none] }}":             "42",
		"{{ 5 | minus: -1 }}{{ 1st }}{{ 1e3 }}":                                   "6",
		"{% # a note\n # in two lines %}x":                                        "x",
	}
	for text, want := range cases {
		got, err := render(text, v)
		assert.NoError(t, err, text)
		assert.Equal(t, want, got, text)
	}
}

// TestDifferences lists the intentional differences from liquidjs.
func TestDifferences(t *testing.T) {
	v := event.MustParse(`{"id":9007199254740993,"o":{"k":[1.50]},"same":{"k":[1.50]},"n":5,"t":true}`)
	cases := map[string]string{
		"{{ id }}":                                     "9007199254740993", // liquidjs: 9007199254740992
		"{{ o }}":                                      `{"k":[1.5]}`,      // liquidjs: [object Object]
		"{{ o | append: '!' }}":                        `{"k":[1.5]}!`,     // liquidjs: [object Object]!
		"{% if o == same %}same{% endif %}":            "same",             // liquidjs: one object is never another
		"{{ t | date: '%Y' }}":                         "true",             // liquidjs: 1970
		"{{ '1767323045000' | date: '%Y' }}":           "2026",             // liquidjs: 57974
		"{{ '1990' | date: '%Y' }}":                    "1990",             // liquidjs: 1970
		"{{ '19900415' | date: '%d' }}":                "15",               // liquidjs: 19
		"{{ 631152000000 | date: '%Y' }}":              "1990",             // liquidjs: 21970
		"{{ '2026-01-02 03:04:05 EST' | date: '%H' }}": "08",               // liquidjs: the machine's zone for an unknown zone
		"{% if 'null' contains nil %}y{% endif %}":     "",                 // liquidjs: y
		"{{ '😀' | split: '' | size }}":                 "1",                // liquidjs: 2 halves
		"{% raw %} x {%- endraw %}":                    " x ",
	}
	for text, want := range cases {
		got, err := render(text, v)
		assert.NoError(t, err, text)
		assert.Equal(t, want, got, text)
	}
	refused := []string{"{{ 'a' 'b' }}", "{{ 'a' | }}", "{% if n <> 5 %}x{% endif %}", "{% if n == 5 foo %}x{% endif %}", "{{ n | sample }}", "{% block a %}{% endblock %}", "{% break %}"}
	for _, text := range refused {
		_, err := liquid.Compile(text)
		assert.Error(t, err, text)
	}
}

func TestCompileRefuses(t *testing.T) {
	cases := map[string]string{
		"{% for x in tags %}{% endfor %}":           `tag "for" is disabled`,
		"{%- include 'x' -%}":                       `tag "include" is disabled`,
		"{% case t %}{% endcase %}":                 `tag "case" is disabled`,
		"{% nope 1 %}":                              `unknown tag "nope" in {% nope 1 %}`,
		"{% output 1 %}":                            `unknown tag "output" in {% output 1 %}`,
		"{{ tags | map: 'x' }}":                     `filter "map" is disabled in {{ tags | map: 'x' }}`,
		"{% if tags | sort %}{% endif %}":           `filter "sort" is disabled in {% if tags | sort %}`,
		"x{% if t %}y":                              "the block is not closed by {% endif %} in {% if t %} (line 1, column 2)",
		"{% if t %}{% endunless %}":                 `no open block accepts "endunless" in {% endunless %} (line 1, column 11)`,
		"{% endif %}":                               `no open block accepts "endif" in {% endif %}`,
		"{% if t %}{% else %}{% else %}{% endif %}": `"else" comes after else in {% else %} (line 1, column 21)`,
		"{% if %}x{% endif %}":                      "expected a value in {% if %}",
		"{{ userId ":                                "the output is not closed in {{ userId (line 1, column 1)",
		"{% if t ":                                  "the tag is not closed in {% if t (line 1, column 1)",
		"{% comment %} x":                           "the tag is not closed in {% comment %} (line 1, column 1)",
		"{% raw %} x":                               "the tag is not closed in {% raw %} (line 1, column 1)",
		"{%%}":                                      "missing tag name in {%%}",
		"{{ }}":                                     "expected a value in {{ }}",
		"{{ a | upcase foo }}":                      `expected "|" before foo in {{ a | upcase foo }}`,
		"{{ a['b }}":                                "is not closed",
		"{% liquid\n echo 'b\n %}":                  "the quote of 'b is not closed in echo 'b (line 2, column 2)",
		"{{ 2-1 }}":                                 `expected "|" before -1 in {{ 2-1 }}`,
		"{{ a[1 }}":                                 `expected "]" in {{ a[1 }}`,
		"{{ (1..2 }}":                               "expected a range such as (1..5)",
		"ab\n é{% if t %}\n{% elsif %}{% endif %}": "expected a value in {% elsif %} (line 3, column 1)",
		"é\n é{{ a. }}": `expected a name after "." in {{ a. }} (line 2, column 3)`,
		"{% if t %}{% capture a %}{% else %}{% endcapture %}{% endif %}": `no open block accepts "else" in {% else %} (line 1, column 26)`,
		"{% if t %}{% capture a %}{% endif %}":                           `no open block accepts "endif" in {% endif %} (line 1, column 26)`,
		"{% else %}":                                                     `no open block accepts "else" in {% else %}`,
		"x\n{% liquid\n  assign a = 1\n  assign b\n %}":                  `expected a name and "=" in assign b (line 4, column 3)`,
		"x{% liquid\n  if a\n  echo 1 %}":                                "the block is not closed by {% endif %} in if a (line 2, column 3)",
		"{% liquid\n comment\n %}":                                       "a comment is not closed in {% liquid comment %} (line 1, column 1)",
		"{% liquid\n raw\n %}":                                           `tag "raw" is not allowed in {% liquid %} in raw (line 2, column 2)`,
		"{% elseif t %}":                                                 `unknown tag "elseif" (did you mean "elsif"?) in {% elseif t %}`,
		"{%}x":                                                           "the tag is not closed in {%}x",
		"{{ a. }}":                                                       `expected a name after "."`,
		"{% assign 1 2 %}":                                               `expected a name and "="`,
		"{% capture %}{% endcapture %}":                                  "expected a name",
		"{% cycle %}":                                                    "expected values separated by commas",
		strings.Repeat("é", 1001):                                        "should be at most 1000 characters long but has 1001",
		strings.Repeat("😀", 501):                                         "should be at most 1000 characters long but has 1002",
		"{{ " + strings.Repeat("a", 99) + "! }}":                         "…",
	}
	for text, want := range cases {
		_, err := liquid.Compile(text)
		assert.ErrorContains(t, err, want, text)
	}
	_, err := liquid.Compile(strings.Repeat("é", 1000))
	assert.NoError(t, err)
}

func TestRenderErrors(t *testing.T) {
	cases := map[string]string{
		"{{ n | append }}": `filter "append" needs an argument in {{ n | append }}`,
		"{% if t %}{{ '%zz' | url_decode }}{% endif %}": `filter "url_decode" needs URL-encoded text in {{ '%zz' | url_decode }}`,
		"{% assign a = '!' | base64_decode %}":          `filter "base64_decode" needs base64 text in {% assign a = '!' | base64_decode %}`,
		"{{ when | date: '%H', 'Mars/Phobos' }}":        `filter "date" does not know the time zone: it should be a name such as "Europe/Berlin"`,
		"{{ when | date: '%H', '../../etc/passwd' }}":   "does not know the time zone",
	}
	for text, want := range cases {
		_, err := render(text, sample)
		assert.ErrorContains(t, err, want, text)
	}
}

func TestConcurrentUse(t *testing.T) {
	template, err := liquid.Compile("{% assign x = userId | upcase %}{{ x }}{% increment c %}{% cycle 'a', 'b' %}{% cycle 'a', 'b' %}{% capture y %}{{ n }}{% endcapture %}{{ y }}")
	require.NoError(t, err)
	before := sample.JSON()
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 100 {
				if got, err := template.Render(sample); got != "U10ab5" || err != nil {
					t.Errorf("%q, %v", got, err)
					return
				}
			}
		})
	}
	group.Wait()
	assert.Equal(t, before, sample.JSON())
}

// TestFiltersAreListedWithTheirArguments checks the list from which the documentation and the editor schema are made.
func TestFiltersAreListedWithTheirArguments(t *testing.T) {
	usages := map[string]string{}
	for _, f := range liquid.Filters() {
		usages[f.Name] = f.Usage
		assert.NotEmpty(t, f.Summary, f.Name)
		_, err := liquid.Compile(f.Example)
		assert.NoError(t, err, f.Name)
	}
	assert.Equal(t, "upcase", usages["upcase"])
	assert.Equal(t, "append: text", usages["append"])
}
