package destinationtest_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/destinationtest"
	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

const definition = `
name: Acme
slug: acme
mode: cloud
description: Keeps contacts in Acme.
authentication:
  scheme: custom
  fields:
    api_key: {label: API Key, description: The key of your account., type: password, required: true}
    region: {label: Region, description: Where your account is., type: string, required: true, default: us, choices: [us, eu]}
presets:
  - {name: Create Contacts, type: automatic, action: createContact, subscribe: type = "identify"}
actions:
  createContact:
    title: Create Contact
    description: Creates a contact.
    fields:
      id: {label: ID, description: The id of the contact., type: string, required: true, maximum: 40, default: {"@path": $.userId}}
      email: {label: Email, description: Where to write to., type: string, format: email, default: {"@path": $.traits.email}}
      age: {label: Age, description: How old they are., type: integer, minimum: 0, default: {"@path": $.traits.age}}
      tags: {label: Tags, description: Words., type: string, multiple: true, default: [new]}
      address:
        label: Address
        description: Where they live.
        type: object
        default: {"@path": $.traits.address}
        properties: {city: {label: City, type: string, required: true}}
`

// any is a value as it is, for handlers without generated types.
type raw struct{ event.Value }

func (r *raw) Decode(v event.Value) { r.Value = v }

type call = destination.Call[raw, raw]

// send creates a contact.
func send(ctx context.Context, c call) (*destination.Response, error) {
	var members []event.Member
	for key, v := range c.Payload.Members() {
		if key != "tags" {
			members = append(members, event.Member{Key: key, Value: v})
		}
	}
	return c.Client.Do(ctx, destination.Request{
		Method: http.MethodPost, URL: "https://" + c.Settings.Get("region").Str() + ".api.acme.test/contacts",
		Header: http.Header{"X-Api-Key": {c.Settings.Get("api_key").Str()}}, Body: event.NewObject(members).AppendJSON(nil),
	})
}

func test(ctx context.Context, _ event.Value, deps destination.Deps) error {
	_, err := deps.Client.Do(ctx, destination.Request{Method: http.MethodGet, URL: "https://eu.api.acme.test/me"})
	return err
}

// remoteFunc simulates Acme.
func remoteFunc(map[string][]string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /me", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /contacts", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if v, err := event.ParseValue(body); err != nil || v.Get("id").Str() == "refused" {
			w.WriteHeader(http.StatusUnprocessableEntity)
		}
		fmt.Fprint(w, `{}`)
	})
	return mux
}

// acme returns a valid destination whose contacts are created by perform.
func acme(text string, perform func(context.Context, call) (*destination.Response, error)) destination.Plugin {
	return destination.Plugin{
		Definition: fstest.MapFS{"destination.yaml": {Data: []byte(text)}},
		Actions:    map[string]destination.Action{"createContact": destination.Handle(destination.Handler[raw, raw]{Perform: perform})},
		Test:       test,
		Sandbox:    &destination.Sandbox{Name: "acme", New: remoteFunc},
	}
}

func TestValidDestinationPasses(t *testing.T) {
	destinationtest.RunIn(t, acme(definition, send), "testdata/acme")
}

