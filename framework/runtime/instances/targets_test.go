package instances

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/landfall-dev/landfall/destinations"
	"github.com/landfall-dev/landfall/framework/destination/oauth"
	"github.com/landfall-dev/landfall/framework/dispatch/budget"
	"github.com/landfall-dev/landfall/framework/event/identifier"
	"github.com/landfall-dev/landfall/framework/runtime/config"
	"github.com/landfall-dev/landfall/framework/state"
)

// parse returns a config in a directory of its own.
func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "landfall.yaml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	cfg, problems := config.Load(path, config.Env{})
	require.Empty(t, problems)
	return cfg
}

func openState(t *testing.T, cfg *config.Config, sandbox string) *state.Store {
	t.Helper()
	store, err := OpenState(t.Context(), cfg, "", sandbox)
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func catalog() Catalog { return Catalog{Plugins: destinations.All()} }

// cohorts returns a config with instances of Braze Cohorts: a and b have the same endpoint, c has another one.
func cohorts(t *testing.T, endpoint string) *config.Config {
	t.Helper()
	instance := func(id, endpoint string) string {
		return `{id: ` + id + `, destination: braze-cohorts, settings: {endpoint: "` + endpoint + `", client_secret: s, partner_api_key: p}, subscriptions: []}`
	}
	return parse(t, `{destinations: [`+instance("a", endpoint)+`, `+instance("b", endpoint)+`, `+instance("c", "https://rest.iad-05.braze.com")+`]}`)
}

const iad01, iad02 = "https://rest.iad-01.braze.com", "https://rest.iad-02.braze.com"

// TestInstancesOfOneRemoteShareItsSandbox checks that what one instance does in a sandbox is seen by those with the same endpoint only.
func TestInstancesOfOneRemoteShareItsSandbox(t *testing.T) {
	for _, target := range []Target{{Sandbox: true}, {SandboxURL: "http://127.0.0.1:8900"}} {
		list, err := Load(cohorts(t, iad01), nil, Options{Target: &target, Catalog: catalog()})
		require.NoError(t, err)
		assert.True(t, list[0].Transport == list[1].Transport)
		assert.Equal(t, target.SandboxURL != "", list[0].Transport == list[2].Transport, "one server in another process plays all remotes")
	}
}

func TestSandboxURLsNeedAHost(t *testing.T) {
	for _, wrong := range []string{"127.0.0.1:8900", "localhost", "http://", "://"} {
		_, err := Load(cohorts(t, iad01), nil, Options{Target: &Target{SandboxURL: wrong}, Catalog: catalog()})
		var refused SandboxURLError
		require.ErrorAs(t, err, &refused, wrong)
		assert.ErrorContains(t, err, "--sandbox-url should be a URL such as http://127.0.0.1:8900 but is")
	}
}

// TestADryRunSendsNothing checks that requests are answered and their bodies read, without a connection.
func TestADryRunSendsNothing(t *testing.T) {
	transport, err := (&Target{DryRun: true, Live: true}).NewTransport(destinations.All()[0])
	require.NoError(t, err)
	body := strings.NewReader("text")
	r, err := http.NewRequestWithContext(t.Context(), "POST", "http://127.0.0.1:1/", body)
	require.NoError(t, err)
	response, err := transport.RoundTrip(r)
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, response.StatusCode)
	assert.Zero(t, body.Len())
}

