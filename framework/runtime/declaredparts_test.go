package runtime_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/httpx"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/runtime"
	"github.com/landfall-dev/landfall/framework/runtime/config"
)

// TestTokenIsPlacedByAnyRequest checks that the token is not sent as a bearer token too if one request of the definition places it.
func TestTokenIsPlacedByAnyRequest(t *testing.T) {
	const placed = `{url: /x, headers: {X-Access: "{{auth.accessToken}}"}}`
	const fields = `fields: {id: {label: ID, type: string}, key: {label: Key, type: string}, at: {label: At, type: datetime}, all: {label: All, type: object}}`
	for name, more := range map[string]string{
		"onDelete":             "onDelete: {request: " + placed + "}",
		"a step of onDelete":   "onDelete: {request: {steps: [{url: /y}, " + placed + "]}}",
		"creating an audience": "audienceConfig: {mode: {type: synced}, create: {id: x, request: " + placed + "}}",
		"finding an audience":  "audienceConfig: {mode: {type: synced}, create: {id: x, request: {url: /y}}, find: {id: x, request: " + placed + "}}",
		"a hook":               "HOOK",
		"adding members":       "AUDIENCE",
		"none":                 "",
	} {
		t.Run(name, func(t *testing.T) {
			top, action := more, ""
			switch more {
			case "HOOK":
				top, action = "", "    hooks: {onMappingSave: {label: H, request: "+placed+"}}"
			case "AUDIENCE":
				top = ""
			}
			definition := strings.Replace(fmt.Sprintf(shop, "request: {baseUrl: https://shop.example.com}\n"+top, action), "tokenUrl: https", "test: {url: /test}\n  tokenUrl: https", 1)
			if more == "AUDIENCE" {
				definition += "  sync:\n    title: Sync\n    " + fields + "\n    audience: {id: id, key: key, properties: all, time: at, identifiers: [id], add: " + placed + ", remove: {url: /y}}\n"
			}
			var sent string
			plan := declaredPlan(t, definition, runtime.Host{Token: tokens("t-1"), Transport: answers(func(r *http.Request, _ string) (int, string) {
				sent = r.Header.Get("Authorization")
				return 200, `{}`
			})})
			require.NoError(t, plan.Test(t.Context()))
			if name == "none" {
				assert.Equal(t, "Bearer t-1", sent)
			} else {
				assert.Empty(t, sent)
			}
		})
	}
}

// TestBasicCredentials checks what the scheme basic sends, and the mistakes in it.
func TestBasicCredentials(t *testing.T) {
	const definition = `
name: A
slug: a
mode: cloud
authentication:
  scheme: %s
  test: {url: "https://a.example.com", response: {accept: [400], failures: [{when: {"@expr": "body.valid == false"}, message: "the key is not valid"}]}}
  fields: {site: {label: Site, type: string}, key: {label: Key, type: password}}
actions: {put: {title: Put, fields: {}, request: {url: "https://a.example.com"}}}
`
	load := func(authentication string) (*runtime.Plan, *string, error) {
		plugin := destination.Plugin{Definition: fstest.MapFS{destination.DefinitionFile: {Data: fmt.Appendf(nil, definition, authentication)}}}
		d, err := plugin.Load()
		if err != nil {
			return nil, nil, err
		}
		var sent string
		plan, err := runtime.New(plugin, d, config.InstanceOf(event.MustParse(`{"id":"i","settings":{"site":"s1","key":"k-1"},"subscriptions":[{"action":"put","subscribe":"type = \"track\""}]}`)), runtime.Host{
			Transport: answers(func(r *http.Request, _ string) (int, string) {
				user, password, _ := r.BasicAuth()
				sent = user + " " + password
				switch password {
				case "":
					return 400, `{"message":"no body"}`
				case "wrong":
					return 200, `{"valid":false}`
				}
				return 200, `{}`
			})})
		return plan, &sent, err
	}
	for text, want := range map[string]string{
		`basic, username: "{{settings.key}}"`:                                               "k-1 ",
		`basic, username: "{{settings.site}}", password: "{{settings.key}}"`:                "s1 k-1",
		`basic, username: x, password: {"@expr": "upper(settings.key)"}`:                    "x K-1",
		`basic, password: wrong`:                                                            "the key is not valid",
		`basic, username: "a:{{settings.site}}"`:                                            "the user name of the scheme basic must not contain a colon",
		`basic`:                                                                             "needs the field username because the scheme is basic: add it, or say what is sent with username and password beside the scheme",
		`custom, username: "{{settings.key}}"`:                                              "destination.yaml:7:13: /authentication/username is only allowed with the scheme basic, but the scheme is custom",
		`basic, username: "{{settings.keey}}"`:                                              "destination.yaml:7:13: /authentication/username/@template reads settings.keey, which does not exist (did you mean \"key\"?)",
		`basic, username: "{{payload.key}}"`:                                                `reads "payload", but the names here are settings`,
		`basic, user: "{{settings.key}}"`:                                                   `destination.yaml:7:9: /authentication/user is not a known key`,
		`basic, username: {"@expr": "settings.key +"}, password: {"@path": $.settings.kye}`: `/authentication/password/@path reads settings.kye`,
	} {
		plan, sent, err := load(strings.ReplaceAll(text, ", ", "\n  "))
		if err == nil {
			if err = plan.Test(t.Context()); err == nil {
				assert.Equal(t, want, *sent, text)
				continue
			}
		}
		assert.ErrorContains(t, err, want, text)
	}
}