// TestInvalidDestinationFails runs the checks on a destination with a finding, and on one that cannot be read, in processes of their own:
// the tests of these must fail.
func TestInvalidDestinationFails(t *testing.T) {
	const variable = "LANDFALL_INVALID"
	switch os.Getenv(variable) {
	case "finding":
		destinationtest.RunIn(t, acme(definition, func(ctx context.Context, c call) (*destination.Response, error) {
			_, _ = send(ctx, c)
			return nil, nil // an error of the remote is passed over
		}), "testdata/acme")
	case "unreadable":
		destinationtest.RunIn(t, acme("name: [", send), "testdata/acme")
	case "case":
		t.Chdir("testdata/acme")
		destinationtest.RunCases(t, acme(definition, func(context.Context, call) (*destination.Response, error) { return nil, nil }))
	case "unreadable for cases":
		t.Chdir("testdata/acme")
		destinationtest.RunCases(t, acme("name: [", send))
	case "in its own directory":
		t.Chdir("testdata/acme")
		destinationtest.Run(t, acme("name: [", send))
	case "valid case":
		t.Chdir("testdata/acme")
		destinationtest.RunCases(t, acme(definition, send))
	default:
		for run, want := range map[string]string{
			"finding": "--- FAIL: TestInvalidDestinationFails/every_status_leads_to_the_right_outcome", "unreadable": "--- FAIL: TestInvalidDestinationFails", "case": "--- FAIL: TestInvalidDestinationFails/", "valid case": "PASS",
			"unreadable for cases": "--- FAIL: TestInvalidDestinationFails", "in its own directory": "--- FAIL: TestInvalidDestinationFails",
		} {
			command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestInvalidDestinationFails$")
			command.Env = append(os.Environ(), variable+"="+run)
			output, err := command.CombinedOutput()
			assert.Equal(t, want == "PASS", err == nil, run)
			assert.Contains(t, string(output), want, run)
		}
	}
}

// breakage is one mistake in a destination, and the check that must find it.
type breakage struct {
	name, check string
	text        func(string) string
	perform     func(context.Context, call) (*destination.Response, error)
	plugin      func(*destination.Plugin)
}

func replace(old, new string) func(string) string {
	return func(text string) string { return strings.Replace(text, old, new, 1) }
}

