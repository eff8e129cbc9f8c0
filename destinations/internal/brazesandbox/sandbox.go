// Package brazesandbox pretends to be Braze, by its public documentation, for running without an account: the cohort import
// of the partner API (https://www.braze.com/docs/partners/isv_partners/cohort_import).
//
// Where the documentation is silent a comment says what was chosen. It keeps its state in memory and is safe for concurrent
// use.
package brazesandbox

import (
	"net/http"
	"slices"
	"sync"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/sandbox"
)

// Config makes the sandbox strict. Its zero value accepts any key that is not empty and knows every user.
type Config struct {
	ClientSecrets     []string // the data import keys there are
	PartnerKeys       []string // the partner keys there are
	UnknownUsers      []string // external ids and alias names that Braze does not have: ignored, as Braze does
	IdentifiedDevices []string // devices of identified users: ignored, as Braze does
	PoisonUsers       []string // external ids that Braze cannot take: a request that holds one is refused whole
}

// The options of the command line.
const (
	clientSecret      = "client-secret"
	partnerKey        = "partner-key"
	unknownUsers      = "unknown-users"
	identifiedDevices = "identified-devices"
	poisonUsers       = "poison-users"
)

// Sandbox is the sandbox as destinations and the command line take it.
func Sandbox() *destination.Sandbox {
	return &destination.Sandbox{
		Name: "braze",
		Options: []destination.SandboxOption{
			{Name: clientSecret, Usage: "accept only these data import keys"},
			{Name: partnerKey, Usage: "accept only these partner keys"},
			{Name: unknownUsers, Usage: "external ids and alias names that do not exist"},
			{Name: identifiedDevices, Usage: "devices of identified users"},
			{Name: poisonUsers, Usage: "external ids for which a request is refused whole"},
		},
		New: func(options map[string][]string) http.Handler {
			return New(Config{
				ClientSecrets: options[clientSecret], PartnerKeys: options[partnerKey],
				UnknownUsers: options[unknownUsers], IdentifiedDevices: options[identifiedDevices],
				PoisonUsers: options[poisonUsers],
			})
		},
	}
}

// New is a sandbox with its controls at /__sandbox/.
func New(config Config) *sandbox.Server {
	api := &api{config: config, mux: http.NewServeMux()}
	api.mux.HandleFunc("POST /partners/{partner}/cohorts", api.create)
	api.mux.HandleFunc("POST /partners/{partner}/cohorts/users", api.change)
	api.Reset()
	return sandbox.New(sandbox.Config{API: api, Secrets: []string{"partner_api_key", "client_secret"}})
}

// api is the pretend Braze.
type api struct {
	config Config
	mux    *http.ServeMux

	mu       sync.Mutex
	cohorts  map[string]*cohort
	warnings []string
}

// cohort is what Braze holds of one cohort.
type cohort struct {
	name    string
	users   map[string]bool
	devices map[string]bool
	aliases map[alias]bool
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// Reset forgets all cohorts.
func (a *api) Reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cohorts, a.warnings = map[string]*cohort{}, nil
}

// cohort is the cohort with this id. Members may come before their cohort: the documentation does not refuse it, and a
// cohort without a name is made for them.
func (a *api) cohort(id string) *cohort {
	c := a.cohorts[id]
	if c == nil {
		c = &cohort{users: map[string]bool{}, devices: map[string]bool{}, aliases: map[alias]bool{}}
		a.cohorts[id] = c
	}
	return c
}

// State is {"cohorts": {id: {"name", "members": {"user_ids", "device_ids", "aliases"}}}, "warnings"}, sorted.
func (a *api) State() any {
	type members struct {
		UserIDs   []string `json:"user_ids"`
		DeviceIDs []string `json:"device_ids"`
		Aliases   []alias  `json:"aliases"`
	}
	type cohort struct {
		Name    string  `json:"name"`
		Members members `json:"members"`
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	cohorts := make(map[string]cohort, len(a.cohorts))
	for id, c := range a.cohorts {
		cohorts[id] = cohort{c.name, members{sorted(c.users), sorted(c.devices), sortedAliases(c.aliases)}}
	}
	return map[string]any{"cohorts": cohorts, "warnings": slices.Clone(append([]string{}, a.warnings...))}
}