// rememberDefinition looks up a list once and adds users to it.
const rememberDefinition = `
name: Lists
slug: lists
mode: cloud
authentication: {scheme: none}
actions:
  add:
    title: Add
    defaultSubscription: type = "track"
    fields:
      list: {label: List, type: string, default: {"@path": $.event}}
      id: {label: ID, type: string, default: {"@path": $.userId}}
    request:
      steps:
        - name: found
          method: GET
          url: https://lists.example.com/find?name={{payload.list}}
          remember: {for: 1h, when: {"@expr": "len(body.lists) > 0"}}
        - when: {"@expr": "len(answers.found.body.lists) == 0"}
          refuse: There is no list {{payload.list}}.
        - url: {"@expr": "'https://lists.example.com/' + answers.found.body.lists[0]"}
          body: {id: {"@path": $.payload.id}}
`

// TestRememberedAnswers checks how long answers are used again, and which.
func TestRememberedAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent []string
		lists := map[string]string{"news": "l1"}
		gone := false
		plugin := destination.Plugin{Definition: fstest.MapFS{destination.DefinitionFile: {Data: []byte(rememberDefinition)}}}
		d, err := plugin.Load()
		require.NoError(t, err)
		plan, err := runtime.New(plugin, d, config.InstanceOf(event.MustParse(`{"id":"i","subscriptions":[{"action":"add"}]}`)), runtime.Host{
			Transport: answers(func(r *http.Request, body string) (int, string) {
				sent = append(sent, r.URL.RequestURI())
				switch name := r.URL.Query().Get("name"); {
				case r.Method == "POST" && gone:
					return 404, `{"message":"there is no such list"}`
				case r.Method == "POST":
					return 200, `{}`
				case lists[name] != "":
					return 200, fmt.Sprintf(`{"lists":[%q]}`, lists[name])
				}
				return 200, `{"lists":[]}`
			})})
		require.NoError(t, err)
		add := func(list string) string {
			sent = nil
			v := plan.RunBatch(t.Context(), events(t, fmt.Sprintf(`{"type":"track","event":%q,"userId":"u1"}`, list)))[0][0]
			return strings.TrimSpace(string(v.Outcome) + " " + v.Reason)
		}
		for _, step := range []struct {
			before func()
			list   string
			want   string
			sent   []string
		}{
			{nil, "news", "delivered", []string{"/find?name=news", "/l1"}},
			{nil, "news", "delivered", []string{"/l1"}},
			{nil, "sport", "refused There is no list sport.", []string{"/find?name=sport"}},
			{func() { lists["sport"] = "l2" }, "sport", "delivered", []string{"/find?name=sport", "/l2"}},
			{func() { time.Sleep(61 * time.Minute) }, "news", "delivered", []string{"/find?name=news", "/l1"}},
			{func() { gone, lists["news"] = true, "l9" }, "news", "refused there is no such list", []string{"/l1"}},
			{func() { gone = false }, "news", "delivered", []string{"/find?name=news", "/l9"}},
		} {
			if step.before != nil {
				step.before()
			}
			assert.Equal(t, step.want, add(step.list))
			assert.Equal(t, step.sent, sent)
		}
	})
}

// TestCompressedBodies checks that what is shown of a compressed body has no secrets, and that the bound applies to what it contains.
func TestCompressedBodies(t *testing.T) {
	var shown []string
	var length int64
	definition := fmt.Sprintf(shop, `request: {baseUrl: "https://shop.example.com"}`, `      compress: gzip
      batch: {bytes: 100}
      body: {key: {"@path": $.settings.key}, items: {"@path": $.items}}`)
	plan := declaredPlan(t, definition, runtime.Host{
		Token:   tokens("t-1"),
		Observe: func(x httpx.Exchange) { shown = append(shown, string(x.Body)) },
		Transport: answers(func(r *http.Request, body string) (int, string) {
			length = r.ContentLength
			assert.Equal(t, "gzip", r.Header.Get("Content-Encoding"))
			assert.True(t, strings.HasPrefix(body, "\x1f\x8b"))
			return 200, `{}`
		})})
	v := plan.RunBatch(t.Context(), events(t, `{"type":"track","userId":"u1"}`, `{"type":"track","userId":"`+strings.Repeat("x", 200)+`"}`))
	assert.Equal(t, runtime.Delivered, v[0][0].Outcome)
	assert.Equal(t, runtime.Refused, v[1][0].Outcome)
	assert.Contains(t, v[1][0].Reason, "the request is larger than 100 bytes")
	assert.Equal(t, []string{`{"key":"[hidden]","items":[{"id":"u1"}]}`}, shown)
	assert.Positive(t, length)
}

// TestBlocksOfThePageOfRequests checks that the parts of definitions on the page load.
func TestBlocksOfThePageOfRequests(t *testing.T) {
	page, err := os.ReadFile("../destination/request/README.md")
	require.NoError(t, err)
	for start, rest := range map[string]string{
		"authentication:\n": "  fields: {siteId: {label: Site, type: string}, apiKey: {label: Key, type: password}}\nactions: {a: {title: A, fields: {}, request: {url: /a}}}\n",
		"limits:":           "authentication: {scheme: none}\n",
	} {
		_, block, ok := strings.Cut(string(page), "```yaml\n"+start)
		require.True(t, ok, start)
		block, _, _ = strings.Cut(block, "```")
		text := "name: A\nslug: a\nmode: cloud\nrequest: {baseUrl: https://a.example.com}\n" + start + block + rest
		d, err := destination.Plugin{Definition: fstest.MapFS{destination.DefinitionFile: {Data: []byte(text)}}}.Load()
		require.NoError(t, err, text)
		for _, f := range d.Lint(destination.LintOptions{}) {
			assert.True(t, f.Advice, f.Message)
		}
	}
}
