package runtime_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// TestMappingsThatFailOnEvents loads mappings whose evaluation fails on all events, or on some only.
func TestMappingsThatFailOnEvents(t *testing.T) {
	registry, err := destination.NewRegistry([]destination.Plugin{messagesPlugin()})
	require.NoError(t, err)
	const probably = "fails on each sample event that was tried, so events like them are refused: mapping /@expr "
	for expression, want := range map[string]string{
		`userId + 1`:                             probably + "+ cannot be used on a text and a number",
		`timestamp * 2`:                          probably + "* cannot be used on a text and a number",
		`groupId + "x"`:                          probably + "+ cannot be used on null and a text",
		`event + "x"`:                            "",
		`properties.a + 1`:                       "",
		`properties.a * properties.b`:            "",
		`properties.a - properties.b * traits.c`: "",
		`upper(properties.a) + string(properties.b * 2)`:                                     "",
		`upper(properties.a) + string(properties.b * 2) + lower(traits.c) + upper(traits.d)`: "",
		`properties.items[0].price * 2`:                                                      "",
		`filter(properties.items, .price > 3)`:                                               "",
		`map(properties.items, .a + 1)`:                                                      "",
		`split(properties.s, ",")[1]`:                                                        "",
		`fromJSON(properties.s).x`:                                                           "",
		`date(properties.s)`:                                                                 "",
		`upper(timestamp)`:                                                                   "",
	} {
		for _, place := range []string{"/code", "/to/id"} {
			mapping := `{"@expr":` + event.NewString(expression).JSON() + `}`
			if place == "/to/id" {
				mapping = `{"id":` + mapping + `}`
			}
			key, _, _ := strings.Cut(place[1:], "/")
			text := `{"destinations":[{"id":"m","destination":"messages","settings":{},"subscriptions":[{"action":"send","subscribe":"type = \"track\"","mapping":{"name":"n","id":"i","` +
				key + `":` + mapping + `}}]}]}`
			plan, err := loadText(t, registry, text)
			require.NoError(t, err, expression)
			found := problemLines(plan.Warnings().Err())
			if want == "" {
				assert.Empty(t, found, expression)
				continue
			}
			require.Len(t, found, 1, expression)
			assert.True(t, strings.HasPrefix(found[0], "/destinations/0/subscriptions/0/mapping"+place+" "+want), found[0])
		}
	}
}

func loadText(t *testing.T, registry *destination.Registry, text string) (*runtime.Plan, error) {
	cfg, problems := config.Parse("f.yaml", []byte(text), config.Env{})
	require.Empty(t, problems, text)
	return runtime.LoadInstance(cfg, cfg.Instances[0], registry, nil)
}

// A constant directive that fails is a mistake of the config, and is reported once.
func TestConstantsThatFail(t *testing.T) {
	registry, err := destination.NewRegistry([]destination.Plugin{messagesPlugin()})
	require.NoError(t, err)
	for directive, want := range map[string]string{
		`{"@expr":"sum([\"a\"])"}`:           "/@expr + cannot be used on a number and a text",
		`{"@expr":"date(\"x\")"}`:            "/@expr the text is not a date",
		`{"@expr":"json(1/0)"}`:              "/@expr produces +Inf, which is not a number in JSON",
		`{"@expr":"json({\"a\": [0.0/0]})"}`: "/@expr produces NaN, which is not a number in JSON",
	} {
		text := `{"destinations":[{"id":"m","destination":"messages","settings":{},"subscriptions":[{"action":"send","subscribe":"type = \"track\"","mapping":{"name":"n","id":"i","code":` + directive + `}}]}]}`
		_, err := loadText(t, registry, text)
		found := problemLines(err)
		if assert.Len(t, found, 1, directive) {
			assert.Contains(t, found[0], want, directive)
		}
	}
}

// TestConstantsOfABranchThatFail checks that a constant which fails only for events of one branch is a warning, at any depth of the branch.
func TestConstantsOfABranchThatFail(t *testing.T) {
	registry, err := destination.NewRegistry([]destination.Plugin{messagesPlugin()})
	require.NoError(t, err)
	const fails, exists = `{"@expr":"sum([\"a\"])"}`, `{"@if":{"exists":{"@path":"$.properties.a"},"then":`
	for directive, place := range map[string]string{
		exists + fails + `,"else":"x"}}`:                                            "/@if/then/@expr",
		exists + exists + fails + `}},"else":"x"}}`:                                 "/@if/then/@if/then/@expr",
		exists + `"x","else":{"@json":{"mode":"encode","value":[` + fails + `]}}}}`: "/@if/else",
	} {
		text := `{"destinations":[{"id":"m","destination":"messages","settings":{},"subscriptions":[{"action":"send","subscribe":"type = \"track\"","mapping":{"name":"n","id":"i","code":` + directive + `}}]}]}`
		plan, err := loadText(t, registry, text)
		require.NoError(t, err, directive)
		found := problemLines(plan.Warnings().Err())
		if assert.Len(t, found, 1, directive) {
			assert.Contains(t, found[0], "mapping/code"+strings.TrimSuffix(place, "/@expr")+" fails for every event that takes this branch: ")
		}
	}
}