// TestLedgersBelongToOneTarget checks that plans which deliver mark their ledgers, that a ledger of another remote is a mistake of the
// config, and that plans which send nothing neither mark nor check.
func TestLedgersBelongToOneTarget(t *testing.T) {
	cfg := cohorts(t, iad01)
	store := openState(t, cfg, "")
	load := func(cfg *config.Config, target Target, use LedgerUse) error {
		_, err := Load(cfg, nil, Options{Target: &target, Catalog: catalog(), Store: store, Use: use})
		return err
	}
	marked := func() bool {
		_, ok, err := store.Ledger("a").Target(t.Context())
		require.NoError(t, err)
		return ok
	}
	live := Target{Live: true}
	require.NoError(t, load(cfg, live, ReadLedgers))
	require.NoError(t, load(cfg, live, CheckLedgers))
	require.NoError(t, load(cfg, Target{DryRun: true}, ClaimLedgers))
	assert.False(t, marked(), "nothing was delivered")
	require.NoError(t, load(cfg, live, ClaimLedgers))
	assert.True(t, marked())
	require.NoError(t, store.Ledger("a").Put(t.Context(), "what", "was delivered"))
	other := cohorts(t, iad02)
	for _, use := range []LedgerUse{CheckLedgers, ClaimLedgers} {
		assert.ErrorContains(t, load(other, live, use), "is not the remote that the ledger belongs to")
	}
	assert.NoError(t, load(other, live, ReadLedgers))
	assert.NoError(t, load(cfg, live, ClaimLedgers))
}

const (
	hook    = `destinations: [{id: hook, destination: webhook, subscriptions: []}]`
	keyless = `{` + hook + `}`
	keyed   = `{state: {key: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}, ` + hook + `}`
)

// TestMoveState checks that a renamed instance keeps its token, unless the new name has one, and that a token that cannot be read stays.
func TestMoveState(t *testing.T) {
	cfg := parse(t, keyed)
	store := openState(t, cfg, "")
	logins, err := OpenLoginManager(cfg, store)
	require.NoError(t, err)
	token := func(id string) string {
		found, err := logins.Token(t.Context(), id)
		require.NoError(t, err)
		return found.Access
	}
	var warnings []string
	move := func(cfg *config.Config, from, to string) {
		require.NoError(t, MoveState(t.Context(), cfg, store, from, to, func(text string) { warnings = append(warnings, text) }))
	}
	require.NoError(t, logins.Put(t.Context(), "one", oauth.Token{Access: "first"}))
	move(cfg, "one", "two")
	move(cfg, "one", "two") // again, after an interruption
	assert.Equal(t, []string{"", "first"}, []string{token("one"), token("two")})
	require.NoError(t, logins.Put(t.Context(), "three", oauth.Token{Access: "own"}))
	move(cfg, "two", "three")
	assert.Equal(t, []string{"", "own"}, []string{token("two"), token("three")})
	move(parse(t, keyless), "none", "more")
	assert.Empty(t, warnings)
	move(parse(t, keyless), "three", "four")
	require.Len(t, warnings, 1)
	assert.Contains(t, warnings[0], "the token of three cannot be decrypted without state.key")
	assert.Equal(t, "own", token("three"))
}

// TestSuppressedWithAnotherKeyAreUnknown checks that users who were suppressed with another key are counted, since their events are not
// refused.
func TestSuppressedWithAnotherKeyAreUnknown(t *testing.T) {
	cfg := parse(t, keyed)
	store := openState(t, cfg, "")
	key, err := IdentifierKey(cfg)
	require.NoError(t, err)
	old := identifier.NewKey("an earlier one")
	_, err = store.AddSuppressed(t.Context(), []state.Suppressed{{Hash: key.Hash("u1"), Key: key.ID(), At: time.Now()}, {Hash: old.Hash("u2"), Key: old.ID(), At: time.Now()}})
	require.NoError(t, err)
	set, unknown, err := LoadSuppressed(t.Context(), cfg, store)
	require.NoError(t, err)
	assert.Equal(t, []any{true, false, 1, 1}, []any{set.Has("u1"), set.Has("u2"), set.Len(), unknown})
	without := parse(t, keyless)
	set, unknown, err = LoadSuppressed(t.Context(), without, store)
	require.NoError(t, err)
	assert.Equal(t, []int{0, 2}, []int{set.Len(), unknown})
	_, err = IdentifierKey(without)
	assert.ErrorContains(t, err, "landfall auth key")
	_, err = OpenLoginManager(without, store)
	assert.ErrorContains(t, err, "landfall auth key")
}