func breakages(t *testing.T) []breakage {
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	var counter atomic.Int64
	return []breakage{
		{name: "slug", check: "names follow the rules", text: replace("slug: acme", "slug: acme-two\naliases: [acme]")},
		{name: "labels", check: "names follow the rules", text: replace("label: Email", "label: ID")},
		{name: "description", check: "everything has a description", text: replace("description: How old they are., ", "")},
		{name: "full stop", check: "everything has a description", text: replace("Creates a contact.", "Creates a contact")},
		{name: "secret", check: "secrets are passwords", text: replace("type: password", "type: string")},
		{name: "default", check: "defaults are values of their fields", text: replace("default: us", "default: mars")},
		{name: "preset of a field that is not there", check: "defaults are values of their fields", text: replace(`type = "identify"}`, `type = "identify", mapping: {nmae: x}}`)},
		{name: "bounds", check: "fields can be filled in", text: replace("maximum: 40", "minimum: 50, maximum: 40")},
		{name: "preset", check: "presets select events of their action", text: replace(`type = "identify"`, `type = "page"`)},
		{name: "no sandbox", check: "the sandbox accepts what each action sends", plugin: func(p *destination.Plugin) { p.Sandbox = nil }},
		{name: "no test", check: "credentials can be tested", plugin: func(p *destination.Plugin) { p.Test = nil }},
		{name: "no case", check: "every action has a case", text: replace("createContact:", "other: {title: Other, description: Other., fields: {}}\n  createContact:"),
			plugin: func(p *destination.Plugin) { p.Actions["other"] = p.Actions["createContact"] }},
		{name: "another request", check: "cases pass", perform: func(ctx context.Context, c call) (*destination.Response, error) {
			return c.Client.Do(ctx, destination.Request{Method: http.MethodPut, URL: "https://eu.api.acme.test/contacts"})
		}},
		{name: "a secret in an error", check: "secrets do not show", perform: func(ctx context.Context, c call) (*destination.Response, error) {
			_, err := send(ctx, c)
			if err != nil {
				return nil, &fault.Error{Code: "BAD", Status: 400, Message: "with " + base64.StdEncoding.EncodeToString([]byte(c.Settings.Get("api_key").Str()))}
			}
			return nil, nil
		}},
		{name: "a secret in the log", check: "secrets do not show", perform: func(ctx context.Context, c call) (*destination.Response, error) {
			c.Log.Info("sending", "key", c.Settings.Get("api_key").Str())
			return send(ctx, c)
		}},
		{name: "an error without its status", check: "every status leads to the right outcome", perform: func(ctx context.Context, c call) (*destination.Response, error) {
			_, err := send(ctx, c)
			if err != nil {
				return nil, errors.New("it did not work: " + err.Error())
			}
			return nil, nil
		}},
		{name: "an error passed over", check: "every status leads to the right outcome", perform: func(ctx context.Context, c call) (*destination.Response, error) {
			_, _ = send(ctx, c)
			return nil, nil
		}},
		{name: "the wait is lost", check: "every status leads to the right outcome", perform: func(ctx context.Context, c call) (*destination.Response, error) {
			response, err := send(ctx, c)
			if e := fault.As(err); e != nil {
				return nil, fault.FromStatus(e.Status, e.Error())
			}
			return response, nil
		}},
		{name: "a deletion passed over", check: "deletions have the right outcome", plugin: func(p *destination.Plugin) {
			p.OnDelete = func(ctx context.Context, in destination.DeleteInput) error {
				_, _ = in.Client.Do(ctx, destination.Request{Method: http.MethodDelete, URL: "https://eu.api.acme.test/contacts/" + in.UserID})
				return nil
			}
		}},
		{name: "choices made up", check: "choices come from the remote", text: replace("label: Email,", "label: Email, dynamic: true,"), plugin: func(p *destination.Plugin) {
			p.Choices = map[string]map[string]destination.ChoicesFunc{"createContact": {"email": func(context.Context, destination.ChoicesInput) (destination.Choices, error) {
				return destination.Choices{Choices: []destination.Choice{{Label: "a", Value: "a"}}}, nil
			}}}
		}},
		{name: "members made up", check: "the remote lists the members of an audience", plugin: func(p *destination.Plugin) {
			p.Audiences = destination.AudienceFields{Action: "createContact", ID: "id", Key: "email", Properties: "address", Time: "age", Kinds: []destination.IdentityKind{{Field: "id"}}}.Audiences()
			p.Audiences.List = &destination.MemberList{Fetch: func(_ context.Context, _ destination.ListInput, each func([]string) error) (string, error) {
				return "", each([]string{"id:u1"})
			}}
		}},
		{name: "a panic of a strange answer", check: "unexpected responses are handled", perform: func(ctx context.Context, c call) (*destination.Response, error) {
			response, err := send(ctx, c)
			if err == nil && response.Body.Kind() == event.Array {
				_ = []string{}[response.Body.Len()]
			}
			return response, err
		}},
		{name: "results out of their order", check: "an event has the same result in a batch and alone", plugin: func(p *destination.Plugin) {
			p.Actions["createContact"] = destination.Handle(destination.Handler[raw, raw]{PerformBatch: backwards})
		}},
		{name: "shared", check: "plans run concurrently", perform: func(ctx context.Context, c call) (*destination.Response, error) {
			response, err := send(ctx, c)
			if _, known, _ := c.State.Get(ctx, "seen"); known && err == nil {
				err = fault.Invalid("seen before")
			}
			_ = c.State.Put(ctx, "seen", "yes")
			return response, err
		}},
		{name: "its own time", check: "cancelled calls end", perform: func(ctx context.Context, c call) (*destination.Response, error) {
			response, err := send(context.WithoutCancel(ctx), c)
			if ctx.Err() != nil {
				return nil, nil
			}
			return response, err
		}},
		{name: "a goroutine", check: "no goroutine leaks", perform: func(ctx context.Context, c call) (*destination.Response, error) {
			if counter.Add(1) == 20 {
				go func() {
					select {
					case <-stop:
					case <-time.After(time.Minute):
					}
				}()
			}
			return send(ctx, c)
		}},
	}
}

// backwards returns the results of its batch in reverse order.
func backwards(ctx context.Context, b destination.BatchCall[raw, raw]) (*destination.MultiStatus, error) {
	ms := destination.NewMultiStatus(len(b.Payloads))
	for i, p := range b.Payloads {
		at := len(b.Payloads) - 1 - i
		if _, err := send(ctx, call{Deps: b.Deps, Settings: b.Settings, Payload: p}); err != nil {
			ms.Fail(at, err)
		} else {
			ms.Deliver(at)
		}
	}
	return ms, nil
}

