// Package brazesandbox simulates Braze after its public documentation: the cohort import of the partner API
// (https://www.braze.com/docs/partners/isv_partners/cohort_import), and the endpoints of the REST API
// (https://www.braze.com/docs/api/home) for users, catalogs and messages. It also receives what the Web SDK sends.
//
// A cohort contains only users that exist when they are added. Braze does not report the others; the sandbox shows them in its
// state. Until the REST API or an SDK is used, every user is assumed to exist, so that cohorts can be tried alone.
//
// Comments say what was chosen if the documentation is silent. The state is in memory. The sandbox is safe for concurrent use.
package brazesandbox

import (
	"encoding/json"
	"net/http"
	"sync"

	"github.com/landfall-dev/landfall/framework/destination"
	"github.com/landfall-dev/landfall/framework/destination/sandbox"
)

// Config makes the sandbox strict. The zero Config accepts any key that is not empty, knows every user until the REST API or
// an SDK is used, and has every catalog.
type Config struct {
	ClientSecrets     []string // the valid data import keys
	PartnerKeys       []string // the valid partner keys
	UnknownUsers      []string // external ids and alias names that do not exist; ignored, as in Braze
	IdentifiedDevices []string // devices of identified users; ignored, as in Braze
	PoisonUsers       []string // external ids that make Braze refuse the whole request
	APIKeys           []string // the valid REST API keys
	SDKKeys           []string // the valid keys of SDKs
	BlockedUsers      []string // external ids that /users/track refuses one by one, and SDKs' requests with them
	Catalogs          []string // the existing catalogs; others are refused
}

// The options on the command line.
const (
	clientSecret      = "client-secret"
	partnerKey        = "partner-key"
	unknownUsers      = "unknown-users"
	identifiedDevices = "identified-devices"
	poisonUsers       = "poison-users"
	apiKey            = "api-key"
	sdkKey            = "sdk-key"
	blockedUsers      = "blocked-users"
	catalogs          = "catalogs"
)

// Sandbox returns the sandbox for destinations and the command line.
func Sandbox() *destination.Sandbox {
	return &destination.Sandbox{
		Name: "braze",
		Options: []destination.SandboxOption{
			{Name: clientSecret, Usage: "accept only these data import keys"},
			{Name: partnerKey, Usage: "accept only these partner keys"},
			{Name: unknownUsers, Usage: "external ids and alias names that do not exist"},
			{Name: identifiedDevices, Usage: "devices of identified users"},
			{Name: poisonUsers, Usage: "external ids for which the whole request is refused"},
			{Name: apiKey, Usage: "accept only these REST API keys"},
			{Name: sdkKey, Usage: "accept only these keys of SDKs"},
			{Name: blockedUsers, Usage: "external ids that /users/track refuses one by one"},
			{Name: catalogs, Usage: "the existing catalogs"},
		},
		New: func(options map[string][]string) http.Handler {
			return New(Config{
				ClientSecrets: options[clientSecret], PartnerKeys: options[partnerKey],
				UnknownUsers: options[unknownUsers], IdentifiedDevices: options[identifiedDevices],
				PoisonUsers: options[poisonUsers], APIKeys: options[apiKey], SDKKeys: options[sdkKey], BlockedUsers: options[blockedUsers], Catalogs: options[catalogs],
			})
		},
	}
}

// New returns a sandbox with its controls at /__sandbox/.
func New(config Config) *sandbox.Server {
	api := &api{config: config, mux: http.NewServeMux()}
	api.mux.HandleFunc("POST /partners/{partner}/cohorts", api.createCohort)
	api.mux.HandleFunc("POST /partners/{partner}/cohorts/users", api.changeMembers)
	api.mux.HandleFunc("POST "+sdkPath+"{$}", api.receiveSDKData)
	api.mux.HandleFunc("OPTIONS "+sdkPath+"{$}", api.allowPages)
	for pattern, e := range restEndpoints {
		api.mux.HandleFunc(pattern, api.handleREST(e))
	}
	api.Reset()
	return sandbox.New(sandbox.Config{API: api, Secrets: []string{"partner_api_key", "client_secret"}})
}

// api simulates Braze.
type api struct {
	config Config
	mux    *http.ServeMux

	mu       sync.Mutex
	cohorts  map[string]*cohort
	users    users
	restUsed bool // the REST API or an SDK has been used: unknown users do not exist
	catalogs map[string]map[string]json.RawMessage
	sends    map[string]*sendCounts
	windows  map[*limit]window
	warnings []string
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// Reset deletes all data.
func (a *api) Reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.cohorts, a.warnings, a.users, a.restUsed = map[string]*cohort{}, nil, newUsers(), false
	a.catalogs, a.sends, a.windows = map[string]map[string]json.RawMessage{}, map[string]*sendCounts{}, map[*limit]window{}
}