// TestLoginsNeedAKeyUnlessNothingIsReal checks that an instance which logs in cannot run without a key for its tokens, except in a sandbox.
func TestLoginsNeedAKeyUnlessNothingIsReal(t *testing.T) {
	cfg := parse(t, `{destinations: [{id: crm, destination: hubspot, auth: {clientId: c, clientSecret: s}, subscriptions: []}]}`)
	load := func(target Target) error {
		_, err := Load(cfg, nil, Options{Target: &target, Catalog: catalog(), Store: openState(t, cfg, target.SandboxName())})
		return err
	}
	assert.NoError(t, load(Target{Sandbox: true}))
	assert.NoError(t, load(Target{DryRun: true}))
	assert.ErrorContains(t, load(Target{Live: true}), "its tokens are stored encrypted, but the config has no key")
}

// countingStore is a store in a file, which only the processes of one machine share.
type countingStore struct {
	*budget.MemoryStore
	uses atomic.Int64
}

func (s *countingStore) Load(ctx context.Context, name string) ([]byte, uint64, error) {
	s.uses.Add(1)
	return s.MemoryStore.Load(ctx, name)
}

// TestOnlyLongWindowsAreStored checks that limits for a second are not written, as they are over before a process could start again.
func TestOnlyLongWindowsAreStored(t *testing.T) {
	for limit, stored := range map[string]bool{"requestsPerSecond": false, "requestsPerHour": true} {
		store := &countingStore{MemoryStore: budget.NewMemoryStore()}
		cfg := parse(t, `{destinations: [{id: a, destination: webhook, limits: {`+limit+`: 10}, subscriptions: []}]}`)
		list, err := Load(cfg, nil, Options{Target: &Target{DryRun: true}, Catalog: catalog(), Budgets: NewBudgets(store)})
		require.NoError(t, err)
		done, err := list[0].Plan.Gate().Enter(t.Context(), budget.Request{})
		require.NoError(t, err)
		done(budget.Result{Status: http.StatusOK})
		assert.Equal(t, stored, store.uses.Load() > 0, limit)
	}
}

// TestOnlySandbox checks which data a command shows that names no target.
func TestOnlySandbox(t *testing.T) {
	dir := t.TempDir()
	choose := func() (name, note string) {
		var b bytes.Buffer
		name = OnlySandbox(&b, dir, "queue", "queue-*")
		return name, b.String()
	}
	create := func(name string) { require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o700)) }
	name, note := choose()
	assert.Equal(t, []string{"", ""}, []string{name, note})
	create("queue-sandbox")
	name, note = choose()
	assert.Equal(t, []string{"sandbox", "note: " + dir + " has no data of real remotes; using the data of the sandbox\n"}, []string{name, note})
	create("queue-other")
	name, note = choose()
	assert.Equal(t, []string{"", ""}, []string{name, note}, "several")
	require.NoError(t, os.Remove(filepath.Join(dir, "queue-other")))
	create("queue")
	name, note = choose()
	assert.Equal(t, []string{"", ""}, []string{name, note}, "data of real remotes")
}

// TestDefinitionsComeFromOneDirectory checks that the directory of the program goes before that of the config.
func TestDefinitionsComeFromOneDirectory(t *testing.T) {
	write := func(dir, slug string) {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, slug), 0o700))
		text := `{name: Acme, slug: ` + slug + `, mode: cloud, authentication: {scheme: none}, actions: {send: {title: Send, fields: {}, request: {url: "https://acme.example"}}}}`
		require.NoError(t, os.WriteFile(filepath.Join(dir, slug, "destination.yaml"), []byte(text), 0o600))
	}
	cfg := parse(t, "{definitions: defs, "+hook+"}")
	write(cfg.ResolvePath("defs"), "of-config")
	own := t.TempDir()
	write(own, "of-program")
	for name, c := range map[string]struct {
		catalog Catalog
		cfg     *config.Config
		want    []bool
	}{
		"no config":     {Catalog{}, nil, []bool{false, false}},
		"the config's":  {Catalog{}, cfg, []bool{true, false}},
		"the program's": {Catalog{Definitions: own}, cfg, []bool{false, true}},
		"without one":   {Catalog{}, parse(t, keyless), []bool{false, false}},
	} {
		registry, err := c.catalog.RegistryFor(c.cfg)
		require.NoError(t, err, name)
		_, first := registry.Find("of-config")
		_, second := registry.Find("of-program")
		assert.Equal(t, c.want, []bool{first == nil, second == nil}, name)
	}
}