func TestEachViolationIsFound(t *testing.T) {
	found := map[string]bool{}
	for _, b := range breakages(t) {
		t.Run(b.name, func(t *testing.T) {
			text, perform := definition, b.perform
			if b.text != nil {
				text = b.text(definition)
				require.NotEqual(t, definition, text)
			}
			if perform == nil {
				perform = send
			}
			p := acme(text, perform)
			if b.plugin != nil {
				b.plugin(&p)
			}
			findings, err := destinationtest.FindWith(b.check, p, "testdata/acme")
			require.NoError(t, err)
			found[b.check] = slices.ContainsFunc(findings, func(f destinationtest.Finding) bool { return f.Check == b.check })
			assert.True(t, found[b.check], "found instead: %v", findings)
		})
	}
	elsewhere := []string{
		"clients and clocks come from the framework",
		// These test the framework: a plugin cannot bypass its schema, and its errors about settings are redacted.
		"bad payloads are refused by name and place", "unknown keys do not reach the handler", "bad settings are refused by name and place",
	}
	for _, name := range destinationtest.Names() {
		if !found[name] && !slices.Contains(elsewhere, name) {
			t.Errorf("nothing shows that the check %q can fail", name)
		}
	}
}

var want = regexp.MustCompile(`// want: (.*)`)

// TestPlumbingIsFound compares the findings in the source of testdata with the remarks on its lines.
func TestPlumbingIsFound(t *testing.T) {
	text, err := os.ReadFile("testdata/plumbing/plumber.go")
	require.NoError(t, err)
	findings, err := destinationtest.Find(acme(definition, send), "testdata/plumbing")
	require.NoError(t, err)
	var lines []string
	for _, f := range findings {
		if f.Check == "clients and clocks come from the framework" {
			lines = append(lines, f.String())
		}
	}
	n := 0
	for i, line := range strings.Split(string(text), "\n") {
		m := want.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		for _, words := range strings.Split(m[1], "; ") {
			n++
			prefix := fmt.Sprintf("plumber.go: line %d: ", i+1)
			assert.True(t, slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, prefix) && strings.Contains(l, words) }), "%s%s", prefix, words)
		}
	}
	assert.Len(t, lines, n, "%s", strings.Join(lines, "\n"))
}

// TestReadme compares the list of checks in README.md with the table.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	var listed []string
	_, table, _ := strings.Cut(string(text), "\n| check |")
	table, _, _ = strings.Cut("| check |"+table, "\n\n")
	for _, m := range regexp.MustCompile(`(?m)^\| ([a-z ]+) \|`).FindAllStringSubmatch(table, -1) {
		listed = append(listed, m[1])
	}
	assert.Equal(t, append([]string{"check"}, destinationtest.Names()...), listed)
}

func TestWaivers(t *testing.T) {
	for name, c := range map[string]struct{ waivers, err string }{
		"former":    {"- {check: everything has a description, of: createContact.age, reason: the label says it}", ""},
		"waived":    {"- {check: everything has a description, of: createContact.age, reason: the label says it}", ""},
		"whole":     {"- {check: everything has a description, reason: labels say it}", ""},
		"stale":     {"- {check: everything has a description, of: createContact.age, reason: the label says it}\n- {check: cases pass, reason: none}", "waivers.yaml:2: the waiver waives nothing: remove it"},
		"no reason": {"- {check: everything has a description}", "waivers.yaml:1:3: /0 needs a reason"},
		"no check":  {"- {check: evrything has a description, reason: x}", `is not the name of a check: "evrything has a description" (did you mean "everything has a description"?)`},
		"no list":   {"check: x", "should be a list"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "acme")
			require.NoError(t, os.CopyFS(dir, os.DirFS("testdata/acme")))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "testdata", "waivers.yaml"), []byte(c.waivers), 0o644))
			text := strings.Replace(definition, "description: How old they are., ", "", 1)
			findings, err := destinationtest.Find(acme(text, send), dir)
			if c.err != "" {
				assert.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			assert.Empty(t, findings)
		})
	}
}
