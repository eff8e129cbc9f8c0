// Package brazesandbox pretends to be Braze, by its public documentation, for running without an account: the cohort import
// of the partner API (https://www.braze.com/docs/partners/isv_partners/cohort_import), and of the REST API
// (https://www.braze.com/docs/api/home) what keeps users and catalogs and triggers messages.
//
// A cohort holds only users that exist when they are added, and nothing tells the sender of the others: the sandbox does, in
// its state. Where nobody has ever used the REST API, it knows every user, so that cohorts can be tried alone.
//
// Where the documentation is silent a comment says what was chosen. It keeps its state in memory and is safe for concurrent
// use.
package brazesandbox

import (
	"encoding/json"
	"net/http"
	"sync"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
)

// Config makes the sandbox strict. Its zero value accepts any key that is not empty, knows every user as long
// as nobody uses the REST API, and has every catalog.
type Config struct {
	ClientSecrets     []string // the data import keys there are
	PartnerKeys       []string // the partner keys there are
	UnknownUsers      []string // external ids and alias names that Braze does not have: ignored, as Braze does
	IdentifiedDevices []string // devices of identified users: ignored, as Braze does
	PoisonUsers       []string // external ids that Braze cannot take: a request that holds one is refused whole
	APIKeys           []string // the REST API keys there are
	BlockedUsers      []string // external ids that Braze refuses in /users/track, each on its own
	Catalogs          []string // the catalogs there are; others are refused
}

// The options of the command line.
const (
	clientSecret      = "client-secret"
	partnerKey        = "partner-key"
	unknownUsers      = "unknown-users"
	identifiedDevices = "identified-devices"
	poisonUsers       = "poison-users"
	apiKey            = "api-key"
	blockedUsers      = "blocked-users"
	catalogs          = "catalogs"
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
			{Name: apiKey, Usage: "accept only these REST API keys"},
			{Name: blockedUsers, Usage: "external ids that /users/track refuses, each on its own"},
			{Name: catalogs, Usage: "the catalogs there are"},
		},
		New: func(options map[string][]string) http.Handler {
			return New(Config{
				ClientSecrets: options[clientSecret], PartnerKeys: options[partnerKey],
				UnknownUsers: options[unknownUsers], IdentifiedDevices: options[identifiedDevices],
				PoisonUsers: options[poisonUsers], APIKeys: options[apiKey], BlockedUsers: options[blockedUsers], Catalogs: options[catalogs],
			})
		},
	}
}

// New is a sandbox with its controls at /__sandbox/.
func New(config Config) *sandbox.Server {
	api := &api{config: config, mux: http.NewServeMux()}
	api.mux.HandleFunc("POST /partners/{partner}/cohorts", api.create)
	api.mux.HandleFunc("POST /partners/{partner}/cohorts/users", api.change)
	for pattern, e := range restEndpoints {
		api.mux.HandleFunc(pattern, api.rest(e))
	}
	api.Reset()
	return sandbox.New(sandbox.Config{API: api, Secrets: []string{"partner_api_key", "client_secret"}})
}

// api is the pretend Braze.
type api struct {
	config Config
	mux    *http.ServeMux

	mu       sync.Mutex
	cohorts  map[string]*cohort
	users    users
	used     bool // the REST API has been used: who is no user is unknown
	catalogs map[string]map[string]json.RawMessage
	sends    map[string]*send
	windows  map[*limit]window
	warnings []string
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// Reset forgets everything.
func (a *api) Reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cohorts, a.warnings, a.users, a.used = map[string]*cohort{}, nil, newUsers(), false
	a.catalogs, a.sends, a.windows = map[string]map[string]json.RawMessage{}, map[string]*send{}, map[*limit]window{}
}