// TestSandboxesHaveDataOfTheirOwn checks the names under which the data of a target is stored.
func TestSandboxesHaveDataOfTheirOwn(t *testing.T) {
	assert.Equal(t, []string{"queue", "queue-sandbox"}, []string{QueueName(""), QueueName("sandbox")})
	names := map[string]bool{}
	for _, target := range []Target{{Live: true}, {Sandbox: true}, {SandboxURL: "http://127.0.0.1:8900"}, {SandboxURL: "http://127.0.0.1:8901"}} {
		names[target.SandboxName()] = true
	}
	assert.Len(t, names, 4)
	assert.True(t, names[""], "of real remotes")
}

// TestSecretsComeFromTheGivenState checks that a program which has the state of the real destinations open reads secrets there.
func TestSecretsComeFromTheGivenState(t *testing.T) {
	cfg, problems := config.Load(sealedDir(t, sealedConfig), config.Env{})
	require.Empty(t, problems)
	store, err := state.Open(t.Context(), t.TempDir()) // elsewhere
	require.NoError(t, err)
	defer store.Close()
	require.NoError(t, WriteSecret(t.Context(), cfg, store, "main/client_secret", "typed-1"))
	list, err := Load(cfg, nil, Options{Target: &Target{DryRun: true}, Catalog: catalog(), Secrets: store})
	require.NoError(t, err)
	assert.Equal(t, "typed-1", list[0].Config.Settings.Get("client_secret").Str())
	assert.NoError(t, Close(t.Context(), append(list, Instance{})), "an instance whose plan could not be made has nothing to close")
}

// TestKeysThatCannotBeUsed checks that a secret is neither written nor read with a key that is none.
func TestKeysThatCannotBeUsed(t *testing.T) {
	path := sealedDir(t, sealedConfig)
	cfg, problems := config.Load(path, config.Env{})
	require.Empty(t, problems)
	store := openState(t, cfg, "")
	require.NoError(t, WriteSecret(t.Context(), cfg, store, "main/client_secret", "typed-1"))
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(path), "landfall.key"), []byte("too short"), 0o600))
	cfg, _ = config.Load(path, config.Env{})
	assert.ErrorContains(t, WriteSecret(t.Context(), cfg, store, "main/client_secret", "typed-2"), "/state/key")
	_, err := Load(cfg, nil, Options{Target: &Target{DryRun: true}, Catalog: catalog(), Secrets: store})
	assert.ErrorContains(t, err, "is a secret in the state, but state.key")
	_, err = OpenLoginManager(cfg, store)
	assert.ErrorContains(t, err, "/state/key")
}

// TestBudgetsAreLent checks that a budget counts as shared while another process uses it.
func TestBudgetsAreLent(t *testing.T) {
	budgets := NewBudgets(nil)
	_, ok := budgets.Lend("instance a")
	assert.False(t, ok)
	cfg := parse(t, `{destinations: [{id: a, destination: webhook, limits: {requestsPerHour: 10}, subscriptions: []}]}`)
	_, err := Load(cfg, nil, Options{Target: &Target{DryRun: true}, Catalog: catalog(), Budgets: budgets})
	require.NoError(t, err)
	lent, ok := budgets.Lend("instance a")
	require.True(t, ok)
	assert.True(t, lent.Shared())
}
